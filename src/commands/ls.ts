import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues, progressFlag } from '../cli/flags.js'
import { exitCodes } from '../errors.js'

export default class Ls extends BaseCommand {
  static override summary = 'List files inside an image.'
  static override description =
    'Lists the files of a folder in the filesystem that the image holds, without ' +
    (`mounting it and without special rights. Nothing is written. Names are ordered; a folder's ends with a ` +
      'slash. What is damaged is reported, the rest is listed, and the exit code is 9.')
  static override examples = [
    { description: 'The root folder', command: '<%= config.bin %> <%= command.id %> usb.img:/' },
    {
      description: 'Sizes, times, owners and modes',
      command: '<%= config.bin %> <%= command.id %> server.vhdx@2:/etc -l',
    },
    {
      description: 'Everything below a folder, for a program',
      command: '<%= config.bin %> <%= command.id %> esp.qcow2:/EFI --recursive --json',
    },
  ]
  static override args = {
    file: string({
      required: true,
      description: 'the image and the folder or file in it, as IMAGE:/PATH or IMAGE@PARTITION:/PATH',
    }),
  }
  static override usage = '<%= command.id %> IMAGE:/PATH [FLAGS]'
  static override flags = {
    ...openFlags,
    ...progressFlag,
    long: boolean({
      char: 'l',
      summary: 'show kind, mode, links, owner, group, size, time and target, where the filesystem has them',
    }),
    recursive: boolean({ char: 'R', summary: 'also what lies in the folders, and in theirs' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Ls)
    const [{ listManyFiles }, { parseFileAddress }, context] = await Promise.all([
      import('../operations/files/list.js'),
      import('../operations/files/address.js'),
      this.context(flags),
    ])
    const { image, path } = parseFileAddress(args.file, context.registry.schemes) ?? { image: args.file, path: '/' }
    const { recursive, long } = flags
    const document = await listManyFiles(image, path, { ...context, ...openValues(flags), recursive })
    if (document.failures.length > 0) this.exitWith(exitCodes.partial)
    await this.show({
      schema: 'vdisk.ls',
      result: { ...document, long, paths: recursive },
      document,
      isLong: true,
      view: () => import('../cli/view/ls.js'),
    })
  }
}
