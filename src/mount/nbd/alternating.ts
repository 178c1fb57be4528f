import type { ExportRun } from './client-connection.js'

/** What one block status asks for, in bytes, and how many runs are handed on. */
export const longestStatus = 2 ** 30
const maximumRuns = 4096

/** Lengths of runs; data and what is left out in turn, data first. */
export function alternating(runs: readonly ExportRun[]): number[] {
  const lengths = [0]
  let isLeftOut = false
  for (const run of runs) {
    if (run.isLeftOut !== isLeftOut) {
      if (lengths.length >= maximumRuns) break
      lengths.push(0)
      ;({ isLeftOut } = run)
    }
    lengths[lengths.length - 1] = (lengths.at(-1) ?? 0) + run.length
  }
  return lengths
}
