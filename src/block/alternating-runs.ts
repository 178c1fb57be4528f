/** Runs that are known of a store from `start` on, in bytes: data and holes in turn, data first. */
export interface AlternatingRuns {
  readonly start: number
  readonly lengths: readonly number[]
}

export const noRuns: AlternatingRuns = { start: 0, lengths: [] }

/** The rest of the run that a position lies in, at most `limit`; undefined where nothing is known of it. */
export function runAt(
  { start, lengths }: AlternatingRuns,
  position: number,
  limit: number,
): { readonly hole: boolean; readonly length: number } | undefined {
  if (position < start) return undefined
  let end = start
  for (const [index, length] of lengths.entries()) {
    end += length
    if (position < end) return { hole: index % 2 === 1, length: Math.min(limit, end - position) }
  }
  return undefined
}
