import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'

export default class BackupList extends BaseCommand {
  static override summary = 'List the points of a backup set.'
  static override description =
    'Shows each point with its time (UTC), size, state, and why the policy keeps it. SET@TIME names a point ' +
    'wherever an image is read.'
  static override examples = [
    { description: 'All points', command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk' },
    { description: 'One', command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk@latest' },
  ]
  static override args = { set: string({ required: true, description: 'the folder of the set' }) }
  static override usage = '<%= command.id %> SET [FLAGS]'

  async run(): Promise<void> {
    const { args } = await this.parse(BackupList)
    const { listSet } = await import('../../operations/backup/list.js')
    const result = listSet(args.set)
    await this.show({ schema: 'vdisk.backup-list', result, view: () => import('../../cli/view/backup-list.js') })
  }
}
