import { string } from '@oclif/core/args'
import { boolean, option } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag, writeFlags } from '../../cli/flags.js'
import { copyFlags, formatFlags, formatValues } from '../../cli/format-flags.js'
import { paragraphs } from '../../cli/paragraphs.js'
import type { ConvertTableResult } from '../../operations/partition/convert.js'

const { compress, flush, verify, threads, sparse } = copyFlags

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
    ...formatFlags,
    ...writeFlags,
    compress,
    flush,
    verify,
    threads,
    sparse,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PartitionConvert)
    const [{ convertPartitionTable }, registry] = await Promise.all([
      import('../../operations/partition/convert.js'),
      this.registry(),
    ])
    const result = await convertPartitionTable(args.image, args.target, {
      registry,
      ...openValues(flags),
      ...formatValues(flags),
      table: flags.table,
      roundEnds: flags['round-ends'],
      force: flags.force,
      flush: flags.flush,
      verify: flags.verify,
      dryRun: flags['dry-run'],
      threads: flags.threads,
      sparse: flags.sparse,
      uuid: flags.uuid,
      time: this.buildTime,
      signal: this.signal,
      onProgress: this.progress(flags.progress).update,
    })
    if (flags.json) this.printJson({ schema: 'vdisk.partition.convert', schemaVersion: 1, ...result })
    else await this.#show(result)
  }

  async #show(result: ConvertTableResult): Promise<void> {
    const { renderer, sizeText, sourceText } = await import('../../cli/render.js')
    const render = await renderer(process.stdout)
    await this.tellNotes(result.notes)
    const { source, target, before, after } = result
    const table = ({ scheme, sectorSize }: ConvertTableResult['before']): string =>
      `${scheme.toUpperCase()}, sectors of ${sectorSize} bytes`
    this.print(render.heading(result.dryRun ? 'Would convert' : 'Converted'))
    this.print(
      render.facts([
        ['source', sourceText(source)],
        ['target', `${target.path} (${target.format})`],
        ['disk', sizeText(target.capacity)],
        ['table before', table(before)],
        ['table now', table(after)],
        ...(target.size === undefined ? [] : [['target file', sizeText(target.size)] as const]),
        ...(result.verified ? [['verified', 'every byte of the disk, read back from the target'] as const] : []),
      ]),
    )
    if (result.dryRun) this.print('Nothing was written (--dry-run).')
  }
}
