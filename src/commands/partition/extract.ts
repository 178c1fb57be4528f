import { string } from '@oclif/core/args'
import { option } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag, usedOnlyFlags, usedOnlyValues, writeFlags } from '../../cli/flags.js'
import { copyFlags, formatFlags, formatValues } from '../../cli/format-flags.js'
import { standardOutput } from '../../cli/streams.js'
import { paragraphs } from '../../cli/paragraphs.js'
import { usage } from '../../errors.js'
import type { ExtractResult } from '../../operations/partition/extract.js'

const { compress, size, flush, verify, threads, sparse } = copyFlags

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
      description: 'Look for something in it',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@2 - | strings',
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
    ...formatFlags,
    ...writeFlags,
    compress,
    size,
    flush,
    verify,
    threads,
    sparse,
    ...usedOnlyFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PartitionExtract)
    const toStream = args.target === '-'
    if (toStream && flags.json) throw usage('E_STREAM', 'standard output cannot take both the image and --json')
    const [{ extractPartition }, registry] = await Promise.all([
      import('../../operations/partition/extract.js'),
      this.registry(),
    ])
    const result = await extractPartition(args.partition, toStream ? standardOutput(process.stdout) : args.target, {
      registry,
      ...openValues(flags),
      ...formatValues(flags),
      wrap: flags.wrap,
      size: flags.size,
      force: flags.force,
      flush: flags.flush,
      verify: flags.verify,
      dryRun: flags['dry-run'],
      threads: flags.threads,
      sparse: flags.sparse,
      usedOnly: usedOnlyValues(flags),
      uuid: flags.uuid,
      time: this.buildTime,
      signal: this.signal,
      onProgress: this.progress(flags.progress).update,
    })
    if (flags.json) this.printJson({ schema: 'vdisk.partition.extract', schemaVersion: 1, ...result })
    else await this.#show(result, toStream)
  }

  async #show(result: ExtractResult, toStream: boolean): Promise<void> {
    const { renderer, sizeText, sourceText } = await import('../../cli/render.js')
    // Standard output may be the image.
    const render = await renderer(toStream ? process.stderr : process.stdout)
    const say = (text: string): void => (toStream ? this.tell(text) : this.print(text))
    await this.tellNotes(result.notes)
    const { source, target, partition, wrapped } = result
    say(render.heading(result.dryRun ? 'Would extract' : 'Extracted'))
    say(
      render.facts([
        ['source', sourceText(source)],
        ...(partition === undefined
          ? []
          : [
              [
                'partition',
                `${partition.type.name}${partition.label === undefined ? '' : `, ${partition.label}`}, ` +
                  sizeText(partition.length),
              ] as const,
            ]),
        [
          'target',
          `${target.path} (${target.format})${wrapped === undefined ? '' : `, a disk with ${wrapped.scheme.toUpperCase()} of ${sizeText(target.capacity)}`}`,
        ],
        ...(target.size === undefined ? [] : [['target file', sizeText(target.size)] as const]),
        ...(result.verified ? [['verified', 'every byte, read back from the target, equals the source'] as const] : []),
      ]),
    )
    if (result.dryRun) say('Nothing was written (--dry-run).')
  }
}
