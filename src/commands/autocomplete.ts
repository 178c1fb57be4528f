import type { Command } from '@oclif/core/command'
import { string } from '@oclif/core/args'
import { BaseCommand } from '../cli/base-command.js'
import type { CompletedCommand } from '../cli/completion.js'

/** Flags whose values are the ids of formats. */
const formatFlags: readonly string[] = ['from', 'to', 'second-from', 'parent-format', 'source-from']

export default class Autocomplete extends BaseCommand {
  /** Read by src/cli/start.ts. */
  static readonly listsCommands = true
  static override summary = 'Print a completion script for your shell.'
  static override description =
    'Prints a script that completes commands, flags, formats and other values, image files, and partitions behind ' +
    'IMAGE@. Load it in the start file of your shell, as the examples show.'
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
    const [scripts, registry] = await Promise.all([import('../cli/completion.js'), this.registry()])
    const formats = [...registry].map(({ driver }) => driver.id)
    const commands = this.config.commands.filter(({ hidden }) => !hidden).map((one) => completed(one, formats))
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

function completed(command: Command.Loadable, formats: readonly string[]): CompletedCommand {
  const name = command.id.replaceAll(':', ' ')
  return {
    name,
    summary: command.summary ?? '',
    values: name === 'formats' ? formats : listed(command.args).flatMap(({ options }) => options ?? []),
    flags: listed(command.flags)
      .filter(({ hidden }) => hidden !== true)
      .map((flag) => ({
        name: flag.name,
        char: flag.char,
        summary: flag.summary ?? flag.description ?? '',
        takesValue: flag.type === 'option',
        values: flag.type !== 'option' ? [] : formatFlags.includes(flag.name) ? formats : (flag.options ?? []),
      })),
  }
}

/** A plug-in's command may have been written without arguments or flags, whatever its type says. */
function listed<Member>(members: Readonly<Record<string, Member>> | undefined): Member[] {
  return Object.values(members ?? {})
}
