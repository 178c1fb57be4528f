import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import type { Renderer } from '../cli/render.js'
import type { FormatInfo } from '../operations/inspect/formats.js'

export default class Formats extends BaseCommand {
  static override summary = 'Show the formats and what each can do.'
  static override description =
    'Lists the formats that vdisk and its plugins know. With FORMAT, everything about one: its kinds of image ' +
    'and its options for -o.'
  static override examples = [
    { description: 'All formats', command: '<%= config.bin %> <%= command.id %>' },
    { description: 'The options of one', command: '<%= config.bin %> <%= command.id %> qcow2' },
  ]
  static override args = { format: string({ description: 'show everything about this format' }) }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Formats)
    const [{ formats, wrappers }, registry] = await Promise.all([
      import('../operations/inspect/formats.js'),
      this.registry(),
    ])
    const wanted = args.format === undefined ? undefined : registry.get(args.format).id
    const list = formats(registry).filter(({ id }) => wanted === undefined || id === wanted)
    if (flags.json) {
      this.printJson({ schema: 'vdisk.formats', schemaVersion: 1, formats: list, wrappers: wrappers(registry) })
      return
    }
    const { renderer } = await import('../cli/render.js')
    const render = await renderer(process.stdout)
    if (wanted === undefined) {
      this.print(
        await render.table(
          ['format', 'read', 'write', 'kinds', 'parents', 'snapshots', 'compression', 'sectors', 'extensions', 'from'],
          list.map((format) => [
            format.id,
            'yes',
            yesNo(format.canCreate),
            format.subformats.map(({ id }) => id).join(' '),
            parentsText[format.parents],
            yesNo(format.snapshots),
            format.compression.join(' ') || 'no',
            format.sectorSizes.join(' '),
            format.extensions.map((extension) => `.${extension}`).join(' '),
            format.origin,
          ]),
        ),
      )
      this.print(
        `\n${await render.table(
          ['around any image', 'read', 'write', 'how it is reached', 'extensions'],
          wrappers(registry).map((wrapper) => [
            wrapper.id,
            'yes',
            yesNo(wrapper.canCreate),
            wrapper.access,
            wrapper.extensions.map((extension) => `.${extension}`).join(' '),
          ]),
        )}`,
      )
      return
    }
    for (const format of list) {
      this.print(render.heading(`${format.id}: ${format.title}`))
      this.print(
        render.facts([
          ['extensions', format.extensions.map((extension) => `.${extension}`).join(' ')],
          ['can be made', yesNo(format.canCreate)],
          ['parents', parentsText[format.parents]],
          ['snapshots', yesNo(format.snapshots)],
          ['from', format.origin],
        ]),
      )
      if (format.subformats.length > 0)
        this.print(
          `\n${await render.table(
            ['kind', 'what it is'],
            format.subformats.map(({ id, summary }) => [id, summary]),
          )}`,
        )
      await this.#options(render, 'option (-o NAME=VALUE)', format.options)
      await this.#options(render, 'reading option (--from-option NAME=VALUE)', format.openOptions)
    }
  }

  async #options(render: Renderer, heading: string, options: FormatInfo['options']): Promise<void> {
    if (options.length === 0) return
    this.print(
      `\n${await render.table(
        [heading, 'values', 'default', 'what it does'],
        options.map(({ name, type, choices, default: usual, summary }) => [
          name,
          choices?.join(' ') ?? type,
          usual === undefined ? '' : String(usual),
          summary,
        ]),
      )}`,
    )
  }
}

const parentsText: Readonly<Record<FormatInfo['parents'], string>> = { none: 'no', read: 'read', create: 'read, make' }

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}
