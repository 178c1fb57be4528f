import { Command, Flags } from '@oclif/core'
import { queueFlags, withQueue } from '../../connection.js'

export default class QueueRetry extends Command {
  static override summary = 'Put the jobs that failed back into the queue.'
  static override examples = ['<%= config.bin %> queue retry']
  static override flags = { ...queueFlags, json: Flags.boolean({ summary: 'print one JSON document' }) }

  async run(): Promise<void> {
    const { flags } = await this.parse(QueueRetry)
    const retried = await withQueue(flags, async (queue) => {
      const jobs = await queue.getJobs(['failed'])
      for (const job of jobs) await job.retry('failed', { resetAttemptsMade: true })
      return jobs.length
    })
    if (flags.json) this.log(JSON.stringify({ schema: 'vdisk.queue-retry', schemaVersion: 1, retried }))
    else this.log(`${retried} jobs are tried again`)
  }
}
