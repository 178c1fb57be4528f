import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { paragraphs } from '../cli/paragraphs.js'

export default class Disks extends BaseCommand {
  static override summary = 'List the disks of this computer.'
  static override description = paragraphs(`
    Shows each disk so that it can be recognised: model, serial number, size, how it is attached, its partitions and
    what they hold, who uses them, whether the running system needs the disk, and whether vdisk would write to it.

    Disks are opened read-only. What the partitions hold is read by vdisk itself, which needs the right to read them
    (root); everything else needs no special rights.
  `)
  static override examples = [
    { description: 'Which disk is the new one?', command: '<%= config.bin %> <%= command.id %>' },
    { description: 'Also loops, LVM and LUKS volumes, and RAID', command: '<%= config.bin %> <%= command.id %> --all' },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> --json' },
  ]
  static override flags = {
    all: boolean({
      char: 'a',
      summary: 'also show what is no disk of its own: loops, LVM and LUKS volumes, RAID, memory, network',
    }),
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(Disks)
    const { disks } = await import('../operations/device/disks.js')
    await this.show({
      schema: 'vdisk.disks',
      result: await disks({ all: flags.all, signal: this.signal }),
      view: () => import('../cli/view/disks.js'),
    })
  }
}
