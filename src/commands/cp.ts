import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { allowOtherChildren, openFlags, progressFlag, openValues } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import { exitCodes } from '../errors.js'

export default class Cp extends BaseCommand {
  static override summary = 'Copy files out of an image.'
  static override description = paragraphs(`
    Copies a file, or with --recursive a folder with all that is in it, out of the filesystem that the image holds,
    without mounting it and without special rights. The image is only read.

    Copies have the times, permission bits and holes of their originals, and belong to you. Links stay links; no
    link or name in the image makes cp write outside of TARGET. If TARGET is a folder, the copy goes into it under
    its own name. Files that cannot be copied are reported and skipped, and the exit code is then 9.
  `)
  static override examples = [
    { description: 'One file', command: '<%= config.bin %> <%= command.id %> server.vhdx@2:/etc/fstab .' },
    {
      description: 'A folder with all that is in it',
      command: '<%= config.bin %> <%= command.id %> -r backup.qcow2:/home/ann ann',
    },
    { description: 'Everything', command: '<%= config.bin %> <%= command.id %> -r usb.img:/ usb-files' },
  ]
  static override args = {
    source: string({
      required: true,
      description: 'the image and the file or folder in it, as IMAGE:/PATH or IMAGE@PARTITION:/PATH',
    }),
    target: string({ required: true, description: 'a folder, or the name of the copy' }),
  }
  static override usage = '<%= command.id %> IMAGE:/PATH TARGET [FLAGS]'
  static override flags = {
    ...openFlags,
    'allow-other-children': allowOtherChildren(),
    recursive: boolean({ char: 'r', summary: 'copy a folder with all that is in it' }),
    force: boolean({ char: 'f', summary: 'replace files that exist, each once its copy is complete' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Cp)
    const [{ copyFiles }, { neededFileAddress }, context] = await Promise.all([
      import('../operations/files/copy.js'),
      import('../operations/files/address.js'),
      this.context(flags),
    ])
    const { image, path } = neededFileAddress(args.source, context.registry.schemes)
    const result = await copyFiles(image, path, args.target, {
      ...context,
      ...openValues(flags),
      recursive: flags.recursive,
      force: flags.force,
    })
    if (result.failed > 0) this.exitWith(exitCodes.partial)
    await this.show({ schema: 'vdisk.cp', result, view: () => import('../cli/view/cp.js') })
  }
}
