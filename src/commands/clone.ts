import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { deviceFlags, deviceValues, progressFlag, usedOnlyFlags, usedOnlyValues } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'

export default class Clone extends BaseCommand {
  static override summary = 'Copy a physical disk to another one.'
  static override description = paragraphs(`
    Copies the physical disk SOURCE to the physical disk TARGET, or a partition to a partition, without a file
    in between. Everything on the target is lost. The source is opened read-only and exclusively: a disk in use
    is refused, unless --live accepts a copy of a changing disk.

    You are shown the target and must type its name. Without a terminal, both --yes and --confirm with its serial or
    size are needed. A target is refused if the running system needs it, if it is mounted, held by LVM, LUKS, RAID
    or a loop device, used as swap space, read-only, too small, has another sector size, or holds the source. One
    flag overrides each check, and only that one.

    Both ends of the target are cleared first and written last, so that an interrupted run leaves nothing that looks
    like a usable disk. Everything is written past the page cache, then read back and compared. The backup GPT is
    written at the real end of the target. Use --new-ids if the copy is used beside its source.
  `)
  static override examples = [
    {
      description: 'Copy a disk to a larger one, and use all of it',
      command: '<%= config.bin %> <%= command.id %> /dev/sda /dev/sdb --grow',
    },
    {
      description: 'See what would be done',
      command: '<%= config.bin %> <%= command.id %> /dev/sda /dev/sdb --dry-run',
    },
    {
      description: 'Only what the filesystems use',
      command: '<%= config.bin %> <%= command.id %> /dev/sda /dev/sdb --used-only',
    },
    {
      description: 'From a program',
      command: '<%= config.bin %> <%= command.id %> /dev/sda /dev/sdb --yes --confirm S6PXNS0W123456',
    },
  ]
  static override args = {
    source: string({ required: true, description: 'the disk or partition to read' }),
    target: string({ required: true, description: 'the disk or partition to overwrite' }),
  }
  static override usage = '<%= command.id %> SOURCE TARGET [FLAGS]'
  static override flags = {
    live: boolean({
      summary: 'read a source that is in use: the copy is crash-consistent at best',
      helpGroup: 'GUARD OVERRIDE',
    }),
    ...usedOnlyFlags,
    ...deviceFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Clone)
    const { clone } = await import('../operations/device/clone.js')
    const result = await clone(args.source, args.target, {
      ...deviceValues(flags),
      toolVersion: this.config.version,
      forgetLater: this.forgetLater,
      live: flags.live,
      usedOnly: usedOnlyValues(flags),
      ask: this.asking(`Copy ${args.source} to ${args.target}`),
      signal: this.signal,
      onProgress: this.onProgress(flags.progress),
    })
    await this.show({ schema: 'vdisk.clone', result, view: () => import('../cli/view/clone.js') })
  }
}
