import { string } from '@oclif/core/args'
import { boolean, custom } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { progressFlag } from '../../cli/flags.js'
import { paragraphs } from '../../cli/paragraphs.js'
import { exitCodes, printable, usage } from '../../errors.js'

const percent = custom<number>({
  helpValue: 'PERCENT',
  parse: (text) => {
    const value = Number(text.replace(/%$/, ''))
    if (!(value > 0 && value <= 100))
      throw usage('E_COUNT', `${printable(text)} is no share from above 0 to 100 percent; write for example 5%`)
    return Promise.resolve(value)
  },
})

export default class BackupCheck extends BaseCommand {
  static override summary = 'Check that the points of a backup set are what they were.'
  static override description = paragraphs(`
    Checks the structures of every image in SET and that each belongs to its parent, then reads a part of what the
    images store and compares it with the digests that were taken when the disk was imaged. The next check goes on
    where this one stopped, so that ten checks of 10 percent have read everything. Nothing but that place is written.

    The exit code is 0 when all is well, 1 when something is not.
  `)
  static override examples = [
    { description: 'A tenth of it', command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk' },
    { description: 'All of it', command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk --all' },
  ]
  static override args = { set: string({ required: true, description: 'the folder of the set' }) }
  static override usage = '<%= command.id %> SET [FLAGS]'
  static override flags = {
    sample: percent({ summary: 'how much of what is stored is read; 10% when left out', exclusive: ['all'] }),
    all: boolean({ summary: 'read all that is stored' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BackupCheck)
    const { checkSet } = await import('../../operations/backup/check.js')
    const { signal, onProgress } = await this.context(flags)
    const result = await checkSet(args.set, { sample: flags.all ? 100 : (flags.sample ?? 10), signal, onProgress })
    await this.show({ schema: 'vdisk.backup-check', result, view: () => import('../../cli/view/backup-check.js') })
    if (result.problems.length > 0) this.exitWith(exitCodes.negative)
  }
}
