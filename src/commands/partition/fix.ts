import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues, progressFlag, writeFlags } from '../../cli/flags.js'
import { copyFlags, formatFlags, formatValues } from '../../cli/format-flags.js'
import { paragraphs } from '../../cli/paragraphs.js'
import { exitCodes } from '../../errors.js'
import type { FixTableResult } from '../../operations/partition/fix.js'

const { compress, flush, verify, threads, sparse } = copyFlags

export default class PartitionFix extends BaseCommand {
  static override summary = 'Mend the partition table of a disk.'
  static override description = paragraphs(`
    Repairs what \`inspect\` finds wrong with a partition table, as far as that needs no guess: a GPT is rebuilt
    from its other copy, the backup is moved to the end of a disk that was enlarged, checksums and the protective
    MBR are corrected. Partitions are not moved, and their content is not changed.

    With --output the repaired disk is a new image; with --in-place IMAGE itself is changed: the damaged copy of the
    table first, then the other, each on the medium before the next, so that one copy is always intact. --dry-run
    shows what would be done. If there is nothing to do, nothing is written.

    --new-ids gives the disk and its partitions new ids, for a clone that is used beside its original, and lists
    what may refer to the old ones. The exit code is 1 when errors are left that it cannot repair.
  `)
  static override examples = [
    { description: 'What would be done?', command: '<%= config.bin %> <%= command.id %> server.vhdx --dry-run' },
    { description: 'Mend the disk itself', command: '<%= config.bin %> <%= command.id %> server.vhdx --in-place' },
    {
      description: 'A clone with ids of its own',
      command: '<%= config.bin %> <%= command.id %> server.vhdx --new-ids --output clone.vhdx',
    },
  ]
  static override args = { image: string({ required: true, description: 'the image whose table is mended' }) }
  static override usage = '<%= command.id %> IMAGE --output FILE|--in-place|--dry-run [FLAGS]'
  static override flags = {
    output: stringFlag({ helpValue: 'FILE', exclusive: ['in-place'], summary: 'the new image, whose table is mended' }),
    'in-place': boolean({ summary: 'change IMAGE itself' }),
    'new-ids': boolean({ summary: 'give the disk and its partitions new ids' }),
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
    const { args, flags } = await this.parse(PartitionFix)
    const [{ fixTable }, registry] = await Promise.all([import('../../operations/partition/fix.js'), this.registry()])
    const result = await fixTable(args.image, {
      registry,
      ...openValues(flags),
      ...formatValues(flags),
      output: flags.output,
      inPlace: flags['in-place'],
      newIds: flags['new-ids'],
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
    if (flags.json) this.printJson({ schema: 'vdisk.partition.fix', schemaVersion: 1, ...result })
    else await this.#show(result)
    if (result.left.some(({ severity }) => severity === 'error')) this.exitWith(exitCodes.negative)
  }

  async #show(result: FixTableResult): Promise<void> {
    const { renderer } = await import('../../cli/render.js')
    const render = await renderer(process.stdout)
    await this.tellNotes(result.notes)
    const { image, mends, ids, mayRefer, left, target } = result
    if (mends.length === 0) this.print('Nothing to mend.')
    else this.print(render.heading(result.dryRun ? 'Would mend' : 'Mended'))
    for (const { message } of mends) this.print(render.plain(`  ${message}`))
    if (mends.length > 0)
      this.print(
        render.facts(
          target === undefined
            ? [['image', `${image.path}${result.dryRun ? '' : ', in place'}`]]
            : [
                ['image', image.path],
                ['target', `${target.path} (${target.format})`],
              ],
        ),
      )
    if (ids.length > 0) {
      this.print(
        `\n${await render.table(
          ['  of', 'old id', 'new id'],
          ids.map(({ partition, label, before, after }) => [
            partition === undefined
              ? '  the disk'
              : `  partition ${partition}${label === undefined ? '' : ` (${label})`}`,
            before,
            after,
          ]),
        )}`,
      )
      this.print(`\n${render.heading('May refer to the old ids')}`)
      for (const line of mayRefer) this.print(render.plain(`  ${line}`))
    }
    for (const { severity, message } of left) if (severity !== 'note') this.print(render.warning(`Left: ${message}`))
    if (result.dryRun && mends.length > 0) this.print('Nothing was written (--dry-run).')
  }
}
