import { isZero } from '../../binary/zero.js'
import type { BlockSource } from '../../block/types.js'
import type { Progress } from '../../engine/progress.js'
import { aborted } from '../../errors.js'
import { nextTurn } from '../../sys/next-turn.js'

const pieceLength = 1048576

/** A piece of a disk that is stored somewhere, and whether it reads as zero. Bytes. */
export interface StoredPiece {
  readonly offset: number
  readonly bytes: Uint8Array
}

/**
 * Every piece from `from` on that is stored in the chain, read, at most 1 MiB each; what is not stored is left out. The
 * buffer is used again.
 * @throws ImageError aborted E_ABORTED.
 */
export async function* storedPieces(
  source: BlockSource,
  from: number,
  options: {
    readonly signal?: AbortSignal
    readonly onProgress?: (progress: Progress) => void
    readonly phase?: Progress['phase']
  } = {},
): AsyncGenerator<StoredPiece> {
  const { signal, onProgress, phase = 'read' } = options
  const piece = new Uint8Array(Math.min(pieceLength, Math.max(0, source.capacity - from)))
  for (let offset = from; offset < source.capacity;) {
    if (signal?.aborted === true) throw aborted()
    const extent = source.extentAt(offset, Math.min(source.capacity - offset, pieceLength - (offset % pieceLength)))
    if (extent.kind === 'data' || extent.kind === 'packed') {
      const bytes = piece.subarray(0, extent.length)
      source.read(offset, bytes)
      yield { offset, bytes }
      // Lets a signal through: reading is synchronous.
      await nextTurn()
    }
    offset += extent.length
    onProgress?.({ phase, done: offset - from, total: source.capacity - from })
  }
}

/**
 * The first offset from `from` on whose byte is not zero; undefined when there is none. @throws ImageError aborted
 * E_ABORTED.
 */
export async function firstContent(
  source: BlockSource,
  from: number,
  options: { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void } = {},
): Promise<number | undefined> {
  for await (const { offset, bytes } of storedPieces(source, from, options)) {
    if (!isZero(bytes)) return offset + bytes.findIndex((byte) => byte !== 0)
  }
  return undefined
}
