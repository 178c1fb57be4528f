import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { usage } from '../errors.js'

export default class Which extends BaseCommand {
  /** Read by src/cli/start.ts. */
  static readonly listsCommands = true
  static override summary = 'Show where a command is from.'
  static override description = 'Shows the package that a command is from: vdisk itself or a plug-in, and its folder.'
  static override examples = [
    { description: 'Where is this command from?', command: '<%= config.bin %> <%= command.id %> convert' },
    { description: 'A command of a topic', command: '<%= config.bin %> <%= command.id %> backup run --json' },
  ]
  static override strict = false
  static override usage = '<%= command.id %> COMMAND [FLAGS]'
  static override args = { command: string({ required: true, description: 'its name, of one word or two' }) }

  async run(): Promise<void> {
    const { argv } = await this.parse(Which)
    const [{ listedCommand, listedCommands }, { unknownCommand }] = await Promise.all([
      import('../cli/command-list.js'),
      import('../cli/usage-error.js'),
    ])
    const words = argv.flatMap((word) => String(word).split(/[ :]/)).filter((word) => word !== '')
    const found = this.config.findCommand(words.join(':'))
    if (found === undefined) {
      const names = listedCommands(this.config).map(({ name }) => name)
      const [topic = ''] = words
      if (words.length === 1 && names.some((name) => name.startsWith(`${topic} `)))
        throw usage('E_USAGE', `"${topic}" is a topic, and no command by itself`, {
          hint: `"${this.config.bin} ${topic} --help" lists its commands: name one.`,
        })
      throw unknownCommand(this.config.bin, words, names)
    }
    const { name, summary, plugin } = listedCommand(found, this.config.bin)
    const from = this.config.plugins.get(plugin)
    await this.show({
      schema: 'vdisk.which',
      result: { command: name, plugin, version: from?.version, folder: from?.root, summary },
      view: () => import('../cli/view/which.js'),
    })
  }
}
