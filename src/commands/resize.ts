import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues, progressFlag, sizeChange } from '../cli/flags.js'

export default class Resize extends BaseCommand {
  static override summary = 'Give the disk of an image another size.'
  static override description =
    'Makes the disk in IMAGE larger or smaller, in place. What is added reads as ' +
    ('zero. A disk is made smaller only where it holds nothing but zeros, unless --shrink is given: then what ' +
      'is cut off is lost. Partitions and filesystems stay as they are; grow them in the guest, shrink them before.')
  static override examples = [
    { description: 'Make the disk 100 GiB', command: '<%= config.bin %> <%= command.id %> server.vhdx 100G' },
    { description: 'Make it 20 GiB larger', command: '<%= config.bin %> <%= command.id %> server.qcow2 +20G' },
    {
      description: 'See whether 10 GiB less would lose anything',
      command: '<%= config.bin %> <%= command.id %> server.vhd -10G --dry-run',
    },
  ]
  static override args = {
    image: string({ required: true, description: 'the image to change' }),
    size: string({
      required: true,
      description:
        'bytes of its disk (K, M, G, T: powers of 1024); with + or - before it, how much is added or taken away',
    }),
  }
  static override usage = '<%= command.id %> IMAGE [+|-]SIZE [FLAGS]'
  static override flags = {
    ...openFlags,
    ...progressFlag,
    shrink: boolean({ summary: 'cut off content too; it is lost' }),
    'allow-other-children': boolean({
      summary: 'resize an image although others have it as their parent; they may be worth nothing afterwards',
    }),
    'allow-misplaced-metadata': boolean({
      summary: 'resize a member (RAID, dynamic disk) whose metadata lies at its end, where it is none afterwards',
    }),
    'dry-run': boolean({ summary: 'say what would be done, write nothing' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Resize)
    const { resize } = await import('../operations/change/resize.js')
    const result = await resize(args.image, sizeChange(args.size), {
      ...(await this.context(flags)),
      ...openValues(flags),
      shrink: flags.shrink,
      allowMisplacedMetadata: flags['allow-misplaced-metadata'],
      dryRun: flags['dry-run'],
    })
    await this.show({ schema: 'vdisk.resize', result, view: () => import('../cli/view/resize.js') })
  }
}
