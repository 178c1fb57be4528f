import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { imageFlags, imageValues, progressFlag } from '../../cli/flags.js'
import { paragraphs } from '../../cli/paragraphs.js'

export default class ChainCommit extends BaseCommand {
  static override summary = 'Write what a child holds into its parent.'
  static override description = paragraphs(`
    Changes the PARENT of CHILD, in place: everything that CHILD holds is written into it, so that both show the
    same disk. A parent that is smaller grows first. CHILD stays, and stays a child; with --delete-child it is
    deleted once both have been compared (as Hyper-V does when it merges a disk).

    CHILD shows the same at any moment, also after an interruption or a power cut; PARENT alone is not usable before
    all is done. No other program may use either meanwhile. Other children of PARENT become unusable: if any are
    found in the folders of the two, nothing is done.
  `)
  static override examples = [
    {
      description: 'Merge a checkpoint into its disk',
      command: '<%= config.bin %> <%= command.id %> checkpoint.avhdx --delete-child',
    },
    {
      description: 'What would be written, and into what?',
      command: '<%= config.bin %> <%= command.id %> child.qcow2 --dry-run',
    },
  ]
  static override args = { child: string({ required: true, description: 'the image whose parent is changed' }) }
  static override usage = '<%= command.id %> CHILD [FLAGS]'
  static override flags = {
    ...imageFlags,
    'delete-child': boolean({ summary: 'delete CHILD afterwards; the disks are compared before' }),
    verify: boolean({ summary: 'compare both disks afterwards' }),
    'allow-other-children': boolean({
      summary: 'change the parent although other images have it as their parent too; they are worth nothing afterwards',
    }),
    'dry-run': boolean({ summary: 'compare and say what would be done, write nothing' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ChainCommit)
    const { commitChain } = await import('../../operations/chain/commit.js')
    const result = await commitChain(args.child, {
      ...(await this.context(flags)),
      ...imageValues(flags),
      deleteChild: flags['delete-child'],
      verify: flags.verify || undefined,
      dryRun: flags['dry-run'],
    })
    await this.show({ schema: 'vdisk.chain.commit', result, view: () => import('../../cli/view/chain-commit.js') })
  }
}
