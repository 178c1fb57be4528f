import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { progressFlag } from '../../cli/flags.js'
import { paragraphs } from '../../cli/paragraphs.js'
import { exitCodes } from '../../errors.js'

export default class BackupFind extends BaseCommand {
  static override summary = 'Find a file in the points of a backup set.'
  static override description = paragraphs(`
    Says which points of SET hold the file PATH, and in which states: its size, time of change and SHA-256. Every
    partition is looked into that has a filesystem vdisk reads. The address that is printed can be given to vdisk cat
    and vdisk cp.

    The exit code is 1 when no point holds it.
  `)
  static override examples = [
    {
      description: 'Since when is this file so?',
      command: '<%= config.bin %> <%= command.id %> /mnt/backup/disk /etc/fstab',
    },
  ]
  static override args = {
    set: string({ required: true, description: 'the folder of the set' }),
    path: string({ required: true, description: 'the file, seen from its partition: /etc/fstab' }),
  }
  static override usage = '<%= command.id %> SET PATH [FLAGS]'
  static override flags = { ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BackupFind)
    const { findInSet } = await import('../../operations/backup/find.js')
    const result = await findInSet(args.set, args.path, await this.context(flags))
    await this.show({ schema: 'vdisk.backup-find', result, view: () => import('../../cli/view/backup-find.js') })
    if (result.states.length === 0) this.exitWith(exitCodes.negative)
  }
}
