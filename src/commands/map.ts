import { string } from '@oclif/core/args'
import { option } from '@oclif/core/flags'
import { BaseCommand } from '../cli/base-command.js'
import { errorDocument, jsonText } from '../cli/error-text.js'
import { openFlags, openValues, progressFlag, range } from '../cli/flags.js'
import { TextOutput } from '../cli/text-output.js'
import { paragraphs } from '../cli/paragraphs.js'
import { aborted, exitCodes, isImageError, usage } from '../errors.js'
import type { DiskMap } from '../operations/inspect/map.js'

export default class Map extends BaseCommand {
  static override summary = 'Show where every part of a disk is stored.'
  static override description = paragraphs(`
    Lists the runs of the disk of IMAGE: what they are, which image of the chain holds them (depth 0 is IMAGE
    itself, 1 its parent), and where they are stored in which file. The content is not read, and each run is printed
    as soon as it is found.

    data is stored as it is, compressed in a compressed unit, hole in a hole of the file. zero reads as zero by the
    image's tables; absent is not allocated in any image of the chain, so that it reads as zero.
  `)
  static override examples = [
    { description: 'Where is what?', command: '<%= config.bin %> <%= command.id %> child.vhdx' },
    { description: 'One part of the disk', command: '<%= config.bin %> <%= command.id %> disk.qcow2 --range 1G:64M' },
    {
      description: 'For a program that knows qemu-img map --output=json',
      command: '<%= config.bin %> <%= command.id %> disk.qcow2 --output qemu',
    },
  ]
  static override args = { image: string({ required: true, description: 'the image to look at' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = {
    ...openFlags,
    ...progressFlag,
    range: range({ summary: 'only this part of the disk' }),
    output: option({
      options: ['text', 'qemu'] as const,
      default: 'text',
      summary: 'qemu: the array that qemu-img map --output=json prints',
    })(),
  }

  readonly #out = new TextOutput(process.stdout)
  #rested = performance.now()

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Map)
    if (flags.json && flags.output === 'qemu')
      throw usage('E_OUTPUT', '--output qemu is JSON already, of its own kind; leave out --json')
    const { mapLater } = await import('../operations/inspect/map.js')
    const options = { ...(await this.context(flags)), ...openValues(flags), range: flags.range }
    using found = await mapLater(args.image, options)
    this.endProgress()
    if (flags.json) await this.#json(found)
    else if (flags.output === 'qemu') await this.#qemu(found)
    else await this.#text(found, flags)
  }

  /** Hands texts on one by one, but for empty ones, until the reader has gone away. */
  async #each<Item>(items: Iterable<Item>, text: (item: Item, index: number) => string): Promise<void> {
    let index = 0
    for (const item of items) {
      const line = text(item, index++)
      if (line !== '' && !(await this.#out.add(line))) return
      if (performance.now() - this.#rested < 50) continue
      // Lets a signal through: the walk is synchronous.
      await new Promise((resume) => setImmediate(resume))
      if (this.signal.aborted) throw aborted()
      this.#rested = performance.now()
    }
  }

  /** One document, a line an extent. An error on the way becomes its end, so that it stays one document. */
  async #json(found: DiskMap): Promise<void> {
    const { source, layers, notes } = found
    const head = jsonText({
      schema: 'vdisk.map',
      schemaVersion: 1,
      source,
      layers: layers.map(({ path, format, subformat, capacity }) => ({ path, format, subformat, capacity })),
      notes,
    })
    await this.#out.add(`${head.slice(0, head.lastIndexOf('}')).trimEnd()},\n  "extents": [`)
    let failure: unknown
    try {
      await this.#each(found.extents(), (extent, index) => `${index === 0 ? '' : ','}\n    ${JSON.stringify(extent)}`)
    } catch (error) {
      if (!isImageError(error)) throw error
      this.exitWith(exitCodes[error.kind])
      failure = await errorDocument(error)
    }
    const tail = jsonText({
      files: found.files,
      totals: found.totals,
      error: failure,
    })
    await this.#out.add(`\n  ],\n${tail.slice(tail.indexOf('\n') + 1)}\n`)
    await this.#out.flush()
  }

  async #qemu(found: DiskMap): Promise<void> {
    const [{ qemuExtents }, { qemuLine }] = await Promise.all([
      import('../operations/inspect/qemu-map.js'),
      import('../cli/view/map.js'),
    ])
    await this.#each(qemuExtents(found), qemuLine)
    await this.#out.add(found.totals.extents === 0 ? '[]\n' : ']\n')
    await this.#out.flush()
  }

  async #text(found: DiskMap, flags: { readonly quiet: boolean; readonly verbose: boolean }): Promise<void> {
    const [{ renderer }, { MapText }] = await Promise.all([import('../cli/render.js'), import('../cli/view/map.js')])
    const text = new MapText(found, await renderer(process.stdout, flags.verbose))
    await this.printWarnings(found.notes.map(({ message }) => `Warning: ${message}`))
    if (flags.quiet) {
      await this.#each(found.extents(), () => '')
      return
    }
    await this.#out.add(text.head)
    await this.#each(found.extents(), (extent, index) => (index < text.room ? text.line(extent) : ''))
    await this.#out.add(text.totals)
    await this.#out.flush()
  }
}
