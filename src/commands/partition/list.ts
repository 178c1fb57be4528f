import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues } from '../../cli/flags.js'

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
  static override flags = { ...openFlags }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PartitionList)
    const [{ inspect }, registry] = await Promise.all([import('../../operations/inspect/inspect.js'), this.registry()])
    const result = await inspect(args.image, { registry, ...openValues(flags) })
    if (flags.json) {
      this.printJson({ schema: 'vdisk.inspect', schemaVersion: 1, ...result })
      return
    }
    const { partitionListText } = await import('../../cli/inspect-text.js')
    this.print(await partitionListText(result, process.stdout))
  }
}
