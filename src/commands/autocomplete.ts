import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'

export default class Autocomplete extends BaseCommand {
  /** Read by src/cli/start.ts. */
  static readonly listsCommands = true
  static override summary = 'Print a completion script for your shell.'
  static override description =
    'Prints a script that completes commands, flags, formats, platforms, options and other values, image files, and ' +
    'partitions behind IMAGE@. Load it in the start file of your shell, as the examples show.'
  static override examples = [
    { description: 'bash, in ~/.bashrc', command: 'source <(<%= config.bin %> <%= command.id %> bash)' },
    { description: 'zsh, in ~/.zshrc', command: 'source <(<%= config.bin %> <%= command.id %> zsh)' },
    {
      description: 'fish',
      command: '<%= config.bin %> <%= command.id %> fish > ~/.config/fish/completions/vdisk.fish',
    },
  ]
  static override args = {
    shell: string({ required: true, options: ['bash', 'zsh', 'fish'], description: 'the shell: bash, zsh or fish' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Autocomplete)
    const [scripts, { completedCommand, knownValues }, { listPlatforms }, registry] = await Promise.all([
      import('../cli/completion.js'),
      import('../cli/completed-command.js'),
      import('../operations/inspect/platforms.js'),
      this.registry(),
    ])
    const known = knownValues(
      registry,
      listPlatforms().map(({ id }) => id),
    )
    const commands = this.config.commands.filter(({ hidden }) => !hidden).map((one) => completedCommand(one, known))
    const extensions = [
      ...new Set([...registry].flatMap(({ driver }) => driver.extensions)),
      ...registry.wrappers.flatMap((wrapper) => wrapper.extensions),
    ]
    const { bin } = this.config
    const script =
      args.shell === 'bash'
        ? scripts.bashCompletion(bin, commands, extensions)
        : args.shell === 'zsh'
          ? scripts.zshCompletion(bin, commands, extensions)
          : scripts.fishCompletion(bin, commands, extensions)
    if (flags.json) this.printJson({ schema: 'vdisk.autocomplete', schemaVersion: 1, shell: args.shell, script })
    else process.stdout.write(script)
  }
}
