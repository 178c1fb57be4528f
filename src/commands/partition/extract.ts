import { string } from '@oclif/core/args'
import { option } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag, usedOnlyFlags, usedOnlyValues } from '../../cli/flags.js'
import { copyFlags, newImageFlags, targetValues } from '../../cli/format-flags.js'
import { standardOutput } from '../../cli/streams.js'
import { paragraphs } from '../../cli/paragraphs.js'
import { usage } from '../../errors.js'

export default class PartitionExtract extends BaseCommand {
  static override summary = 'Take a partition out of a disk.'
  static override description = paragraphs(`
    Writes one partition of the disk in IMAGE as a new image TARGET of any format. The source is only read.

    With --wrap the target is a new disk with a partition table, whose only partition it is: it starts at 1 MiB, and
    keeps its type, its name and its attributes. A disk without a table is wrapped whole.
  `)
  static override examples = [
    {
      description: 'The second partition as an image',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@2 root.qcow2',
    },
    {
      description: 'The same as a disk with a table around it',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@label=root root.vhdx --wrap gpt',
    },
    {
      description: 'Give its bytes to another program',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@2 - | sha256sum',
    },
  ]
  static override args = {
    partition: string({ required: true, description: 'the partition, as IMAGE@N, IMAGE@label=NAME or IMAGE@uuid=ID' }),
    target: string({ required: true, description: 'the image to make; - for standard output' }),
  }
  static override usage = '<%= command.id %> IMAGE@N TARGET [FLAGS]'
  static override flags = {
    ...openFlags,
    wrap: option({
      options: ['gpt', 'mbr'] as const,
      summary: 'put a new disk with such a table around the partition',
    })(),
    ...newImageFlags,
    size: copyFlags.size,
    ...usedOnlyFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PartitionExtract)
    const toStream = args.target === '-'
    if (toStream && flags.json) throw usage('E_STREAM', 'standard output cannot take both the image and --json')
    const { extractPartition } = await import('../../operations/partition/extract.js')
    const result = await extractPartition(args.partition, toStream ? standardOutput(process.stdout) : args.target, {
      ...(await this.context(flags)),
      ...openValues(flags),
      ...targetValues(flags),
      wrap: flags.wrap,
      usedOnly: usedOnlyValues(flags),
    })
    const view = () => import('../../cli/view/partition-extract.js')
    await this.show({ schema: 'vdisk.partition.extract', result, view, onStandardError: toStream })
  }
}
