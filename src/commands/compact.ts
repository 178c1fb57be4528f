import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues, progressFlag } from '../cli/flags.js'

export default class Compact extends BaseCommand {
  static override summary = 'Give back the space of zeros and unused blocks.'
  static override description =
    'Makes the file of IMAGE smaller: blocks that hold only zeros are given back, ' +
    ('and those behind them move down. With --output a compacted copy is made and IMAGE is only read; with ' +
      ('--in-place IMAGE itself is changed, block by block, so that an interruption or a power cut at any ' +
        'moment leaves it whole. The disk reads the same afterwards.'))
  static override examples = [
    { description: 'A smaller copy', command: '<%= config.bin %> <%= command.id %> server.vhdx --output smaller.vhdx' },
    { description: 'Without room for a copy', command: '<%= config.bin %> <%= command.id %> server.vhdx --in-place' },
  ]
  static override args = { image: string({ required: true, description: 'the image to compact' }) }
  static override usage = '<%= command.id %> IMAGE --output FILE|--in-place [FLAGS]'
  static override flags = {
    ...openFlags,
    output: stringFlag({ helpValue: 'FILE', summary: 'where the compacted copy goes' }),
    'in-place': boolean({ summary: 'change the image itself' }),
    force: boolean({ char: 'f', summary: 'replace an existing target, once the new one is complete' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Compact)
    const [{ compact }, registry] = await Promise.all([import('../operations/change/compact.js'), this.registry()])
    const progress = this.progress(flags.progress)
    const result = await compact(args.image, {
      registry,
      ...openValues(flags),
      output: flags.output,
      inPlace: flags['in-place'],
      force: flags.force,
      signal: this.signal,
      onProgress: progress.update,
    })
    progress.end()
    if (flags.json) {
      this.printJson({ schema: 'vdisk.compact', schemaVersion: 1, ...result })
      return
    }
    const { fileSizeText, renderer, sizeText } = await import('../cli/render.js')
    const render = await renderer(process.stdout)
    await this.tellNotes(result.notes)
    this.print(render.heading('Compacted'))
    this.print(
      render.facts([
        [result.target === result.path ? 'image' : 'source', `${result.path} (${result.format}, ${result.subformat})`],
        ...(result.target === result.path ? [] : [['target', result.target] as const]),
        ['file before', fileSizeText(result.before.size, result.before.allocated)],
        ['file after', fileSizeText(result.after.size, result.after.allocated)],
        ['zeros given back', sizeText(result.zeros)],
      ]),
    )
  }
}
