import { string } from '@oclif/core/args'
import { boolean, option } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag } from '../../cli/flags.js'
import { newImageFlags, targetValues } from '../../cli/format-flags.js'
import { paragraphs } from '../../cli/paragraphs.js'

export default class PartitionConvert extends BaseCommand {
  static override summary = 'Write a disk with another kind of partition table.'
  static override description = paragraphs(`
    Writes the disk in IMAGE as a new image TARGET with another partition table: one that counts in sectors of 512
    or 4096 bytes (--sector-size), or GPT instead of MBR and the other way round (--table). The content of
    partitions is copied as it is, to the same place.

    The command refuses what would lose data: partitions that do not start and end with the new sectors, types and
    attributes that the new table cannot express, more partitions than it can hold. An MBR has no names and ids of
    partitions: a warning lists those that are lost. Filesystems with another sector size than the disk are
    reported.
  `)
  static override examples = [
    {
      description: 'For a disk with 4096-byte sectors',
      command: '<%= config.bin %> <%= command.id %> server.vhdx new.vhdx --sector-size 4096',
    },
    { description: 'GPT instead of MBR', command: '<%= config.bin %> <%= command.id %> old.vhd new.vhdx --table gpt' },
  ]
  static override args = {
    image: string({ required: true, description: 'the image to read' }),
    target: string({ required: true, description: 'the image to make' }),
  }
  static override usage = '<%= command.id %> IMAGE TARGET --sector-size 512|4096|--table gpt|mbr [FLAGS]'
  static override flags = {
    table: option({
      options: ['gpt', 'mbr'] as const,
      summary: "the kind of the new table; the old one's when left out",
    })(),
    'round-ends': boolean({ summary: 'let partitions that end inside a new sector end with it' }),
    ...openFlags,
    ...newImageFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PartitionConvert)
    const { convertPartitionTable } = await import('../../operations/partition/convert.js')
    const result = await convertPartitionTable(args.image, args.target, {
      ...(await this.context(flags)),
      ...openValues(flags),
      ...targetValues(flags),
      table: flags.table,
      roundEnds: flags['round-ends'],
    })
    await this.show({
      schema: 'vdisk.partition.convert',
      result,
      view: () => import('../../cli/view/partition-convert.js'),
    })
  }
}
