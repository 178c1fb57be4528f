import { readFileSync } from 'node:fs'
import { Args, Command, Flags } from '@oclif/core'
import { queueFlags, withQueue } from '../../connection.js'
import { QueueError } from '../../errors.js'
import { readJobs } from '../../jobs.js'

export default class QueueAdd extends Command {
  static override summary = 'Put the jobs of a file into the queue.'
  static override description =
    'JOBS is a YAML or JSON list of vdisk commands, as vdisk batch takes it. Names of files are those that the ' +
    'workers see. A job that is in the queue already, done or not, is not added again: a job is known by its words.'
  static override examples = ['<%= config.bin %> queue add jobs.yaml --redis redis://queue.example']
  static override args = { jobs: Args.string({ required: true, description: 'the file of jobs: a YAML or JSON list' }) }
  static override flags = { ...queueFlags, json: Flags.boolean({ summary: 'print one JSON document' }) }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(QueueAdd)
    const jobs = this.#read(args.jobs)
    const added = await withQueue(flags, async (queue) => {
      const known = await Promise.all(jobs.map(async ({ id }) => (await queue.getJob(id)) !== undefined))
      // Two workers must not find one job twice: the id is the job's words.
      await queue.addBulk(
        jobs.map(({ id, name, data }) => ({
          name,
          data,
          opts: { jobId: id, attempts: 1, removeOnComplete: false, removeOnFail: false },
        })),
      )
      return known.filter((is) => !is).length
    })
    if (flags.json)
      this.log(JSON.stringify({ schema: 'vdisk.queue-add', schemaVersion: 1, added, known: jobs.length - added }))
    else this.log(`${added} jobs added, ${jobs.length - added} were there already`)
  }

  #read(path: string): ReturnType<typeof readJobs> {
    try {
      return readJobs(readFileSync(path, 'utf8'))
    } catch (error) {
      throw new QueueError('usage', 'E_JOBS', `${path}: ${(error as Error).message}`, {
        cause: error,
        hint: 'A job is a line such as: - convert a.vhdx a.qcow2 --verify',
      })
    }
  }
}
