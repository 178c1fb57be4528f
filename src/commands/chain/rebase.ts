import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { imageFlags, imageValues, progressFlag } from '../../cli/flags.js'
import { paragraphs } from '../../cli/paragraphs.js'
import { usage } from '../../errors.js'

export default class ChainRebase extends BaseCommand {
  static override summary = 'Give an image another parent, and keep what it shows.'
  static override description = paragraphs(`
    Makes PARENT the parent of CHILD, in CHILD itself. What the disk shows stays the same: where the old parent and
    the new one differ, the content of the old one is copied into CHILD before the new one is recorded. With
    --no-parent everything is copied into CHILD, which then needs no other image. Neither parent is changed.

    An interruption or a power cut leaves CHILD over its old parent or over the new one, with the same content. No
    other program may use CHILD meanwhile.
  `)
  static override examples = [
    {
      description: 'Over the parent of its parent, which is then not needed any more',
      command: '<%= config.bin %> <%= command.id %> newest.qcow2 base.qcow2',
    },
    {
      description: 'On its own, without a copy',
      command: '<%= config.bin %> <%= command.id %> child.vhdx --no-parent',
    },
    {
      description: 'How much would it take in?',
      command: '<%= config.bin %> <%= command.id %> child.vhd other.vhd --dry-run',
    },
  ]
  static override args = {
    child: string({ required: true, description: 'the image to change' }),
    parent: string({ description: 'its new parent' }),
  }
  static override usage = '<%= command.id %> CHILD PARENT|--no-parent [FLAGS]'
  static override flags = {
    ...imageFlags,
    'no-parent': boolean({ default: false, summary: 'take in all that the parent has, and need none' }),
    'dry-run': boolean({ summary: 'compare the parents and say what would be done, write nothing' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ChainRebase)
    if ((args.parent === undefined) !== flags['no-parent'])
      throw usage('E_REBASE_TARGET', 'say what the new parent is', { hint: 'Name an image, or say --no-parent.' })
    const { rebaseChain } = await import('../../operations/chain/rebase.js')
    const result = await rebaseChain(args.child, args.parent, {
      ...(await this.context(flags)),
      ...imageValues(flags),
      dryRun: flags['dry-run'],
    })
    await this.show({ schema: 'vdisk.chain.rebase', result, view: () => import('../../cli/view/chain-rebase.js') })
  }
}
