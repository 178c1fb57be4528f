import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { allowOtherChildren, openFlags, openValues, progressFlag } from '../cli/flags.js'

export default class Compact extends BaseCommand {
  static override summary = 'Free the space of zeros and unused blocks.'
  static override description =
    'Makes the file of IMAGE smaller: blocks that hold only zeros are given back, ' +
    ('and those behind them move down. With --output a compacted copy is made and IMAGE is only read; with ' +
      ('--in-place IMAGE itself is changed, block by block, so that an interruption or a power cut at any ' +
        'moment leaves it whole. The disk reads the same afterwards.'))
  static override examples = [
    { description: 'A smaller copy', command: '<%= config.bin %> <%= command.id %> server.vhdx --output smaller.vhdx' },
    { description: 'Without room for a copy', command: '<%= config.bin %> <%= command.id %> server.vhdx --in-place' },
  ]
  static override args = { image: string({ required: true, description: 'the image to compact' }) }
  static override usage = '<%= command.id %> IMAGE --output FILE|--in-place [FLAGS]'
  static override flags = {
    ...openFlags,
    'allow-other-children': allowOtherChildren(),
    output: stringFlag({ helpValue: 'FILE', summary: 'where the compacted copy goes' }),
    'in-place': boolean({ summary: 'change the image itself' }),
    force: boolean({ char: 'f', summary: 'replace an existing target, once the new one is complete' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Compact)
    const { compact } = await import('../operations/change/compact.js')
    const result = await compact(args.image, {
      ...(await this.context(flags)),
      ...openValues(flags),
      output: flags.output,
      inPlace: flags['in-place'],
      force: flags.force,
    })
    await this.show({ schema: 'vdisk.compact', result, view: () => import('../cli/view/compact.js') })
  }
}
