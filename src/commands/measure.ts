import { string } from '@oclif/core/args'
import { string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues, parentFlag, progressFlag, usedOnlyFlags, usedOnlyValues } from '../cli/flags.js'
import { copyFlags, formatFlags, formatValues, platformFlag } from '../cli/format-flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import { usage } from '../errors.js'

export default class Measure extends BaseCommand {
  static override summary = 'Say how many bytes an image would take.'
  static override description = paragraphs(`
    Prints the exact size of the image that convert would make of SOURCE with the same options; or, without SOURCE,
    of an empty image of --size as create makes it. Nothing is written.

    The conversion is carried out, but its output is not kept: the source is read to find zeros, and compressed with
    --compress. This takes as long as the conversion itself. Blocks that a file system can share between files (XFS,
    btrfs) are counted as shared.
  `)
  static override examples = [
    { description: 'How large would it be?', command: '<%= config.bin %> <%= command.id %> server.vhdx --to qcow2' },
    { description: 'Compressed', command: '<%= config.bin %> <%= command.id %> disk.raw --to qcow2 --compress zstd' },
    {
      description: 'An empty disk',
      command: '<%= config.bin %> <%= command.id %> --size 64G --to vhd --subformat fixed',
    },
  ]
  static override args = {
    source: string({ required: false, description: 'the image to be converted; an empty disk when left out' }),
  }
  static override usage = '<%= command.id %> [SOURCE] --to FORMAT [FLAGS]'
  static override flags = {
    ...openFlags,
    ...formatFlags,
    ...parentFlag,
    ...platformFlag,
    to: stringFlag({ helpValue: 'FORMAT', summary: 'format of the target; needed without --for' }),
    compress: copyFlags.compress,
    size: copyFlags.size,
    sparse: copyFlags.sparse,
    threads: copyFlags.threads,
    ...usedOnlyFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Measure)
    if (args.source === '-')
      throw usage('E_STREAM', 'measure reads no standard input: what came through it would be gone')
    const { measure } = await import('../operations/transfer/measure.js')
    const result = await measure(args.source, {
      ...(await this.context(flags)),
      ...openValues(flags),
      ...formatValues(flags),
      parent: flags.parent,
      size: flags.size,
      sparse: flags.sparse,
      threads: flags.threads,
      usedOnly: usedOnlyValues(flags),
      to: flags.to,
      for: flags.for,
    })
    const { required, fullyAllocated, ...rest } = result
    await this.show({
      schema: 'vdisk.measure',
      result,
      document: { required, 'fully-allocated': fullyAllocated, ...rest },
      view: () => import('../cli/view/measure.js'),
    })
  }
}
