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
    const { deleteSnapshot } = await import('../../operations/change/snapshot.js')
    const result = await deleteSnapshot(args.image, args.snapshot, {
      ...(await this.context(flags)),
      ...imageValues(flags),
      dryRun: flags['dry-run'],
    })
    await this.show({
      schema: 'vdisk.snapshot.change',
      result,
      view: () => import('../../cli/view/snapshot-delete.js'),
    })
  }
}
