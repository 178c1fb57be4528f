import { printable } from '../../errors.js'
import type { BatchResult, JobOutcome, JobResult } from '../../operations/batch/run.js'
import type { View } from './view.js'

const outcomes: Readonly<Record<JobOutcome, string>> = {
  done: 'done',
  already: 'done before',
  failed: 'failed',
  planned: 'would run',
}

/** A job that has ended, in a line; a failed one with its error. */
export function jobLine({ name, outcome, seconds, exitCode, error, log }: JobResult): string {
  const time = seconds === undefined ? '' : ` (${seconds.toFixed(1)} s)`
  const line = `${outcomes[outcome].padEnd(11)}  ${printable(name)}${time}`
  if (outcome !== 'failed') return line
  const why = error === undefined ? `exit code ${exitCode ?? ''}` : printable(error.message)
  return [line, `             ${why}`, `             log: ${printable(log ?? '')}`].join('\n')
}

/** One line about all of them: each was printed when it ended. */
export const view: View<BatchResult> = {
  text({ jobs, dryRun }, render) {
    const counted = (outcome: JobOutcome): number => jobs.filter((job) => job.outcome === outcome).length
    const parts = (['done', 'already', 'failed', 'planned'] as const)
      .filter((outcome) => counted(outcome) > 0)
      .map((outcome) => `${counted(outcome)} ${outcomes[outcome]}`)
    const lines = [render.heading(`${jobs.length} jobs: ${parts.join(', ')}`)]
    if (counted('failed') > 0) lines.push('Run the same command again to do what is not done.')
    if (dryRun) lines.push('Nothing was run (--dry-run).')
    return lines.join('\n')
  },
}
