import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'

export default class BackupShow extends BaseCommand {
  static override summary = 'Show what a backup set is of, its settings, and its points.'
  static override description = 'Shows the source disk, how images are made, the policy, the room, and the points.'
  static override examples = [
    { description: 'Of what, and with which policy?', command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk' },
  ]
  static override args = { set: string({ required: true, description: 'the folder of the set' }) }
  static override usage = '<%= command.id %> SET [FLAGS]'

  async run(): Promise<void> {
    const { args } = await this.parse(BackupShow)
    const { showSet } = await import('../../operations/backup/list.js')
    const result = showSet(args.set)
    await this.show({ schema: 'vdisk.backup-show', result, view: () => import('../../cli/view/backup-show.js') })
  }
}
