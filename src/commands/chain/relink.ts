import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { imageFlags, imageValues } from '../../cli/flags.js'
import { paragraphs } from '../../cli/paragraphs.js'

export default class ChainRelink extends BaseCommand {
  static override summary = 'Record where the parent of an image is now.'
  static override description = paragraphs(`
    Records PARENT as the parent of CHILD, in CHILD itself; nothing else is changed, and the old parent need not
    exist. PARENT must be the recorded one: its id is compared (VHD, VHDX; QCOW2 records none). For a parent with
    other content use \`vdisk chain rebase\`.

    A path relative to CHILD is stored first, where the format has several also the absolute one; in VHD and VHDX as
    Windows writes them. A power cut leaves the old record or the new one.
  `)
  static override examples = [
    {
      description: 'The parent was moved',
      command: '<%= config.bin %> <%= command.id %> checkpoint.avhdx parents/server.vhdx',
    },
    {
      description: 'The parent was copied and its id changed, its content is the same',
      command: '<%= config.bin %> <%= command.id %> child.vhdx copy.vhdx --force-identity',
    },
  ]
  static override args = {
    child: string({ required: true, description: 'the image to change' }),
    parent: string({ required: true, description: 'its parent, where it is now' }),
  }
  static override usage = '<%= command.id %> CHILD PARENT [FLAGS]'
  static override flags = {
    ...imageFlags,
    'force-identity': boolean({
      summary: 'take PARENT although its id is not the recorded one: its content must be that of the old parent',
    }),
    'dry-run': boolean({ summary: 'check everything, write nothing' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ChainRelink)
    const { relinkChain } = await import('../../operations/chain/relink.js')
    const result = relinkChain(args.child, args.parent, {
      registry: await this.registry(),
      ...imageValues(flags),
      forceIdentity: flags['force-identity'],
      dryRun: flags['dry-run'],
    })
    await this.show({ schema: 'vdisk.chain.relink', result, view: () => import('../../cli/view/chain-relink.js') })
  }
}
