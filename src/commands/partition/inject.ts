import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, optionValues, progressFlag, writeFlags } from '../../cli/flags.js'
import { copyFlags, formatFlags, formatValues } from '../../cli/format-flags.js'
import { paragraphs } from '../../cli/paragraphs.js'
import type { InjectResult } from '../../operations/partition/inject.js'

const { compress, flush, verify, threads, sparse } = copyFlags

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
    const { args, flags } = await this.parse(PartitionInject)
    const [{ injectPartition }, registry] = await Promise.all([
      import('../../operations/partition/inject.js'),
      this.registry(),
    ])
    const progress = this.progress(flags.progress)
    const result = await injectPartition(args.partition, args.source, {
      registry,
      ...openValues(flags),
      ...formatValues(flags),
      output: flags.output,
      inPlace: flags['in-place'],
      allowTableLoss: flags['allow-table-loss'],
      content: {
        from: flags['source-from'],
        fromOptions: optionValues(flags['source-option']),
        snapshot: flags['source-snapshot'],
      },
      force: flags.force,
      flush: flags.flush,
      verify: flags.verify,
      dryRun: flags['dry-run'],
      threads: flags.threads,
      sparse: flags.sparse,
      uuid: flags.uuid,
      time: this.buildTime,
      signal: this.signal,
      onProgress: progress.update,
    })
    progress.end()
    if (flags.json) this.printJson({ schema: 'vdisk.partition.inject', schemaVersion: 1, ...result })
    else await this.#show(result)
  }

  async #show(result: InjectResult): Promise<void> {
    const { renderer, sizeText, sourceText } = await import('../../cli/render.js')
    const render = await renderer(process.stdout)
    await this.tellNotes(result.notes)
    const { disk, partition, source, slack, target } = result
    this.print(render.heading(result.dryRun ? 'Would inject' : 'Injected'))
    this.print(
      render.facts([
        ['source', `${sourceText(source)}, ${sizeText(source.capacity)}`],
        ['into', `partition ${partition.number} of ${disk.path}, ${sizeText(partition.length)}`],
        ...(slack.filesystem === undefined
          ? []
          : [
              [
                'filesystem',
                `${slack.filesystem.title}, ${sizeText(slack.filesystem.size)}; ` +
                  `${sizeText(slack.filesystem.unused)} of the partition unused`,
              ] as const,
            ]),
        target === undefined ? ['changed', `${disk.path}, in place`] : ['target', `${target.path} (${target.format})`],
        ...(result.verified ? [['verified', 'every byte of the disk, read back from the target'] as const] : []),
      ]),
    )
    if (result.dryRun) this.print('Nothing was written (--dry-run).')
  }
}
