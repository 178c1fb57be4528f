import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { imageFlags, imageValues, progressFlag, writeFlags } from '../../cli/flags.js'
import { copyFlags, formatFlags, formatValues } from '../../cli/format-flags.js'

const { compress, flush, verify, threads, sparse } = copyFlags

export default class SnapshotExtract extends BaseCommand {
  static override summary = 'Write the disk of an internal snapshot as an image.'
  static override description =
    'Writes the disk as it was when the snapshot was taken as a new image TARGET, ' +
    (`of the format of its extension. IMAGE is only read. The same as \`vdisk convert IMAGE TARGET --snapshot ` +
      `SNAPSHOT\`.`)
  static override examples = [
    {
      description: 'The disk before the update',
      command: '<%= config.bin %> <%= command.id %> server.qcow2 before-update before.vhdx --verify',
    },
  ]
  static override args = {
    image: string({ required: true, description: 'the image that holds the snapshot' }),
    snapshot: string({
      required: true,
      description: 'the id of the snapshot, or its name; `id:2` and `name:2` where 2 is both',
    }),
    target: string({ required: true, description: 'the image to make' }),
  }
  static override usage = '<%= command.id %> IMAGE ID|NAME TARGET [FLAGS]'
  static override flags = {
    ...imageFlags,
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
    const { args, flags } = await this.parse(SnapshotExtract)
    const [{ extractSnapshot }, registry] = await Promise.all([
      import('../../operations/change/snapshot.js'),
      this.registry(),
    ])
    const result = await extractSnapshot(args.image, args.snapshot, args.target, {
      registry,
      ...imageValues(flags),
      ...formatValues(flags),
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
    if (flags.json) {
      this.printJson({ schema: 'vdisk.convert', schemaVersion: 1, ...result })
      return
    }
    const { renderer, sizeText } = await import('../../cli/render.js')
    const render = await renderer(process.stdout)
    await this.tellNotes(result.notes)
    const { target } = result
    this.print(render.heading(result.dryRun ? 'Would extract' : 'Extracted'))
    this.print(
      render.facts([
        ['image', args.image],
        ['snapshot', args.snapshot],
        ['target', `${target.path} (${target.format})`],
        ['disk', sizeText(target.capacity)],
        ...(target.size === undefined ? [] : [['target file', sizeText(target.size)] as const]),
        ...(result.verified
          ? [['verified', 'every byte of the disk, read back from the target, equals the snapshot'] as const]
          : []),
      ]),
    )
    if (result.dryRun) this.print('Nothing was written (--dry-run).')
  }
}
