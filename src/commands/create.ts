import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { allowReferenceFlags, chainValues, progressFlag, sizeArgument } from '../cli/flags.js'
import { createFlags, formatValues } from '../cli/format-flags.js'

export default class Create extends BaseCommand {
  static override summary = 'Create an empty image.'
  static override description =
    'Makes a new image TARGET whose disk has SIZE bytes and reads as zero; or, with ' +
    '--parent, one that reads as its parent until something is written to it.'
  static override examples = [
    { description: 'A dynamic VHDX of 64 GiB', command: '<%= config.bin %> <%= command.id %> disk.vhdx 64G' },
    { description: 'A fixed VHD', command: '<%= config.bin %> <%= command.id %> disk.vhd 10G --subformat fixed' },
    {
      description: 'A child of an existing image, of the same size',
      command: '<%= config.bin %> <%= command.id %> child.qcow2 --parent base.qcow2',
    },
  ]
  static override args = {
    target: string({ required: true, description: 'the image to make' }),
    size: sizeArgument({
      required: false,
      description: "bytes of its disk (K, M, G, T: powers of 1024); the parent's when left out",
    }),
  }
  static override usage = '<%= command.id %> TARGET [SIZE] [FLAGS]'
  static override flags = { ...createFlags, ...allowReferenceFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Create)
    const [{ create }, registry] = await Promise.all([import('../operations/transfer/create.js'), this.registry()])
    const progress = this.progress(flags.progress)
    const result = await create(args.target, {
      registry,
      ...formatValues(flags),
      parent: flags.parent,
      size: args.size,
      ...chainValues(flags),
      force: flags.force,
      dryRun: flags['dry-run'],
      uuid: flags.uuid,
      time: this.buildTime,
      signal: this.signal,
      onProgress: progress.update,
    })
    if (flags.json) {
      this.printJson({ schema: 'vdisk.create', schemaVersion: 1, ...result })
      return
    }
    const { renderer, sizeText } = await import('../cli/render.js')
    const render = await renderer(process.stdout)
    await this.tellNotes(result.notes)
    const { target, parent } = result
    this.print(render.heading(result.dryRun ? 'Would create' : 'Created'))
    this.print(
      render.facts([
        ['target', `${target.path} (${target.format})`],
        ['disk', sizeText(target.capacity)],
        ...(parent === undefined ? [] : [['parent', `${parent.path} (${parent.format})`] as const]),
        ...(target.size === undefined ? [] : [['target file', sizeText(target.size)] as const]),
      ]),
    )
    if (result.dryRun) this.print('Nothing was written (--dry-run).')
  }
}
