import { string } from '@oclif/core/args'
import { string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag } from '../../cli/flags.js'
import { newImageFlags, targetValues } from '../../cli/format-flags.js'
import { paragraphs } from '../../cli/paragraphs.js'

export default class ChainFlatten extends BaseCommand {
  static override summary = 'Write a chain of images as one.'
  static override description = paragraphs(`
    Reads IMAGE through all of its parents and writes the same disk as one new image TARGET, which needs none of
    them. No image of the chain is changed. The format of the target is that of its extension, and may be another
    one.

    With --until only the upper part of the chain is merged, down to and including that image. TARGET is then a
    child of the image below.
  `)
  static override examples = [
    {
      description: 'One image that needs no other',
      command: '<%= config.bin %> <%= command.id %> checkpoint.avhdx server.vhdx --verify',
    },
    {
      description: 'Join the two newest images, and keep the rest of the chain',
      command: '<%= config.bin %> <%= command.id %> newest.qcow2 joined.qcow2 --until 1',
    },
  ]
  static override args = {
    image: string({ required: true, description: 'the image to begin with' }),
    target: string({ required: true, description: 'the image to make' }),
  }
  static override usage = '<%= command.id %> IMAGE TARGET [FLAGS]'
  static override flags = {
    ...openFlags,
    until: stringFlag({
      helpValue: 'DEPTH|PATH|NAME',
      summary: 'the last image to take in, as vdisk chain show lists them',
    }),
    ...newImageFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ChainFlatten)
    const { flattenChain } = await import('../../operations/chain/show.js')
    const result = await flattenChain(args.image, args.target, {
      ...(await this.context(flags)),
      ...openValues(flags),
      ...targetValues(flags),
      until: flags.until,
    })
    await this.show({ schema: 'vdisk.chain.flatten', result, view: () => import('../../cli/view/chain-flatten.js') })
  }
}
