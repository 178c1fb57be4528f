import { string } from '@oclif/core/args'
import { boolean, string as stringFlag } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { mountFlags, openFlags, openValues, progressFlag } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'

export default class Mount extends BaseCommand {
  static override summary = 'Mount what is in an image, or show it as files.'
  static override description = paragraphs(`
    Mounts the filesystem in IMAGE, or in the partition IMAGE@N, on the folder DIR; with --all every partition on a
    folder below DIR. Without DIR the disk is only shown, as the file disk.img and one file a partition.

    The image is only read, unless you say where changes go. The journal of a filesystem that was not unmounted
    cleanly is replayed in a temporary layer, and the image stays as it is. To end it, "vdisk unmount" or just
    umount. Root mounts with the kernel's drivers, and with ntfs-3g, fuse2fs, fusefat and exfat-fuse where the
    kernel has none; other users with those programs, where /dev/fuse allows it.
  `)
  static override examples = [
    {
      description: 'Look into the second partition of a backup',
      command: '<%= config.bin %> <%= command.id %> backup.vhdx@2 /mnt',
    },
    {
      description: 'All partitions, on /mnt/1, /mnt/2, …',
      command: '<%= config.bin %> <%= command.id %> server.qcow2 /mnt --all',
    },
    {
      description: 'Change files; the image stays, the changes go to a file',
      command: '<%= config.bin %> <%= command.id %> server.qcow2@3 /mnt --overlay changes.qcow2',
    },
    {
      description: 'Change files in the image itself',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@3 /mnt --write',
    },
    {
      description: 'The disk as a raw file, for other programs',
      command: '<%= config.bin %> <%= command.id %> server.vhdx',
    },
  ]
  static override args = {
    image: string({ required: true, description: 'the image, or a partition of it (disk.vhdx@2)' }),
    dir: string({ description: 'the folder to mount on; left out: the disk is shown as files' }),
  }
  static override usage = '<%= command.id %> IMAGE[@N] [DIR] [FLAGS]'
  static override flags = {
    ...mountFlags,
    'mount-options': stringFlag({
      helpValue: 'OPTIONS',
      summary:
        'options for mount(8) or the program that mounts, with commas; nosuid and nodev are set unless they ' +
        'say otherwise',
    }),
    'allow-other': boolean({
      summary: 'let other users look at it too (for users: needs user_allow_other in /etc/fuse.conf)',
    }),
    ...openFlags,
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Mount)
    const [{ mount }, { registryModule }, context] = await Promise.all([
      import('../operations/mount/mount.js'),
      import('../cli/plugin-registry.js'),
      this.context(flags),
    ])
    const result = await mount(args.image, args.dir, {
      ...context,
      registryModule: registryModule(context.registry),
      ...openValues(flags),
      overlay: flags.overlay,
      write: flags.write,
      throwaway: flags.throwaway,
      allowTableLoss: flags['allow-table-loss'],
      all: flags.all,
      scratchFolder: flags.tmp,
      others: flags['allow-other'],
      mountOptions: flags['mount-options']?.split(','),
    })
    await this.show({ schema: 'vdisk.mount', result, view: () => import('../cli/view/mount.js') })
  }
}
