import { Command, Flags } from '@oclif/core'
import { queueFlags, withQueue } from '../../connection.js'

/** Failed jobs that are listed. */
const listed = 100

export default class QueueStatus extends Command {
  static override summary = 'Show how many jobs wait, run, are done and failed, and why.'
  static override description = 'Exit code 9 when some have failed.'
  static override examples = ['<%= config.bin %> queue status --json']
  static override flags = { ...queueFlags, json: Flags.boolean({ summary: 'print one JSON document' }) }

  async run(): Promise<void> {
    const { flags } = await this.parse(QueueStatus)
    const { counts, failed } = await withQueue(flags, async (queue) => {
      const { waiting = 0, delayed = 0, active = 0, completed: done = 0, failed: lost = 0 } = await queue.getJobCounts()
      return {
        counts: { waiting: waiting + delayed, running: active, done, failed: lost },
        failed: (await queue.getJobs(['failed'], 0, listed - 1)).map(({ name, failedReason }) => ({
          name,
          reason: reasonOf(failedReason),
        })),
      }
    })
    if (flags.json)
      this.log(JSON.stringify({ schema: 'vdisk.queue-status', schemaVersion: 1, ...counts, jobs: failed }))
    else {
      for (const [name, count] of Object.entries(counts)) this.log(`${name.padEnd(8)} ${count}`)
      for (const { name, reason } of failed) this.log(`  ${name}: ${reason}`)
    }
    if (counts.failed > 0) this.exit(9)
  }
}

/** A job that ended by itself fails with how it ended. */
function reasonOf(text: string): string {
  try {
    const { error, exitCode } = JSON.parse(text) as { error?: { message: string }; exitCode: number }
    return error?.message ?? `exit code ${exitCode}`
  } catch {
    // Said by the queue itself.
    return text
  }
}
