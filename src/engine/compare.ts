import type { BlockSource } from '../block/types.js'
import type { Progress } from './progress.js'

export interface CompareResult {
  readonly equal: boolean
  /** The first guest offset at which the two differ. */
  readonly offset?: number
}

/**
 * Compares every guest byte. The shorter disk counts as zero beyond its end. @throws ImageError; aborted E_ABORTED.
 */
export async function compareSources(_a: BlockSource, _b: BlockSource, _options: { threads?: number; signal?: AbortSignal; onProgress?: (progress: Progress) => void } = {}): Promise<CompareResult> {
  throw new Error('engine: not built yet')
}
