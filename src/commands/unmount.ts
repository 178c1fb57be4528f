import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'

export default class Unmount extends BaseCommand {
  static override summary = 'Unmount what "mount" mounted.'
  static override description =
    'Unmounts a folder, or everything of an image, and waits until all changes are in the image and it is ' +
    'closed. What is in use is not unmounted; the processes that use it are listed.'
  static override examples = [
    { description: 'One folder', command: '<%= config.bin %> <%= command.id %> /mnt' },
    { description: 'All that is mounted of an image', command: '<%= config.bin %> <%= command.id %> server.qcow2' },
    { description: 'Although a program stands in it', command: '<%= config.bin %> <%= command.id %> /mnt --lazy' },
  ]
  static override args = {
    target: string({
      required: true,
      description: 'the folder, the image, a partition of it (disk.vhdx@2), or the block device',
    }),
  }
  static override usage = '<%= command.id %> DIR|IMAGE [FLAGS]'
  static override flags = {
    lazy: boolean({
      summary: 'take it away at once although it is in use; the image is closed when the last user ends',
    }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Unmount)
    const { unmount } = await import('../operations/mount/unmount.js')
    await this.show({
      schema: 'vdisk.unmount',
      result: { images: await unmount(args.target, { lazy: flags.lazy, signal: this.signal }) },
      view: () => import('../cli/view/unmount.js'),
    })
  }
}
