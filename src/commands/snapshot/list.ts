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
    const { listSnapshots } = await import('../../operations/change/snapshot.js')
    await this.show({
      schema: 'vdisk.snapshot.list',
      result: await listSnapshots(args.image, { ...(await this.context(flags)), ...imageValues(flags) }),
      view: () => import('../../cli/view/snapshot-list.js'),
    })
  }
}
