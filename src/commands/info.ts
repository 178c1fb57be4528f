import { string } from '@oclif/core/args'
import { boolean } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { errorDocument, errorText } from '../cli/error-text.js'
import { openFlags, openValues, progressFlag } from '../cli/flags.js'
import { exitCodes, isImageError } from '../errors.js'
import type { ImageInfo } from '../operations/inspect/info.js'

export default class Info extends BaseCommand {
  static override summary = 'Show what an image is.'
  static override description =
    'Shows the format of each IMAGE, the size of its disk and of its files, its ' +
    ('sectors, ids and features, the chain of its parents and the other files it names. Nothing is written, ' +
      ('and the content of the disk is not read. A missing parent is reported, and is no error. With several ' +
        'images the exit code is that of the worst.'))
  static override examples = [
    { description: 'What is this file?', command: '<%= config.bin %> <%= command.id %> disk.vhdx' },
    {
      description: 'Everything that its format says, and every field of its headers, with its place in the file',
      command: '<%= config.bin %> <%= command.id %> disk.vhdx --headers',
    },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> *.qcow2 --json' },
  ]
  static override args = { image: string({ required: true, description: 'the image to look at; several may follow' }) }
  static override strict = false
  static override usage = '<%= command.id %> IMAGE... [FLAGS]'
  static override flags = {
    ...openFlags,
    ...progressFlag,
    headers: boolean({ summary: 'show every field of every header, with its place in the file' }),
  }

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Info)
    const [{ infoLater, contentsLater }, { view, contentsText }, { renderer }, context] = await Promise.all([
      import('../operations/inspect/info.js'),
      import('../cli/view/info.js'),
      import('../cli/render.js'),
      this.context(flags),
    ])
    const render = await renderer(process.stdout, flags.verbose)
    const documents: Record<string, unknown>[] = []
    for (const path of argv as string[]) {
      try {
        const options = { ...context, ...openValues(flags) }
        const image = await infoLater(path, options).catch(async (error: unknown) => {
          const contents =
            isImageError(error) && error.code === 'E_WHICH_MEMBER' && (await contentsLater(path, options))
          if (typeof contents === 'object') return contents
          throw error
        })
        if ('disks' in image) {
          if (flags.json) documents.push({ ...image, sections: undefined })
          else this.print(await contentsText(image, render))
        } else if (flags.json) documents.push(forJson(image, flags.headers))
        else this.print(await view.text({ image, headers: flags.headers }, render))
      } catch (error) {
        // One bad image among several does not keep the others from being shown.
        if (!isImageError(error) || argv.length === 1) throw error
        this.exitWith(exitCodes[error.kind])
        if (flags.json) documents.push({ path, error: await errorDocument(error) })
        else this.printError(`${await errorText(error)}\n`)
      }
    }
    if (flags.json) this.printJson({ schema: 'vdisk.info', schemaVersion: 1, images: documents })
  }
}

/** Facts become one object a section; fields are given with --headers only. */
function forJson(image: ImageInfo, headers: boolean): Record<string, unknown> {
  return {
    ...image,
    sections: image.sections.map(({ title, facts, fields }) => ({
      title,
      facts: Object.fromEntries(facts.map(({ name, value }) => [name, value])),
      ...(headers && fields !== undefined ? { fields } : {}),
    })),
  }
}
