/** Bytes of a file that were written. `end` is exclusive. */
export interface StoredRun {
  readonly start: number
  readonly end: number
}

/** The index of the first run that ends behind an offset; the runs are in order. */
export function firstBehind(runs: readonly StoredRun[], offset: number): number {
  let [low, high] = [0, runs.length]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((runs[middle]?.end ?? 0) > offset) high = middle
    else low = middle + 1
  }
  return low
}
