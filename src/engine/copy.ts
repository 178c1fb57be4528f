import type { BlockSource, ByteStore } from '../block/types.js'
import type { Progress } from './progress.js'

/** What the engine needs of an image writer: the contract is in src/formats/driver.ts, which the engine may not import. */
export interface CopyTarget {
  readonly capacity: number
  readonly grain: number
  readonly packedUnit?: { readonly length: number; readonly codec: string; readonly level?: number }
  readonly placeZeros?: boolean
  place(offset: number, length: number): { readonly store: ByteStore; readonly position: number; readonly length: number }
  placePacked?(offset: number, storedLength: number): { readonly store: ByteStore; readonly position: number }
  zero(offset: number, length: number): void
}

export interface CopyOptions {
  readonly source: BlockSource
  readonly target: CopyTarget
  /** The parent of the image being made: content equal to it is left out. */
  readonly base?: BlockSource
  /** Worker threads for compression and decompression; 0: none. Default: by the number of cores and the kind of work. */
  readonly threads?: number
  /** Runs of zeros shorter than this are written as data (bytes, a power of two); 0: zeros are written too. Default: the target's grain. */
  readonly sparse?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface CopyResult {
  /** Guest bytes read from the source, and host bytes written to the target. */
  readonly bytesRead: number
  readonly bytesWritten: number
}

/** Moves the content of a disk into a new image. The caller calls the writer's `finish` afterwards. @throws ImageError; aborted E_ABORTED. */
export async function copy(_options: CopyOptions): Promise<CopyResult> {
  throw new Error('engine: not built yet')
}
