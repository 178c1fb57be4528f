import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { imageFlags, imageValues, progressFlag } from '../../cli/flags.js'
import { newImageFlags, targetValues } from '../../cli/format-flags.js'

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
    ...newImageFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SnapshotExtract)
    const { extractSnapshot } = await import('../../operations/change/snapshot.js')
    const { image, snapshot } = args
    const document = await extractSnapshot(image, snapshot, args.target, {
      ...(await this.context(flags)),
      ...imageValues(flags),
      ...targetValues(flags),
    })
    await this.show({
      schema: 'vdisk.convert',
      result: { ...document, image, snapshot },
      document,
      view: () => import('../../cli/view/snapshot-extract.js'),
    })
  }
}
