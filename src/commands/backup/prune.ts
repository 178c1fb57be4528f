import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { keepFlags, keepValues } from '../../cli/backup-flags.js'
import { BaseCommand } from '../../cli/base-command.js'
import { progressFlag } from '../../cli/flags.js'
import { paragraphs } from '../../cli/paragraphs.js'

export default class BackupPrune extends BaseCommand {
  static override summary = 'Delete the points of a backup set that its policy does not keep.'
  static override description = paragraphs(`
    Deletes images that nothing needs. An image that its child needs takes in what the child holds, and then gets the
    child's name. Every point that is kept can be read at any moment, also when the power fails, and an interrupted
    prune is finished by the next one. The newest point is always kept, and so is an image that anything in the folder
    has as its parent.

    The policy is that of the set, unless one is given here. The disk is not touched.
  `)
  static override examples = [
    {
      description: 'What would go?',
      command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk --keep-last 7 --dry-run',
    },
    { description: 'By the policy of the set', command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk' },
  ]
  static override args = { set: string({ required: true, description: 'the folder of the set' }) }
  static override usage = '<%= command.id %> SET [FLAGS]'
  static override flags = {
    ...keepFlags,
    'dry-run': boolean({ summary: 'show what would be done, change nothing' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BackupPrune)
    const { pruneSet } = await import('../../operations/backup/prune.js')
    const { signal, onProgress } = await this.context(flags)
    const result = await pruneSet(args.set, { ...keepValues(flags), dryRun: flags['dry-run'], signal, onProgress })
    await this.show({ schema: 'vdisk.backup-prune', result, view: () => import('../../cli/view/backup-prune.js') })
  }
}
