import type { Command } from '@oclif/core/command'
import type { OptionSpec } from '../formats/driver.js'
import type { Registry } from '../formats/registry.js'
import type { CompletedCommand } from './completion.js'

/** What flags and arguments can be given, where the command's own declaration does not list it. */
export interface KnownValues {
  readonly formats: readonly string[]
  /** Formats that can be made. */
  readonly targets: readonly string[]
  readonly platforms: readonly string[]
  /** Options of formats that can be made, and those for reading. */
  readonly options: readonly OptionSpec[]
  readonly openOptions: readonly OptionSpec[]
}

export function knownValues(registry: Registry, platforms: readonly string[]): KnownValues {
  const drivers = [...registry].map(({ driver }) => driver)
  const makers = drivers.filter((driver) => driver.create !== undefined)
  return {
    formats: drivers.map(({ id }) => id),
    targets: makers.map(({ id }) => id),
    platforms,
    options: makers.flatMap(({ options }) => options),
    openOptions: drivers.flatMap(({ openOptions }) => openOptions ?? []),
  }
}

/** A command as completion scripts know it. */
export function completedCommand(command: Command.Loadable, known: KnownValues): CompletedCommand {
  const name = command.id.replaceAll(':', ' ')
  const ofArgument: Readonly<Record<string, readonly string[]>> = { formats: known.formats, platforms: known.platforms }
  return {
    name,
    summary: command.summary ?? '',
    values: ofArgument[name] ?? listed(command.args).flatMap(({ options }) => options ?? []),
    flags: listed(command.flags)
      .filter(({ hidden }) => hidden !== true)
      .map((flag) => ({
        name: flag.name,
        char: flag.char,
        summary: flag.summary ?? flag.description ?? '',
        takesValue: flag.type === 'option',
        values: flag.type === 'option' ? valuesOf(flag, known) : [],
        settings: settingsOf(flag.name, known),
      })),
  }
}

interface ValuedFlag {
  readonly name: string
  readonly helpValue?: string | string[]
  readonly options?: readonly string[]
}

/** The values of a flag, where they are a closed list; none: it takes any. */
function valuesOf({ name, helpValue, options }: ValuedFlag, known: KnownValues): readonly string[] {
  if (options !== undefined) return options
  const help = String(helpValue ?? '')
  if (help === 'FORMAT') {
    if (name === 'to') return known.targets
    return name === 'parent-format' ? ['auto', ...known.formats] : known.formats
  }
  if (help === 'PLATFORM') return known.platforms
  // The words of the help, where they are values: 512|4096, zlib|zstd[:LEVEL].
  const [words = ''] = help.split('[')
  if (/^[a-z0-9]+(?:\|[a-z0-9]+)+$/.test(words)) return words.split('|')
  return unique(known.options.filter((option) => option.name === name).flatMap((option) => option.choices ?? []))
}

/** The names that can stand before = in the value of a flag, with the values behind it that are a closed list. */
function settingsOf(flag: string, known: KnownValues): CompletedCommand['flags'][number]['settings'] {
  const specs = flag === 'option' ? known.options : /(?:^|-)(?:from|source)-option$/.test(flag) ? known.openOptions : []
  return unique(specs.map(({ name }) => name)).map((name) => ({
    name,
    values: unique(specs.filter((spec) => spec.name === name).flatMap(choicesOf)),
  }))
}

const choicesOf = ({ type, choices }: OptionSpec): readonly string[] =>
  type === 'boolean' ? ['true', 'false'] : (choices ?? [])

const unique = (words: readonly string[]): string[] => [...new Set(words)]

/** A plug-in's command may have been written without arguments or flags, whatever its type says. */
function listed<Member>(members: Readonly<Record<string, Member>> | undefined): Member[] {
  return Object.values(members ?? {})
}
