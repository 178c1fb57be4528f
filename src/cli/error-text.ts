import type { Command } from '@oclif/core/command'
import { exitCodes, firstError, ImageError, isImageError, printable, systemError } from '../errors.js'
import { withoutSecrets } from '../sys/secrets.js'
import type { Renderer } from './render.js'
import type { ParserError } from './usage-error.js'

/** What a command prints as JSON, and what an error becomes there. */
export interface JsonDocument {
  readonly schema: string
  readonly schemaVersion: 1
}

/**
 * An error for people, in three parts: what went wrong, why that ends the command, and what to do. Whatever it quotes
 * is escaped, and secrets are left out.
 */
export async function errorText(error: ImageError): Promise<string> {
  return textOf(error, await ifPossible(async () => (await import('./render.js')).renderer(process.stderr)))
}

/** The same without colours, for a file. */
export const plainErrorText = (error: ImageError): Promise<string> => textOf(error)

async function textOf(error: ImageError, render?: Renderer): Promise<string> {
  const { why, hint } = await reasoned(error)
  const part = (label: string, text: string): string[] => {
    const lines = text.split('\n').map(printable)
    return lines.length > 1 ? [`${label}:`, ...lines] : [`${label}: ${lines[0] ?? ''}`]
  }
  const [first = '', ...rest] = error.message.split('\n').map(printable)
  const lines = [
    `${render?.mark('Error:') ?? 'Error:'} ${render?.emphasis(first) ?? first}`,
    ...rest,
    ...(why === undefined ? [] : part('Why', why)),
    ...(hint === undefined ? [] : part('What to do', hint)),
  ]
  return withoutSecrets(lines.join('\n'))
}

/** The same for programs. */
export async function errorDocument(error: ImageError): Promise<JsonDocument & Readonly<Record<string, unknown>>> {
  const { kind, code, message, details } = error
  return {
    schema: 'vdisk.error',
    schemaVersion: 1,
    kind,
    code,
    message,
    ...(await reasoned(error)),
    details,
    exitCode: exitCodes[kind],
  }
}

/** Where the error itself does not say what to do, what its code says. */
async function reasoned({ kind, code, hint }: ImageError): Promise<{ readonly why?: string; readonly hint?: string }> {
  const [why, remedy] =
    (await ifPossible(async () => (await import('./advice/index.js')).errorAdvice(kind, code))) ?? []
  return { why, hint: hint === undefined || hint === '' ? remedy : hint }
}

/** An error is printed plainly where what says it better cannot be loaded: no more files can be opened. */
async function ifPossible<Result>(load: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await load()
  } catch {
    return undefined
  }
}

/** Values that JSON has no number for are given as decimal text. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item), 2)
}

/**
 * Any error as one of ours: oclif's parse errors are bad usage, what the system refused says why, and everything else
 * unknown is a bug. @param command the one that was running.
 */
export async function knownError(thrown: ParserError, command?: typeof Command): Promise<ImageError> {
  const error = firstError(thrown) as ParserError
  if (isImageError(error)) return ofFlag(error)
  if (error.oclif?.exit === 2) {
    const { usageError } = await import('./usage-error.js')
    return usageError(error, command)
  }
  const refusal = systemError(error)
  if (refusal !== undefined) return refusal
  return new ImageError('internal', 'E_INTERNAL', `this is a bug: ${error.message}`, {
    cause: error,
    hint: 'Please report it, with what --debug shows.',
  })
}

/** What a flag's own parse function threw: the parser writes a text of two lines around its message. */
function ofFlag(error: ImageError): ImageError {
  const [, flag, message] = /^Parsing --(\S+) \n\t([^]*)\nSee more help with --help$/.exec(error.message) ?? []
  if (flag === undefined || message === undefined) return error
  const { kind, code, details, hint } = error
  return new ImageError(kind, code, `--${flag}: ${message}`, { cause: error, hint, details })
}
