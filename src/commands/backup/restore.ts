import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { deviceFlags, deviceValues, progressFlag } from '../../cli/flags.js'
import { paragraphs } from '../../cli/paragraphs.js'

export default class BackupRestore extends BaseCommand {
  static override summary = 'Restore a point of a backup set to a physical disk or partition.'
  static override description = paragraphs(`
    Writes the disk as it was at a point of a set to the physical disk DEVICE. Everything on DEVICE is lost; the set is
    only read. It does what vdisk restore SET@TIME DEVICE does, with the same guards and questions.
  `)
  static override examples = [
    {
      description: 'See what would be done',
      command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk@latest /dev/sdb --dry-run',
    },
    {
      description: 'The disk as it was on a day',
      command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk@2026-11-20 /dev/sdb',
    },
  ]
  static override args = {
    point: string({ required: true, description: 'the source: SET@latest, SET@2026-11-20' }),
    device: string({ required: true, description: 'the target: the disk or partition to overwrite' }),
  }
  static override usage = '<%= command.id %> SET@TIME DEVICE [FLAGS]'
  static override flags = { ...deviceFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BackupRestore)
    const { restorePoint } = await import('../../operations/backup/restore.js')
    const result = await restorePoint(args.point, args.device, {
      ...(await this.context(flags)),
      ...deviceValues(flags),
      ask: this.asking(`Restore ${args.point} to ${args.device}`),
    })
    await this.show({ schema: 'vdisk.restore', result, view: () => import('../../cli/view/restore.js') })
  }
}
