import type { Command } from '@oclif/core/command'
import { printable, usage, type ImageError } from '../errors.js'
import fs from '../sys/host-fs.js'
import { commandNames } from './short-help.js'
import { copyingCommand, noteOn } from './other-words.js'
import { nearestWord, suggestion } from './suggest.js'

/** What oclif's parser throws, as far as it is used here. */
export interface ParserError extends Error {
  readonly oclif?: { readonly exit?: number }
  /** Arguments that are missing, or words that are too many. */
  readonly args?: readonly (string | { readonly name?: string })[]
  /** Flags that the command does not have. */
  readonly flags?: readonly string[]
  /** The command line, without the name of the command. */
  readonly parse?: { readonly input?: { readonly argv?: readonly string[] } }
}

/** What oclif's parser says of a command line, as one of our errors. @param command the one that was running. */
export function usageError(error: ParserError, command: typeof Command | undefined): ImageError {
  const kind = error.constructor.name
  if (command !== undefined && kind === 'RequiredArgsError') return missingArguments(error, command)
  if (command !== undefined && kind === 'NonExistentFlagsError') return unknownFlags(error, command)
  if (command !== undefined && kind === 'UnexpectedArgsError') return tooManyArguments(error, command)
  if (command === undefined && kind === 'NonExistentFlagsError' && process.argv[2] === 'help') return helpFlags(error)
  const [, unknown] = /^command ([^]+) not found\.?$/i.exec(error.message) ?? []
  if (unknown !== undefined) return unknownCommand('vdisk', unknown.split(/[: ]/), commandNames())
  const message = error.message.replace(/\n?See more help with --help$/, '')
  return usage('E_USAGE', command === undefined ? message : plainMessage(message, command), {
    cause: error,
    hint: command === undefined ? undefined : `"vdisk ${typedName(command)} --help" explains all flags.`,
  })
}

/** What oclif says of flags and their values, in the words of our other errors. */
function plainMessage(message: string, { flags, baseFlags }: typeof Command): string {
  const [, name] = /^Flag --(\S+) expects a value$/.exec(message) ?? []
  if (name !== undefined) {
    const { helpValue } = ({ ...baseFlags, ...flags }[name] ?? {}) as { readonly helpValue?: string }
    return `--${name} needs a value${helpValue === undefined ? '' : `: --${name} ${helpValue}`}`
  }
  return message
    .replace(/^The following errors? occurred:\s*/, '')
    .replaceAll(/--([\w-]+)=\S+ cannot also be provided when using (--[\w-]+)/g, '--$1 and $2 exclude each other')
    .replace(/^Flag (--\S+) can only be specified once$/, '$1 is given twice')
    .replace(/^Expected (--[\w-]+)=([^]*) to be one of: /, '$1 cannot be "$2"; its values are ')
}

const namesOf = ({ args = [] }: ParserError): string[] =>
  args.map((one) => (typeof one === 'string' ? one : (one.name ?? '')))

const typedName = ({ id }: typeof Command): string => id.replaceAll(':', ' ')

/** What a command takes: its arguments, those in brackets that may be left out. */
function usageLine(command: typeof Command): string {
  const all = Object.entries(command.args).map(([key, { required }]) => {
    const word = key.toUpperCase()
    return required === true ? word : `[${word}]`
  })
  return ['Usage: vdisk', typedName(command), ...all, '[FLAGS]'].join(' ')
}

/** More arguments than the command takes: most often a name with blanks, or a size in two words. */
function tooManyArguments(error: ParserError, command: typeof Command): ImageError {
  const more = namesOf(error)
    .map((word) => `"${printable(word)}"`)
    .join(' and ')
  return usage('E_USAGE', `vdisk ${typedName(command)} takes no further argument ${more}`, {
    cause: error,
    hint: `${usageLine(command)}\nA name with blanks needs quotes, and a size is one word: 10G.`,
  })
}

/** `vdisk help --json`: help is text, and what there is as JSON is another command. */
function helpFlags(error: ParserError): ImageError {
  const words = (error.parse?.input?.argv ?? []).filter((word) => !word.startsWith('-'))
  const names = commandNames()
  const typed = words.join(' ')
  if (words.length > 0 && !names.some((name) => name === typed || name.startsWith(`${typed} `)))
    return unknownCommand('vdisk', words, names)
  return usage('E_USAGE', `vdisk help has no flag ${(error.flags ?? []).map(printable).join(' and no flag ')}`, {
    cause: error,
    hint: 'Help is text. "vdisk commands --json" lists all commands as JSON.',
  })
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
  if (first.startsWith('-') || /^\/(?:\?|h|help)$/i.test(first)) return unknownFirstFlag(bin, first)
  const forFiles = commandForFiles(words, commands)
  if (forFiles !== undefined)
    return usage('E_UNKNOWN_COMMAND', `${bin} takes a command before the name of a file, "${printable(first)}"`, {
      hint: `Did you mean "${bin} ${forFiles}"? "${bin} --help" lists all commands.`,
      details: { command: first, suggestion: forFiles },
    })
  const isTopic = commands.some((name) => name.startsWith(`${first} `))
  const typed = isTopic && second !== undefined ? `${first} ${second}` : first
  const note = noteOn(first)
  // A word that is explained is no misspelt one: `format` is not `formats`.
  const meant = suggestion(words, commands, note === undefined)
  const list = isTopic ? `"${bin} ${first} --help" lists what ${first} can do.` : `"${bin} --help" lists all commands.`
  if (second !== undefined && commands.includes(first) && (meant === undefined || meant === first))
    return usage('E_USAGE', `${bin} ${first} takes no argument "${printable(second)}"`, {
      hint: isTopic ? list : `"${bin} ${first} --help" shows how it is used.`,
    })
  return usage('E_UNKNOWN_COMMAND', `${bin} has no command "${printable(typed)}"`, {
    hint: [...(meant === undefined ? [] : [`Did you mean "${bin} ${meant}"?`]), note ?? list].join(' '),
    details: { command: typed, suggestion: meant },
  })
}

/** What a topic does first with an image. */
const firstOf: Readonly<Record<string, string>> = { chain: 'show', partition: 'list', snapshot: 'list' }

/**
 * The command line that was probably meant where names of files stand at the place of a command; undefined where none
 * does.
 */
function commandForFiles(words: readonly string[], commands: readonly string[]): string | undefined {
  const [first = '', second, third] = words
  const shown = words.map((word) => printable(word))
  const typed = shown.join(' ')
  if (Object.hasOwn(firstOf, first)) {
    const known = second === undefined || commands.includes(`${first} ${second}`)
    return !known && isFile(second) ? [first, firstOf[first], ...shown.slice(1)].join(' ') : undefined
  }
  if (commands.some((name) => name.split(' ')[0] === first) || !isFile(first)) return undefined
  if (second === undefined) return `${first.startsWith('/dev/') ? 'inspect' : 'info'} ${typed}`
  return third === undefined ? `${copyingCommand(['copy', first, second]) ?? 'convert'} ${typed}` : undefined
}

/** Whether a word names a file or a disk, or the place of one. */
const isFile = (word: string): boolean =>
  /^(?:[a-z0-9+]+:\/\/|\.{0,2}\/.|[a-z]:\\|\\\\)/i.test(word) || (/[./\\]/.test(word) && fs.existsSync(word))

/** A flag where a command should stand, and the one that was probably meant. */
function unknownFirstFlag(bin: string, flag: string): ImageError {
  const near = nearestWord(flag.replace(/^\//, '--').replace('?', 'help'), ['--help', '--version'])
  const list = `Flags follow a command: ${bin} COMMAND [FLAGS]. "${bin} --help" lists all commands.`
  return usage('E_USAGE', `${bin} has no flag ${printable(flag)} without a command`, {
    hint: near === undefined ? list : `Did you mean "${bin} ${near}"? ${list}`,
  })
}

/** Flags that the command does not have, and the nearest that it has. */
function unknownFlags(error: ParserError, command: typeof Command): ImageError {
  const name = typedName(command)
  const known = Object.keys({ ...command.baseFlags, ...command.flags }).map((flag) => `--${flag}`)
  const unknown = (error.flags ?? []).map((flag) => printable(flag))
  const [near] = unknown.map((flag) => nearestWord(flag, known)).filter((flag) => flag !== undefined)
  const list = `"vdisk ${name} --help" explains all flags.`
  const file = (error.parse?.input?.argv ?? []).find((word) => word.startsWith('-') && fs.existsSync(word))
  if (file !== undefined)
    return usage('E_USAGE', `vdisk ${name} has no flag ${printable(file)}, but there is a file of that name`, {
      cause: error,
      hint: `A name that begins with - is written behind a folder: ./${printable(file)}`,
    })
  return usage('E_USAGE', `vdisk ${name} has no flag ${unknown.join(' and no flag ')}`, {
    cause: error,
    hint: near === undefined ? list : `Did you mean ${near}? ${list}`,
  })
}

/** Arguments that were left out: which, how the command is used, and one example. */
function missingArguments(error: ParserError, command: typeof Command): ImageError {
  const name = typedName(command)
  const missing = namesOf(error).map((word) => word.toUpperCase())
  const [first] = (command.examples as typeof command.examples | undefined) ?? []
  const example = (typeof first === 'string' ? first : first?.command)
    ?.replaceAll('<%= config.bin %>', 'vdisk')
    .replaceAll('<%= command.id %>', name)
  const shown = example === undefined ? '' : `\nExample: ${example}`
  return usage('E_USAGE', `vdisk ${name} needs ${missing.join(' and ')}`, {
    cause: error,
    hint: `${usageLine(command)}${shown}\nvdisk ${name} --help shows all flags.`,
  })
}
