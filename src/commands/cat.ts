import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, openValues, progressFlag } from '../cli/flags.js'
import { standardOutput } from '../cli/streams.js'
import { usage } from '../errors.js'

export default class Cat extends BaseCommand {
  static override summary = 'Print a file inside an image.'
  static override description =
    'Writes the bytes of a file in the filesystem that the image holds to standard ' +
    ('output, without mounting it and without special rights. Links are followed inside the filesystem. ' +
      'Nothing is written elsewhere.')
  static override examples = [
    { description: 'Look at a text', command: '<%= config.bin %> <%= command.id %> server.vhdx@2:/etc/fstab' },
    {
      description: 'Take out one file',
      command: '<%= config.bin %> <%= command.id %> esp.img:/EFI/BOOT/BOOTX64.EFI > BOOTX64.EFI',
    },
  ]
  static override args = {
    file: string({
      required: true,
      description: 'the image and the file in it, as IMAGE:/PATH or IMAGE@PARTITION:/PATH',
    }),
  }
  static override usage = '<%= command.id %> IMAGE:/PATH [FLAGS]'
  static override flags = { ...openFlags, ...progressFlag }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Cat)
    if (flags.json)
      throw usage('E_STREAM', 'standard output cannot take both the file and --json', {
        hint: 'vdisk ls --json describes the file.',
      })
    const [{ readFile }, { neededFileAddress }, context] = await Promise.all([
      import('../operations/files/read.js'),
      import('../operations/files/address.js'),
      // A file that is printed on the terminal is its own progress.
      this.context({ progress: flags.progress ?? (process.stdout.isTTY ? 'none' : undefined) }),
    ])
    const { image, path } = neededFileAddress(args.file, context.registry.schemes)
    // Text on a terminal is what this command is for: unlike an image, a file may go there.
    const { output } = standardOutput({ write: (bytes, done) => process.stdout.write(bytes, done) })
    const { notes } = await readFile(image, path, output, { ...context, ...openValues(flags) })
    await this.printWarnings(notes.map(({ message }) => `Warning: ${message}`))
  }
}
