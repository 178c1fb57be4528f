import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, optionValues } from '../cli/flags.js'
import { exitCodes } from '../errors.js'

export default class Ls extends BaseCommand {
  static override summary = 'List files inside an image.'
  static override description =
    'Lists the files of a folder in the filesystem that the image holds, without ' +
    (`mounting it and without special rights. Nothing is written. Names are ordered; a folder's ends with a ` +
      'slash. What is damaged is told, the rest is listed, and the exit code is 9 then.')
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
    long: boolean({
      char: 'l',
      summary: 'show kind, mode, links, owner, group, size, time and target, where the filesystem has them',
    }),
    recursive: boolean({ char: 'R', summary: 'also what lies in the folders, and in theirs' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Ls)
    const [{ listFiles }, { parseFileAddress }, registry] = await Promise.all([
      import('../operations/files/list.js'),
      import('../operations/files/address.js'),
      this.registry(),
    ])
    const { image, path } = parseFileAddress(args.file, registry.schemes) ?? { image: args.file, path: '/' }
    const list = await listFiles(image, path, {
      registry,
      from: flags.from,
      snapshot: flags.snapshot,
      recursive: flags.recursive,
      signal: this.signal,
      fromOptions: optionValues(flags['from-option']),
      parentFormat: flags['parent-format'],
      allowReferences: flags['allow-reference'],
    })
    if (list.failures.length > 0) this.exitWith(exitCodes.partial)
    if (flags.json) {
      this.printJson({ schema: 'vdisk.ls', schemaVersion: 1, ...list })
      return
    }
    const { fileLines } = await import('../cli/file-list.js')
    const lines = fileLines(list.files, { long: flags.long, paths: flags.recursive })
    if (lines.length > 0) this.print(lines.join('\n'))
    await this.tellNotes(list.notes)
    if (list.failures.length === 0) return
    const { renderer } = await import('../cli/render.js')
    const render = await renderer(process.stderr)
    for (const { path: place, message } of list.failures) this.tell(render.warning(`Not listed: ${place}: ${message}`))
  }
}
