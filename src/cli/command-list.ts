import type { Command } from '@oclif/core/command'
import type { Config } from '@oclif/core/interfaces'

/** A command, of vdisk or of a plug-in. */
export interface ListedCommand {
  /** As it is typed: its words separated by spaces. */
  readonly name: string
  readonly summary: string
  /** The package that it is from. */
  readonly plugin: string
  readonly aliases: readonly string[]
}

/** All commands that are not hidden, by name. */
export function listedCommands(config: Config): ListedCommand[] {
  return config.commands
    .filter(({ hidden }) => !hidden)
    .map((command) => listedCommand(command, config.bin))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** @param bin the name of the program: summaries may hold oclif's word for it. */
export function listedCommand(command: Command.Loadable, bin: string): ListedCommand {
  const { id, summary, description, pluginName, aliases } = command
  return {
    name: typed(id),
    summary: (summary ?? description?.split('\n')[0] ?? '').replaceAll('<%= config.bin %>', bin),
    plugin: pluginName ?? '',
    aliases: aliases.map(typed),
  }
}

const typed = (id: string): string => id.replaceAll(':', ' ')
