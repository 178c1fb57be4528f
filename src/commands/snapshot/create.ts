import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { imageFlags, imageValues, progressFlag } from '../../cli/flags.js'

export default class SnapshotCreate extends BaseCommand {
  static override summary = 'Keep the disk of an image as it is, as an internal snapshot.'
  static override description =
    'Adds a snapshot of the disk, as it is now, to IMAGE (QCOW2). Nothing is copied ' +
    ('but tables: the disk and the snapshot share their data until one of them changes. IMAGE is changed ' +
      ('itself; the snapshot is there all at once, and an interruption or a power cut before leaves IMAGE ' +
        'without it. Nobody else may use IMAGE meanwhile.'))
  static override examples = [
    { description: 'Before an update', command: '<%= config.bin %> <%= command.id %> server.qcow2 before-update' },
  ]
  static override args = {
    image: string({ required: true, description: 'the image to change' }),
    name: string({ required: true, description: 'the name of the new snapshot' }),
  }
  static override usage = '<%= command.id %> IMAGE NAME [FLAGS]'
  static override flags = {
    ...imageFlags,
    'dry-run': boolean({ summary: 'say what would be done, write nothing' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SnapshotCreate)
    const [{ createSnapshot }, registry] = await Promise.all([
      import('../../operations/change/snapshot.js'),
      this.registry(),
    ])
    const progress = this.progress(flags.progress)
    const result = await createSnapshot(args.image, args.name, {
      registry,
      ...imageValues(flags),
      dryRun: flags['dry-run'],
      time: this.buildTime,
      signal: this.signal,
      onProgress: progress.update,
    })
    progress.end()
    if (flags.json) {
      this.printJson({ schema: 'vdisk.snapshot.change', schemaVersion: 1, ...result })
      return
    }
    const { renderer, sizeText } = await import('../../cli/render.js')
    const render = await renderer(process.stdout)
    await this.tellNotes(result.notes)
    const { id, name, date, capacity } = result.snapshot
    this.print(render.heading(result.dryRun ? 'Would take a snapshot' : 'Took a snapshot'))
    this.print(
      render.facts([
        ['image', `${result.path} (${result.format})`],
        ['snapshot', id === undefined ? name : `${id}: ${name}`],
        ['date', date],
        ['disk', sizeText(Number(capacity))],
        ['snapshots now', String(result.count)],
      ]),
    )
    if (result.dryRun) this.print('Nothing was written (--dry-run).')
  }
}
