import { roundUp } from '../../../binary/integers.js'

/** What is put into an archive, in its order: a folder comes before what lies in it. */
export interface ArchiveEntry {
  /** Without a slash at its start. */
  readonly path: string
  /** The content of a file; undefined: a folder. */
  readonly content?: Uint8Array
}

const headerLength = 110
const fileMode = 0o100644
const folderMode = 0o040755
/** Heads and contents begin at multiples of it. */
const alignment = 4

/** An archive as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst): all is root's. */
export function newcArchive(entries: readonly ArchiveEntry[]): Uint8Array {
  const parts = entries.flatMap(({ path, content }, index) => {
    const mode = content === undefined ? folderMode : fileMode
    return [head(path, index + 1, mode, content?.length ?? 0), padded(content ?? new Uint8Array(0))]
  })
  return Buffer.concat([...parts, head('TRAILER!!!', 0, 0, 0)])
}

/** One link each, so that the kernel takes none for another name of a file before. */
function head(path: string, inode: number, mode: number, size: number): Uint8Array {
  const name = Buffer.from(`${path}\0`, 'latin1')
  const fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.length, 0]
  const bytes = Buffer.alloc(roundUp(headerLength + name.length, alignment))
  bytes.write(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`, 'latin1')
  bytes.set(name, headerLength)
  return bytes
}

function padded(content: Uint8Array): Uint8Array {
  if (content.length % alignment === 0) return content
  const bytes = new Uint8Array(roundUp(content.length, alignment))
  bytes.set(content)
  return bytes
}
