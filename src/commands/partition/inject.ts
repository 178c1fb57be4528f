import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, optionValues, progressFlag } from '../../cli/flags.js'
import { newImageFlags, targetValues } from '../../cli/format-flags.js'
import { paragraphs } from '../../cli/paragraphs.js'

export default class PartitionInject extends BaseCommand {
  static override summary = 'Put an image into a partition of a disk.'
  static override description = paragraphs(`
    Replaces the content of one partition of the disk in IMAGE by the disk in SOURCE, which may be of any format, or
    a partition of another image. With --output the changed disk is a new image, and IMAGE stays as it is; with
    --in-place IMAGE itself is changed.

    The source must not be larger than the partition. What it does not reach reads as zero afterwards; how much the
    filesystem in it leaves unused is reported. The partition table is not changed: where a part of it lies inside
    the partition (an extended boot record, the backup of a GPT), that part stays if the source does not use these
    bytes, and the command refuses if it does.
  `)
  static override examples = [
    {
      description: 'A new disk with another root',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@2 root.qcow2 --output new.vhdx',
    },
    {
      description: 'Change the disk itself',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@2 root.qcow2 --in-place',
    },
    {
      description: 'Take a partition from another disk',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@1 other.qcow2@1 --output new.vhdx',
    },
  ]
  static override args = {
    partition: string({
      required: true,
      description: 'the partition to be replaced, as IMAGE@N, IMAGE@label=NAME or IMAGE@uuid=ID',
    }),
    source: string({ required: true, description: 'the image to put in' }),
  }
  static override usage = '<%= command.id %> IMAGE@N SOURCE --output FILE|--in-place [FLAGS]'
  static override flags = {
    output: stringFlag({ helpValue: 'FILE', exclusive: ['in-place'], summary: 'the new image, whose disk is changed' }),
    'in-place': boolean({ summary: 'change IMAGE itself' }),
    'allow-table-loss': boolean({
      summary: 'overwrite what the partition table has inside the partition (a boot record of another one, a backup)',
    }),
    'allow-misplaced-metadata': boolean({
      summary: 'put in a member (RAID, dynamic disk) whose metadata lies at its end, where it is none',
    }),
    ...openFlags,
    'source-from': stringFlag({
      helpValue: 'FORMAT',
      summary: 'format of SOURCE; found from its content when left out',
    }),
    'source-option': stringFlag({
      helpValue: 'NAME=VALUE',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'an option for reading SOURCE',
    }),
    'source-snapshot': stringFlag({ helpValue: 'ID|NAME', summary: 'read this internal snapshot of SOURCE' }),
    ...newImageFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PartitionInject)
    const { injectPartition } = await import('../../operations/partition/inject.js')
    const result = await injectPartition(args.partition, args.source, {
      ...(await this.context(flags)),
      ...openValues(flags),
      ...targetValues(flags),
      output: flags.output,
      inPlace: flags['in-place'],
      allowTableLoss: flags['allow-table-loss'],
      allowMisplacedMetadata: flags['allow-misplaced-metadata'],
      content: {
        from: flags['source-from'],
        fromOptions: optionValues(flags['source-option']),
        snapshot: flags['source-snapshot'],
      },
    })
    await this.show({
      schema: 'vdisk.partition.inject',
      result,
      view: () => import('../../cli/view/partition-inject.js'),
    })
  }
}
