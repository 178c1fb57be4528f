import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag } from '../../cli/flags.js'

export default class PartitionList extends BaseCommand {
  static override summary = 'List the partitions of a disk.'
  static override description =
    'Lists the partitions of the disk in IMAGE: the table of `inspect`, without its details. Nothing is written.'
  static override examples = [
    { description: 'Which partitions are there?', command: '<%= config.bin %> <%= command.id %> server.vhdx' },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> server.vhdx --json' },
  ]
  static override args = { image: string({ required: true, description: 'the image whose partitions are listed' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = { ...openFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PartitionList)
    const { inspect } = await import('../../operations/inspect/inspect.js')
    await this.show({
      schema: 'vdisk.inspect',
      result: await inspect(args.image, { ...(await this.context(flags)), ...openValues(flags) }),
      view: () => import('../../cli/view/partition-list.js'),
    })
  }
}
