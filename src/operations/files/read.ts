import type { Note } from '../../block/types.js'
import { stopIfAborted, usage } from '../../errors.js'
import { resolvePath } from '../../filesystem/path.js'
import type { FileNode } from '../../filesystem/types.js'
import { openVolume, type OpenedVolume, type VolumeOptions } from './volume.js'

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
  using volume = await openVolume(image, options)
  const node = fileOf(volume, path)
  for (const bytes of pieces(volume, node, options)) await output(bytes)
  volume.assertUnchanged()
  return { size: node.size, notes: volume.notes }
}

/**
 * The content of a file as an async iterator: for `Readable.from`, `for await` and `pipeline`. The image is open until
 * the last piece was taken, or the iterator is ended (`break`). Each piece is the caller's own.
 * @throws ImageError as {@link readFile}.
 */
export async function* fileChunks(
  image: string,
  path: string,
  options: ReadFileOptions = {},
): AsyncGenerator<Uint8Array, void> {
  using volume = await openVolume(image, options)
  yield* pieces(volume, fileOf(volume, path), options)
  volume.assertUnchanged()
}

function fileOf({ tree }: OpenedVolume, path: string): FileNode {
  const { node, path: found } = resolvePath(tree, path, true)
  if (node.kind === 'directory')
    throw usage('E_IS_DIRECTORY', `${found} is a folder`, { hint: 'vdisk ls shows what is in it.' })
  if (node.kind !== 'file') throw usage('E_NOT_A_FILE', `${found} is no file with content`)
  return node
}

function* pieces(
  { tree }: OpenedVolume,
  node: FileNode,
  { signal, onStart, onProgress }: ReadFileOptions,
): Generator<Uint8Array, void> {
  onStart?.(node.size)
  for (let offset = 0; offset < node.size; offset += pieceLength) {
    stopIfAborted(signal)
    const bytes = new Uint8Array(Math.min(pieceLength, node.size - offset))
    tree.read(node, offset, bytes)
    yield bytes
    onProgress?.({ phase: 'read', done: offset + bytes.length, total: node.size })
  }
}
