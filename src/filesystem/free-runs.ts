import type { UnitRun } from './unit-runs.js'

/** Free runs for some units, and how many units are lacking. */
export interface ChosenRuns {
  readonly runs: readonly UnitRun[]
  readonly missing: number
}

/**
 * Takes the first free run that is long enough, or else the largest ones.
 * @param count units that are needed. @param most runs at most.
 */
export function chosenRuns(free: Iterable<UnitRun>, count: number, most: number): ChosenRuns {
  const largest: UnitRun[] = []
  for (const run of free) {
    if (run.count >= count) return { runs: [{ first: run.first, count }], missing: 0 }
    if (largest.length === most && run.count <= (largest.at(-1)?.count ?? 0)) continue
    largest.push(run)
    largest.sort((one, other) => other.count - one.count)
    largest.length = Math.min(largest.length, most)
  }
  const runs: UnitRun[] = []
  let missing = count
  for (const run of largest) {
    const length = Math.min(missing, run.count)
    if (length > 0) runs.push({ first: run.first, count: length })
    missing -= length
  }
  return { runs, missing }
}
