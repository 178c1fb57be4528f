import { isImageError } from '../errors.js'

/** Reads in spite of what cannot be read (src/block/salvage.ts). */
export interface Salvage {
  readonly capacity: number
  /** What could not be read so far, in bytes: ascending, apart from each other. */
  readonly bad: readonly { readonly offset: number; readonly length: number }[]
  salvage(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void>
}

/** What is read in spite of what cannot be. */
export interface Salvaging {
  readonly salvage?: Salvage
  readonly signal?: AbortSignal
}

/**
 * Takes from the salvage what could not be read: the bytes of a chunk, as far as the disk goes.
 * @returns how many. @throws what kept it from being read, where that is no E_READ or nothing is salvaged.
 */
export async function salvaged(
  error: unknown,
  offset: number,
  bytes: Uint8Array,
  { salvage, signal }: Salvaging,
): Promise<number> {
  if (salvage === undefined || !isImageError(error) || error.code !== 'E_READ') throw error
  const length = Math.min(bytes.length, salvage.capacity - offset)
  await salvage.salvage(offset, bytes.subarray(0, length), signal)
  return length
}
