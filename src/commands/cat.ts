import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, optionValues } from '../cli/flags.js'
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
  static override flags = { ...openFlags }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Cat)
    if (flags.json)
      throw usage('E_STREAM', 'standard output cannot take both the file and --json', {
        hint: 'vdisk ls --json tells about the file.',
      })
    const [{ readFile }, { parseFileAddress }, registry] = await Promise.all([
      import('../operations/files/read.js'),
      import('../operations/files/address.js'),
      this.registry(),
    ])
    const address = parseFileAddress(args.file, registry.schemes)
    if (address === undefined)
      throw usage('E_FILE_ADDRESS', `${args.file} names no file inside an image`, {
        hint: 'Write IMAGE:/PATH, for example disk.vhdx@2:/etc/fstab',
      })
    // Text on a terminal is what this command is for: unlike an image, a file may go there.
    const { output } = standardOutput({ write: (bytes, done) => process.stdout.write(bytes, done) })
    const { notes } = await readFile(address.image, address.path, output, {
      registry,
      from: flags.from,
      snapshot: flags.snapshot,
      signal: this.signal,
      fromOptions: optionValues(flags['from-option']),
      parentFormat: flags['parent-format'],
      allowReferences: flags['allow-reference'],
    })
    await this.tellNotes(notes)
  }
}
