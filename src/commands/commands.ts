import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import { usage } from '../errors.js'

export default class Commands extends BaseCommand {
  /** Read by src/cli/start.ts. */
  static readonly listsCommands = true
  static override summary = 'List the commands, those of plug-ins too.'
  static override description =
    'Lists the names of all commands, by topic. With WORD, what those do whose name or summary holds it; ' +
    '--verbose shows that of all, and where each is from.'
  static override examples = [
    { description: 'All commands', command: '<%= config.bin %> <%= command.id %>' },
    { description: 'What has to do with snapshots?', command: '<%= config.bin %> <%= command.id %> snapshot' },
    { description: 'For a program', command: '<%= config.bin %> <%= command.id %> --json' },
  ]
  static override args = { word: string({ description: 'list only what has this in its name or summary' }) }

  async run(): Promise<void> {
    const { args } = await this.parse(Commands)
    const { listedCommands } = await import('../cli/command-list.js')
    const word = args.word?.toLowerCase()
    const commands = listedCommands(this.config).filter(
      ({ name, summary }) => word === undefined || `${name} ${summary}`.toLowerCase().includes(word),
    )
    if (commands.length === 0)
      throw usage('E_UNKNOWN_COMMAND', `no command has "${args.word ?? ''}" in its name or summary`, {
        hint: '"vdisk commands" lists all.',
      })
    await this.show({
      schema: 'vdisk.commands',
      result: { commands, word },
      document: { commands },
      view: () => import('../cli/view/commands.js'),
    })
  }
}
