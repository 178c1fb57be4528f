import { string as argument } from '@oclif/core/args'
import { boolean, string } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { count, deviceFlags, deviceValues, openFlags, openValues, progressFlag } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'

export default class Restore extends BaseCommand {
  static override summary = 'Restore an image to a physical disk or partition.'
  static override description = paragraphs(`
    Writes the disk in IMAGE to the physical disk DEVICE, or a partition of it (IMAGE@2, or --partition 2) to the
    partition DEVICE. Everything on the target is lost. The image may have any format, and is read through its whole
    chain.

    You are shown the target and must type its name. Without a terminal, both --yes and --confirm with its serial or
    size are needed. A disk is refused if the running system needs it, if it is mounted, held by LVM, LUKS, RAID or
    a loop device, used as swap space, read-only, too small, has another sector size, or holds the image itself. One
    flag overrides each check, and only that one.

    Both ends of the target are cleared first and written last, so that an interrupted run leaves nothing that looks
    like a usable disk. Everything is written past the page cache, then read back and compared. The backup GPT is
    written at the real end of the disk.

    Where a block map of bmaptool lies beside a raw image (disk.img.bmap), the checksums in it are compared with the
    image first, and only the blocks that are mapped are written and read back: the others keep what they have.
  `)
  static override examples = [
    {
      description: 'Restore a Hyper-V disk to a USB disk',
      command: '<%= config.bin %> <%= command.id %> server.vhdx /dev/sdb',
    },
    {
      description: 'See what would be done',
      command: '<%= config.bin %> <%= command.id %> server.vhdx /dev/sdb --dry-run',
    },
    {
      description: 'From a program',
      command: '<%= config.bin %> <%= command.id %> server.vhdx /dev/sdb --yes --confirm S6PXNS0W123456',
    },
    {
      description: 'To a larger disk, using all of it',
      command: '<%= config.bin %> <%= command.id %> server.vhdx /dev/sdb --grow',
    },
    {
      description: 'Only what a block map lists',
      command: '<%= config.bin %> <%= command.id %> image.raw.xz /dev/sdb --bmap image.bmap',
    },
    {
      description: 'One partition into a partition',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@3 /dev/sdb3',
    },
  ]
  static override args = {
    image: argument({ required: true, description: 'the image to restore, or a partition of it' }),
    device: argument({ required: true, description: 'the disk or partition to overwrite' }),
  }
  static override usage = '<%= command.id %> IMAGE DEVICE [FLAGS]'
  static override flags = {
    partition: count({ summary: 'restore this partition of the image into one partition; the same as IMAGE@N' }),
    bmap: string({
      helpValue: 'FILE',
      exclusive: ['no-bmap'],
      summary: "the image's block map; default: the .bmap file beside it",
    }),
    'no-bmap': boolean({ summary: 'write all of the image, whatever block map lies beside it' }),
    ...openFlags,
    ...deviceFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Restore)
    const { restore } = await import('../operations/device/restore.js')
    const result = await restore(args.image, args.device, {
      ...(await this.context(flags)),
      ...openValues(flags),
      ...deviceValues(flags),
      toolVersion: this.config.version,
      forgetLater: this.forgetLater,
      partition: flags.partition,
      bmap: flags['no-bmap'] ? false : flags.bmap,
      ask: this.asking(`Restore ${args.image} to ${args.device}`),
    })
    await this.show({ schema: 'vdisk.restore', result, view: () => import('../cli/view/restore.js') })
  }
}
