import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { openFlags, optionValues, progressFlag } from '../cli/flags.js'
import { paragraphs } from '../cli/paragraphs.js'
import { exitCodes, grouped, printable, usage } from '../errors.js'
import type { CopyFilesResult } from '../operations/files/copy.js'

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
    recursive: boolean({ char: 'r', summary: 'copy a folder with all that is in it' }),
    force: boolean({ char: 'f', summary: 'replace files that exist, each once its copy is complete' }),
    ...progressFlag,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Cp)
    const [{ copyFiles }, { parseFileAddress }, registry] = await Promise.all([
      import('../operations/files/copy.js'),
      import('../operations/files/address.js'),
      this.registry(),
    ])
    const address = parseFileAddress(args.source, registry.schemes)
    if (address === undefined)
      throw usage('E_FILE_ADDRESS', `${args.source} names no file inside an image`, {
        hint: 'Write IMAGE:/PATH, for example disk.vhdx@2:/etc/fstab',
      })
    const progress = this.progress(flags.progress)
    const result = await copyFiles(address.image, address.path, args.target, {
      registry,
      from: flags.from,
      snapshot: flags.snapshot,
      recursive: flags.recursive,
      force: flags.force,
      signal: this.signal,
      fromOptions: optionValues(flags['from-option']),
      parentFormat: flags['parent-format'],
      allowReferences: flags['allow-reference'],
      onProgress: progress.update,
    })
    if (result.failed > 0) this.exitWith(exitCodes.partial)
    if (flags.json) this.printJson({ schema: 'vdisk.cp', schemaVersion: 1, ...result })
    else await this.#show(result)
  }

  async #show(result: CopyFilesResult): Promise<void> {
    const { renderer, sizeText } = await import('../cli/render.js')
    const render = await renderer(process.stderr)
    await this.tellNotes(result.notes)
    const warn = (text: string): string => render.warning(text)
    for (const { path, message, hint } of result.failures)
      this.tell(warn(`Not copied: ${path}: ${message}${hint === undefined ? '' : ` ${hint}`}`))
    if (result.failed > result.failures.length)
      this.tell(warn(`Not copied: ${result.failed - result.failures.length} more`))
    if (result.otherStreams > 0)
      this.tell(warn(`Warning: ${result.otherStreams} of the files have alternate data streams, which were not copied`))
    const counts = (
      [
        [result.files, 'file'],
        [result.folders, 'folder'],
        [result.links, 'link'],
      ] as const
    )
      .filter(([count, word]) => count > 0 || word === 'file')
      .map(([count, word]) => `${grouped(count)} ${word}${count === 1 ? '' : 's'}`)
    this.print(
      `Copied ${counts.join(', ')} to ${printable(result.target.path)}: ` +
        `${sizeText(result.bytes)}${result.failed > 0 ? `; ${result.failed} not` : ''}`,
    )
  }
}
