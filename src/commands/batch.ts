import { string } from '@oclif/core/args'
import { boolean, option, string as text } from '@oclif/core/flags'
import { exitCodes } from '../errors.js'
import { BaseCommand } from '../cli/base-command.js'
import { count, progressFlag } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'

export default class Batch extends BaseCommand {
  static override summary = 'Run many commands from a file, and only those not done yet.'
  static override description = paragraphs(`
    JOBS is a YAML or JSON list of vdisk commands, without the word vdisk. Each is run as it stands, some at a time. A
    job that fails does not stop the others.

    What is done is remembered in a folder (JOBS.state). A second run does what failed, what is new, and what made a
    file that is no longer as it was left. A job is known by its command and the folder it runs in, so a changed command
    is a new job.

    Exit code 0: all jobs are done. 9: some failed; each has a log in the folder.
  `)
  static override examples = [
    { description: 'Run the jobs of a file', command: '<%= config.bin %> <%= command.id %> jobs.yaml' },
    {
      description: 'Two at a time; what would run is listed first',
      command:
        '<%= config.bin %> <%= command.id %> jobs.yaml --dry-run && ' +
        '<%= config.bin %> <%= command.id %> jobs.yaml --parallel 2',
    },
  ]
  static override args = { jobs: string({ required: true, description: 'the file of jobs: a YAML or JSON list' }) }
  static override flags = {
    parallel: count({ summary: 'how many jobs run at a time (default: 1; each uses several processors)' }),
    state: text({ helpValue: 'FOLDER', summary: 'where to remember what is done (default: JOBS.state)' }),
    rate: text({ helpValue: 'LIMIT', summary: 'each job moves at most this many bytes a second: 50M' }),
    'if-exists': option({
      options: ['same'] as const,
      summary: "same: a conversion whose target is there is done where the target's record says that it is the same",
    })(),
    'dry-run': boolean({ summary: 'show what would run; run nothing' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Batch)
    const { runBatch } = await import('../operations/batch/run.js')
    const { jobLine } = await import('../cli/view/batch.js')
    const [, script = ''] = process.argv
    const result = await runBatch(args.jobs, {
      state: flags.state ?? `${args.jobs}.state`,
      parallel: flags.parallel ?? 1,
      program: [process.execPath, script],
      rate: flags.rate,
      ifExists: flags['if-exists'],
      dryRun: flags['dry-run'],
      signal: this.signal,
      onProgress: this.onProgress(flags.progress),
      onJob: (job) => {
        this.endProgress()
        if (!this.hasFlag('json')) this.print(jobLine(job))
      },
    })
    if (result.jobs.some(({ outcome }) => outcome === 'failed')) this.exitWith(exitCodes.partial)
    await this.show({ schema: 'vdisk.batch', result, view: () => import('../cli/view/batch.js') })
  }
}
