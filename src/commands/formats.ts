import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'

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
    const { args } = await this.parse(Formats)
    const { formats, wrappers } = await import('../operations/inspect/formats.js')
    const registry = await this.registry()
    const wanted = args.format === undefined ? undefined : registry.get(args.format).id
    const list = formats(registry).filter(({ id }) => wanted === undefined || id === wanted)
    const around = wrappers(registry)
    await this.show({
      schema: 'vdisk.formats',
      result: { formats: list, wrappers: wanted === undefined ? around : undefined },
      document: { formats: list, wrappers: around },
      view: () => import('../cli/view/formats.js'),
    })
  }
}
