import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { count, openFlags, openValues, optionValues, progressFlag } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import { exitCodes } from '../errors.js'

export default class Compare extends BaseCommand {
  static override summary = 'Compare the disks of two images.'
  static override description = paragraphs(`
    Compares every byte of the disks of FIRST and SECOND, whatever their formats, each read through its whole chain.
    Shows the first byte that differs, and which sectors (of 512 bytes) do. Where one disk is longer, the rest of it
    must read as zero. Ends with 0 when they are the same and 1 when they differ.

    With --strict the capacities must be equal too, and both images must store something for the same parts of the
    disk. What a raw image stores is what its file system holds for it: holes are not stored.
  `)
  static override examples = [
    {
      description: 'Did the conversion keep every byte?',
      command: '<%= config.bin %> <%= command.id %> server.vhdx server.qcow2',
    },
    {
      description: 'What was written since a snapshot',
      command: '<%= config.bin %> <%= command.id %> disk.qcow2 disk.qcow2 --snapshot before-update --ranges 100',
    },
    { description: 'Only whether they differ', command: '<%= config.bin %> <%= command.id %> a.raw b.raw --first' },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> a.vhd b.vhdx --strict --json' },
  ]
  static override args = {
    first: string({ required: true, description: 'an image' }),
    second: string({ required: true, description: 'the image to compare it with' }),
  }
  static override usage = '<%= command.id %> FIRST SECOND [FLAGS]'
  static override flags = {
    ...openFlags,
    'second-from': stringFlag({
      helpValue: 'FORMAT',
      summary: 'format of SECOND; --from, --from-option and --snapshot are for FIRST',
    }),
    'second-from-option': stringFlag({
      helpValue: 'NAME=VALUE',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'an option for reading SECOND',
    }),
    'second-snapshot': stringFlag({ helpValue: 'ID|NAME', summary: 'read this internal snapshot of SECOND' }),
    strict: boolean({ summary: 'also compare the capacities, and what each image stores' }),
    first: boolean({ summary: 'stop at the first difference', exclusive: ['ranges'] }),
    ranges: count({ summary: 'how many ranges are listed at most (20); all are counted' }),
    threads: count({ summary: 'worker threads for decompression; 0: none' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Compare)
    const { compare } = await import('../operations/inspect/compare.js')
    const result = await compare(args.first, args.second, {
      ...(await this.context(flags)),
      ...openValues(flags),
      second: {
        from: flags['second-from'],
        fromOptions: optionValues(flags['second-from-option']),
        snapshot: flags['second-snapshot'],
      },
      strict: flags.strict,
      first: flags.first,
      limit: flags.ranges,
      threads: flags.threads,
    })
    if (!result.same) this.exitWith(exitCodes.negative)
    await this.show({ schema: 'vdisk.compare', result, view: () => import('../cli/view/compare.js') })
  }
}
