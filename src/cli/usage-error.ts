import type { Command } from '@oclif/core/command'
import { printable, usage, type ImageError } from '../errors.js'
import { commandNames } from './short-help.js'
import { nearestWord, suggestion } from './suggest.js'

/** What oclif's parser throws, as far as it is used here. */
export interface ParserError extends Error {
  readonly oclif?: { readonly exit?: number }
  /** Arguments that are missing. */
  readonly args?: readonly { readonly name?: string }[]
  /** Flags that the command does not have. */
  readonly flags?: readonly string[]
}

/** What oclif's parser says of a command line, as one of our errors. @param command the one that was running. */
export function usageError(error: ParserError, command: typeof Command | undefined): ImageError {
  const kind = error.constructor.name
  if (command !== undefined && kind === 'RequiredArgsError') return missingArguments(error, command)
  if (command !== undefined && kind === 'NonExistentFlagsError') return unknownFlags(error, command)
  const [, unknown] = /^command ([^]+) not found\.?$/i.exec(error.message) ?? []
  if (unknown !== undefined) return unknownCommand('vdisk', unknown.split(/[: ]/), commandNames())
  return usage('E_USAGE', error.message.replace(/\n?See more help with --help$/, ''), { cause: error })
}

/**
 * A command that is not there, and what was probably meant.
 * @param words what was typed. @param commands all names of commands, their words separated by spaces.
 */
export function unknownCommand(bin: string, words: readonly string[], commands: readonly string[]): ImageError {
  const [first = '', second] = words
  if (/^(?:if|of)=/.test(first))
    return usage('E_USAGE', `${bin} takes a command first, and names of files without if= and of=`, {
      hint: `Write "${bin} convert SOURCE TARGET"; "${bin} --help" lists all commands.`,
    })
  if (first.startsWith('-')) return unknownFirstFlag(bin, first)
  const isTopic = commands.some((name) => name.startsWith(`${first} `))
  const typed = isTopic && second !== undefined ? `${first} ${second}` : first
  const meant = suggestion(words, commands)
  const list = isTopic ? `"${bin} ${first} --help" lists what ${first} can do.` : `"${bin} --help" lists all commands.`
  if (second !== undefined && commands.includes(first) && (meant === undefined || meant === first))
    return usage('E_USAGE', `${bin} ${first} takes no argument "${printable(second)}"`, {
      hint: isTopic ? list : `"${bin} ${first} --help" shows how it is used.`,
    })
  return usage('E_UNKNOWN_COMMAND', `${bin} has no command "${printable(typed)}"`, {
    hint: meant === undefined ? list : `Did you mean "${bin} ${meant}"? ${list}`,
    details: { command: typed, suggestion: meant },
  })
}

/** A flag where a command should stand, and the one that was probably meant. */
function unknownFirstFlag(bin: string, flag: string): ImageError {
  const near = nearestWord(flag, ['--help', '--version'])
  const list = `Flags follow a command: ${bin} COMMAND [FLAGS]. "${bin} --help" lists all commands.`
  return usage('E_USAGE', `${bin} has no flag ${printable(flag)} without a command`, {
    hint: near === undefined ? list : `Did you mean "${bin} ${near}"? ${list}`,
  })
}

/** Flags that the command does not have, and the nearest that it has. */
function unknownFlags(error: ParserError, command: typeof Command): ImageError {
  const name = command.id.replaceAll(':', ' ')
  const known = Object.keys({ ...command.baseFlags, ...command.flags }).map((flag) => `--${flag}`)
  const unknown = (error.flags ?? []).map((flag) => printable(flag))
  const [near] = unknown.map((flag) => nearestWord(flag, known)).filter((flag) => flag !== undefined)
  const list = `"vdisk ${name} --help" explains all flags.`
  return usage('E_USAGE', `vdisk ${name} has no flag ${unknown.join(' and no flag ')}`, {
    cause: error,
    hint: near === undefined ? list : `Did you mean ${near}? ${list}`,
  })
}

/** Arguments that were left out: which, how the command is used, and one example. */
function missingArguments(error: ParserError, command: typeof Command): ImageError {
  const name = command.id.replaceAll(':', ' ')
  const missing = (error.args ?? []).map((argument) => (argument.name ?? '').toUpperCase())
  const all = Object.entries(command.args).map(([key, { required }]) => {
    const word = key.toUpperCase()
    return required === true ? word : `[${word}]`
  })
  const [first] = (command.examples as typeof command.examples | undefined) ?? []
  const example = (typeof first === 'string' ? first : first?.command)
    ?.replaceAll('<%= config.bin %>', 'vdisk')
    .replaceAll('<%= command.id %>', name)
  const shown = example === undefined ? '' : `\nExample: ${example}`
  return usage('E_USAGE', `vdisk ${name} needs ${missing.join(' and ')}`, {
    cause: error,
    hint: `Usage: vdisk ${name} ${all.join(' ')} [FLAGS]${shown}\nvdisk ${name} --help shows all flags.`,
  })
}
