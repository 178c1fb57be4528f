import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { imageFlags, imageValues, progressFlag } from '../../cli/flags.js'

export default class SnapshotDelete extends BaseCommand {
  static override summary = 'Delete an internal snapshot of an image.'
  static override description =
    'Takes a snapshot out of IMAGE (QCOW2). What only the snapshot used is free ' +
    (`afterwards, for what IMAGE stores next; \`vdisk compact\` makes the file smaller. IMAGE is changed ` +
      ('itself; the snapshot is gone all at once, and an interruption or a power cut before leaves it there. ' +
        'Nobody else may use IMAGE meanwhile.'))
  static override examples = [
    { description: 'By its name', command: '<%= config.bin %> <%= command.id %> server.qcow2 before-update' },
    {
      description: 'How much would that free?',
      command: '<%= config.bin %> <%= command.id %> server.qcow2 before-update --dry-run',
    },
  ]
  static override args = {
    image: string({ required: true, description: 'the image to change' }),
    snapshot: string({
      required: true,
      description: 'the id of the snapshot, or its name; `id:2` and `name:2` where 2 is both',
    }),
  }
  static override usage = '<%= command.id %> IMAGE ID|NAME [FLAGS]'
  static override flags = {
    ...imageFlags,
    'dry-run': boolean({ summary: 'say what would be done, write nothing' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SnapshotDelete)
    const [{ deleteSnapshot }, registry] = await Promise.all([
      import('../../operations/change/snapshot.js'),
      this.registry(),
    ])
    const progress = this.progress(flags.progress)
    const result = await deleteSnapshot(args.image, args.snapshot, {
      registry,
      ...imageValues(flags),
      dryRun: flags['dry-run'],
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
    const { id, name, date, capacity, own } = result.snapshot
    this.print(render.heading(result.dryRun ? 'Would delete a snapshot' : 'Deleted a snapshot'))
    this.print(
      render.facts([
        ['image', `${result.path} (${result.format})`],
        ['snapshot', id === undefined ? name : `${id}: ${name}`],
        ['date', date],
        ['disk', sizeText(Number(capacity))],
        ...(own === undefined ? [] : [[result.dryRun ? 'would be free' : 'free now', sizeText(own)] as const]),
        ['snapshots now', String(result.count)],
      ]),
    )
    if (result.dryRun) this.print('Nothing was written (--dry-run).')
  }
}
