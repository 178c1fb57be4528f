import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../../cli/base-command.js'
import { buildTime } from '../../cli/format-flags.js'
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
    const { createSnapshot } = await import('../../operations/change/snapshot.js')
    const result = await createSnapshot(args.image, args.name, {
      ...(await this.context(flags)),
      ...imageValues(flags),
      dryRun: flags['dry-run'],
      time: buildTime(),
    })
    await this.show({
      schema: 'vdisk.snapshot.change',
      result,
      view: () => import('../../cli/view/snapshot-create.js'),
    })
  }
}
