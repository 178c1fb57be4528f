import { join } from 'node:path'
import { Command, Flags } from '@oclif/core'
import { queueFlags, withQueue } from '../../connection.js'
import { QueueError } from '../../errors.js'
import { QueueWorker, type WorkLine } from '../../worker.js'

/** How often it is looked whether something is left, in milliseconds. */
const lookEvery = 500

export default class QueueWork extends Command {
  static override summary = 'Take jobs from the queue and run them.'
  static override description =
    'Each job runs in a process of its own. SIGTERM and Ctrl-C end the worker: a running job stops within ten ' +
    'seconds, goes back to the queue, and is resumed by the next worker.'
  static override examples = [
    '<%= config.bin %> queue work --redis redis://queue.example --parallel 2',
    '<%= config.bin %> queue work --until-empty',
  ]
  static override flags = {
    ...queueFlags,
    parallel: Flags.integer({ min: 1, default: 1, summary: 'how many jobs run at a time' }),
    lease: Flags.integer({
      min: 1,
      default: 30,
      helpValue: 'SECONDS',
      summary: 'another worker may have a job whose worker has said nothing for so long',
    }),
    folder: Flags.string({ helpValue: 'FOLDER', summary: 'the folder that names in jobs are meant from' }),
    'until-empty': Flags.boolean({ summary: 'end when no job is left; exit code 9 when some failed here' }),
    json: Flags.boolean({ summary: 'print a JSON object a line for each job' }),
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(QueueWork)
    const worker = new QueueWorker({
      ...flags,
      program: join(this.config.root, 'bin', 'run.js'),
      folder: flags.folder ?? process.cwd(),
      onEnd: (line) => this.log(flags.json ? JSON.stringify(line) : lineOf(line)),
    })
    await new Promise<void>((resolve) => {
      process.once('SIGTERM', resolve).once('SIGINT', resolve)
      if (flags['until-empty']) void this.#untilEmpty(flags, worker).then(resolve)
    })
    await worker.end()
    if (flags['until-empty'] && worker.failed > 0) this.exit(9)
  }

  async #untilEmpty(place: { readonly redis: string; readonly queue: string }, worker: QueueWorker): Promise<void> {
    for (;;) {
      try {
        // One connection for all that is asked: each takes a while to make, and others wait for the end of this.
        await withQueue(place, async (queue) => {
          do await worker.drained(lookEvery)
          while (!worker.idle || (await queue.getJobCountByTypes('waiting', 'active', 'delayed', 'prioritized')) > 0)
        })
        return
      } catch (error) {
        // The server is restarted, perhaps: the jobs that run go on meanwhile.
        if (!(error instanceof QueueError)) throw error
      }
    }
  }
}

function lineOf({ outcome, name, end }: WorkLine): string {
  const why = end?.error === undefined ? '' : `: ${end.error.message}`
  return `${outcome.padEnd(8)}  ${name} (${end?.seconds.toFixed(1) ?? '0'} s)${why}`
}
