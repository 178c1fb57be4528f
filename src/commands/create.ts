import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { chainFlags, chainValues, progressFlag, sizeArgument } from '../cli/flags.js'
import { createFlags, platformFlag, targetValues } from '../cli/format-flags.js'

export default class Create extends BaseCommand {
  static override summary = 'Create an empty image.'
  static override description =
    'Makes a new image TARGET whose disk has SIZE bytes and reads as zero; or, with ' +
    '--parent, one that reads as its parent until something is written to it.'
  static override examples = [
    { description: 'A dynamic VHDX of 64 GiB', command: '<%= config.bin %> <%= command.id %> disk.vhdx 64G' },
    { description: 'A fixed VHD', command: '<%= config.bin %> <%= command.id %> disk.vhd 10G --subformat fixed' },
    {
      description: 'A child of an existing image, of the same size',
      command: '<%= config.bin %> <%= command.id %> child.qcow2 --parent base.qcow2',
    },
  ]
  static override args = {
    target: string({ required: true, description: 'the image to make' }),
    size: sizeArgument({
      required: false,
      description: "bytes of its disk (K, M, G, T: powers of 1024); the parent's when left out",
    }),
  }
  static override usage = '<%= command.id %> TARGET [SIZE] [FLAGS]'
  static override flags = { ...createFlags, ...platformFlag, ...chainFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Create)
    const { create } = await import('../operations/transfer/create.js')
    const result = await create(args.target, {
      ...(await this.context(flags)),
      ...chainValues(flags),
      ...targetValues(flags),
      size: args.size,
    })
    await this.show({ schema: 'vdisk.create', result, view: () => import('../cli/view/create.js') })
  }
}
