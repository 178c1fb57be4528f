/** Other bytes for a place in the file of a hive. */
export interface HivePatch {
  /** Bytes from the start of the file. */
  readonly position: number
  readonly old: Uint8Array
  readonly bytes: Uint8Array
  /** What has a lower number is to be on the medium before it; 0 when left out. */
  readonly stage?: number
}

/**
 * The order of writing, so that the hive is sound after each: what lies in free cells, heads of new cells, the last of
 * a bin first, values, then cells that are freed. There are no more new cells than values of a key.
 */
export const stages = { content: 0, heads: 1, value: 1_000_000, freed: 1_000_001 } as const
