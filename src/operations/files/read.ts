import type { Note } from '../../block/types.js'
import { aborted, usage } from '../../errors.js'
import { resolvePath } from '../../filesystem/path.js'
import { openVolume, type VolumeOptions } from './volume.js'

const pieceLength = 1048576

export interface ReadFileOptions extends VolumeOptions {
  /** Called before the first piece, with the file's size in bytes. */
  readonly onStart?: (size: number) => void
}

/**
 * Gives the content of a file, from its start to its end; links are followed inside the filesystem.
 * @param output gets the pieces in order; a piece is valid until its promise is settled.
 * @throws ImageError usage E_IS_DIRECTORY, E_NOT_A_FILE; aborted; what reading and `output` throw.
 */
export async function readFile(
  image: string,
  path: string,
  output: (bytes: Uint8Array) => Promise<void>,
  options: ReadFileOptions = {},
): Promise<{ size: number; notes: readonly Note[] }> {
  const { onStart, ...opening } = options
  const { signal, onProgress } = opening
  using volume = await openVolume(image, opening)
  const { node, path: found } = resolvePath(volume.tree, path, true)
  if (node.kind === 'directory')
    throw usage('E_IS_DIRECTORY', `${found} is a folder`, { hint: 'vdisk ls shows what is in it.' })
  if (node.kind !== 'file') throw usage('E_NOT_A_FILE', `${found} is no file with content`)
  onStart?.(node.size)
  for (let offset = 0; offset < node.size; offset += pieceLength) {
    if (signal?.aborted === true) throw aborted()
    const bytes = new Uint8Array(Math.min(pieceLength, node.size - offset))
    volume.tree.read(node, offset, bytes)
    await output(bytes)
    onProgress?.({ phase: 'read', done: offset + bytes.length, total: node.size })
  }
  volume.assertUnchanged()
  return { size: node.size, notes: volume.notes }
}
