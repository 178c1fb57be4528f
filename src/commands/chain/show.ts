import { string } from '@oclif/core/args'
import { BaseCommand } from '../../cli/base-command.js'
import { openFlags, openValues } from '../../cli/flags.js'
import { exitCodes } from '../../errors.js'
import type { ChainLayer, ChainResult } from '../../operations/chain/show.js'

export default class ChainShow extends BaseCommand {
  static override summary = 'Show the chain of an image: its parent, the parent of that …'
  static override description =
    'Lists IMAGE and every image below it, with its id, its sizes, and how it ' +
    ('stands towards its parent: base needs none; linked means that the parent was found and has the recorded ' +
      ('id; linked-by-name, that it was found and no id is recorded (QCOW2 records none); broken, that it was ' +
        ('not found or is not the right one. For a broken link all places that were looked at are listed, and ' +
          'the command ends with 1.')))
  static override examples = [
    { description: 'Is the chain complete?', command: '<%= config.bin %> <%= command.id %> child.vhdx' },
    {
      description: 'Look for parents in another folder',
      command: '<%= config.bin %> <%= command.id %> child.vhdx --search /srv/parents',
    },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> child.qcow2 --json' },
  ]
  static override args = { image: string({ required: true, description: 'the image to begin with' }) }
  static override usage = '<%= command.id %> IMAGE [FLAGS]'
  static override flags = openFlags

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ChainShow)
    const [{ showChain }, registry] = await Promise.all([import('../../operations/chain/show.js'), this.registry()])
    const result = showChain(args.image, { registry, ...openValues(flags) })
    if (!result.complete) this.exitWith(exitCodes.negative)
    if (flags.json) this.printJson({ schema: 'vdisk.chain.show', schemaVersion: 1, ...result })
    else await this.#show(result)
  }

  async #show({ layers, broken }: ChainResult): Promise<void> {
    const { renderer, shortSize } = await import('../../cli/render.js')
    const render = await renderer(process.stdout)
    for (const { path, notes } of layers)
      for (const { message } of notes)
        this.tell((await renderer(process.stderr)).warning(`Warning: ${path}: ${message}`))
    for (const layer of layers) {
      this.print(render.heading(`${layer.depth}  ${layer.path}`))
      this.print(render.facts(facts(layer, shortSize)))
    }
    if (broken === undefined) return
    this.print(`\n${render.warning(broken.message)}`)
    if (broken.looked.length > 0)
      this.print(`Looked for:\n${broken.looked.map((path) => render.facts([['', path]])).join('\n')}`)
    if (broken.hint !== undefined) this.print(render.warning(broken.hint))
  }
}

function facts(
  { format, subformat, capacity, size, allocated, identity, state, parent, foundBy, unreadable }: ChainLayer,
  shortSize: (bytes: number) => string,
): [string, string][] {
  return [
    ['format', `${format}, ${subformat}`],
    ['disk', shortSize(capacity)],
    ...(size === undefined
      ? []
      : ([['file', `${shortSize(size)}, ${shortSize(allocated ?? 0)} allocated`]] as [string, string][])),
    ...(identity === undefined ? [] : ([['id', identity]] as [string, string][])),
    ...(foundBy === undefined ? [] : ([['found', ways[foundBy]]] as [string, string][])),
    ['state', state],
    ...(parent === undefined
      ? []
      : ([
          [
            'needs',
            `${parent.names.join(', ')}${parent.identity === undefined ? '' : ` with the id ${parent.identity}`}`,
          ],
        ] as [string, string][])),
    ...(unreadable === undefined ? [] : ([['unreadable', unreadable.message]] as [string, string][])),
  ]
}

const ways: Readonly<Record<NonNullable<ChainLayer['foundBy']>, string>> = {
  name: 'where its child says',
  beside: 'beside its child',
  search: 'by --search',
  map: 'by --parent-map',
  allowed: 'by --allow-reference',
}
