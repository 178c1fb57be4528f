import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag } from '../../cli/flags.js'
import { exitCodes } from '../../errors.js'

export default class ChainShow extends BaseCommand {
  static override summary = 'Show the chain of an image: its parent, the parent of that …'
  static override description =
    'Lists IMAGE and every image below it, with its id, its sizes, and how it ' +
    ('stands towards its parent: base needs none; linked means that the parent was found and has the recorded ' +
      ('id; linked-by-name, that it was found and no id is recorded (QCOW2 records none); broken, that it was ' +
        ('not found or is not the right one. For a broken link all places that were looked at are listed, and ' +
          'the command ends with 1.')))
  static override examples = [
    { description: 'Is the chain complete?', command: '<%= config.bin %> <%= command.id %> child.vhdx' },
    {
      description: 'Look for parents in another folder',
      command: '<%= config.bin %> <%= command.id %> child.vhdx --search /srv/parents',
    },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> child.qcow2 --json' },
  ]
  static override args = { image: string({ required: true, description: 'the image to begin with' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = { ...openFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ChainShow)
    const { showChainLater } = await import('../../operations/chain/show.js')
    const result = await showChainLater(args.image, { ...(await this.context(flags)), ...openValues(flags) })
    if (!result.complete) this.exitWith(exitCodes.negative)
    await this.show({ schema: 'vdisk.chain.show', result, view: () => import('../../cli/view/chain-show.js') })
  }
}
