import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { imageFlags, imageValues, progressFlag } from '../../cli/flags.js'

export default class SnapshotList extends BaseCommand {
  static override summary = 'List the internal snapshots of an image.'
  static override description =
    'Lists the snapshots that IMAGE (QCOW2) holds, with the size of their disk, the state of a running ' +
    ('machine that is kept with them, and what of the file nothing else uses: so much is free when the ' +
      'snapshot is deleted.')
  static override examples = [
    { description: 'Which snapshots are there?', command: '<%= config.bin %> <%= command.id %> server.qcow2' },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> server.qcow2 --json' },
  ]
  static override args = { image: string({ required: true, description: 'the image whose snapshots are listed' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = { ...imageFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SnapshotList)
    const [{ listSnapshots }, registry] = await Promise.all([
      import('../../operations/change/snapshot.js'),
      this.registry(),
    ])
    const progress = this.progress(flags.progress)
    const result = await listSnapshots(args.image, {
      registry,
      ...imageValues(flags),
      signal: this.signal,
      onProgress: progress.update,
    })
    progress.end()
    if (flags.json) {
      this.printJson({ schema: 'vdisk.snapshot.list', schemaVersion: 1, ...result })
      return
    }
    const { renderer, shortSize } = await import('../../cli/render.js')
    const render = await renderer(process.stdout)
    await this.tellNotes(result.notes)
    if (result.snapshots.length === 0) {
      this.print(render.plain(`${result.path} has no snapshots`))
      return
    }
    this.print(
      await render.table(
        ['id', 'name', 'date (UTC)', 'disk', 'VM state', 'its own'],
        result.snapshots.map(({ id, name, date, capacity, vmStateSize, own }) => [
          id,
          name,
          date.slice(0, 19).replace('T', ' '),
          shortSize(Number(capacity)),
          vmStateSize === 0 ? '' : shortSize(Number(vmStateSize)),
          own === undefined ? 'not known' : shortSize(own),
        ]),
      ),
    )
  }
}
