import { constants } from 'node:os'
import { kindOf, type CodeFor, type ErrorKind, type KnownCode } from './error-codes.js'

export type { CodesOf, ErrorKind } from './error-codes.js'

/** The process exit code of each kind. */
export const exitCodes: Readonly<Record<ErrorKind, number>> = {
  negative: 1,
  usage: 2,
  refused: 3,
  corrupt: 4,
  unsupported: 5,
  reference: 6,
  target: 7,
  mismatch: 8,
  partial: 9,
  internal: 70,
  aborted: 130,
}

/** Facts for programs: where it happened and what was found. Offsets and sizes are bytes. */
export type ErrorDetails = Readonly<Record<string, string | number | bigint | boolean | undefined>>

export interface ImageErrorOptions {
  /** What the user can do next, one sentence. */
  readonly hint?: string
  readonly details?: ErrorDetails
  readonly cause?: unknown
}

const brand = Symbol.for('vdisk.ImageError')

/** Hints that errors of many places give. */
export const hints = {
  check: 'vdisk check lists the damage.',
  repair: 'vdisk check lists the damage, vdisk repair mends it.',
  incomplete: 'The file is incomplete; copy it again.',
} as const

/**
 * The one error type of vdisk. `code` is stable (`E_TRUNCATED`), `message` says what, in which file, at which byte,
 * what was expected and what was found. Recognise it with {@link isImageError}: two copies of the package may be
 * loaded.
 */
export class ImageError extends Error {
  readonly kind: ErrorKind
  /** One of {@link KnownCode}, or a plug-in's own. */
  readonly code: KnownCode | (string & Record<never, never>)
  readonly hint: string | undefined
  readonly details: ErrorDetails

  /** @param kind that of a code which is not in the table (src/error-codes.ts): a plugin's. */
  constructor(kind: ErrorKind, code: string, message: string, options: ImageErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ImageError'
    this.kind = kindOf(code) ?? kind
    this.code = code
    this.hint = options.hint
    this.details = options.details ?? {}
    Object.defineProperty(this, brand, { value: true })
  }
}

/** Whether a caught value is an {@link ImageError}, from this copy of the package or another. */
export function isImageError(value: unknown): value is ImageError {
  return value instanceof Error && brand in value
}

/**
 * The first cause of a failure. Where closing what is open fails too, JavaScript throws a SuppressedError, which holds
 * both: what came later is a consequence, as a rule, and goes into the hint.
 */
export function firstError(thrown: unknown): unknown {
  const later: string[] = []
  let error = thrown
  while (error instanceof Error && error.name === 'SuppressedError' && 'suppressed' in error) {
    const after = (error as Error & { readonly error?: unknown }).error
    later.unshift(after instanceof Error ? after.message : String(after))
    error = error.suppressed
  }
  if (later.length === 0 || !isImageError(error)) return error
  const { message } = error
  const also = later.filter((text) => text !== message)
  return also.length === 0 ? error : withFurtherHint(error, `Closing failed too: ${also.join('; ')}`, thrown)
}

/** The same error, whose hint has a line more. @param cause what was thrown. */
export function withFurtherHint(error: ImageError, further: string, cause: unknown): ImageError {
  const { kind, code, message, hint, details } = error
  return new ImageError(kind, code, message, {
    hint: hint === undefined ? further : `${hint}\n${further}`,
    details,
    cause,
  })
}

/**
 * The name of an error of the system. libuv has none for a quota that is used up: there Node says `Unknown system error
 * -122`.
 */
export function systemCode(error: unknown): string | undefined {
  const { code, errno } = error as NodeJS.ErrnoException
  return errno === -constants.errno.EDQUOT ? 'EDQUOT' : code
}

const systemWords: Readonly<Record<string, string>> = {
  EACCES: 'no permission',
  EADDRINUSE: 'something is there already',
  EBUSY: 'it is in use',
  EDQUOT: 'no space left in the quota',
  EFBIG: 'the filesystem does not take a file of that size',
  EINVAL: 'the system does not take it',
  EISDIR: 'it is a folder',
  ELOOP: 'links in it lead in a circle',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'the name is too long',
  ENFILE: 'too many open files',
  ENODEV: 'there is no such device',
  ENOENT: 'it does not exist',
  ENOSPC: 'no space left',
  ENOTDIR: 'a part of the path is no folder',
  ENOTEMPTY: 'the folder is not empty',
  ENXIO: 'nothing is behind it',
  EPERM: 'no permission',
  EROFS: 'the filesystem is read-only',
  ETXTBSY: 'it is a program that runs',
}

/**
 * Why the system refused something, in words and without the path, which the caller knows: what a call is given may be
 * a path of this process alone (`/proc/self/fd/…`). Of other errors their message.
 */
export function systemReason(error: unknown): string {
  if (!(error instanceof Error)) return printable(String(error))
  const code = systemCode(error)
  const known = code === undefined ? undefined : systemWords[code]
  if (known !== undefined) return known
  // As libuv has it: `ECODE: what it means, call 'path'`.
  const [, meaning] = /^(E[A-Z0-9]+: .+?), \w+(?: '[^]*')?$/.exec(error.message) ?? []
  return printable(meaning ?? error.message)
}

/** Whether no more files can be opened, by this process or on the whole system. */
export function isOutOfFiles(error: unknown): boolean {
  return ['EMFILE', 'ENFILE'].includes(systemCode(error) ?? '')
}

/** Of which file or address an error of the system is, as it was given. */
function systemSubject(error: NodeJS.ErrnoException & { readonly address?: unknown }): string | undefined {
  const { path, address } = error
  const text = typeof path === 'string' ? path : typeof address === 'string' ? address : undefined
  return text?.replace(/^\/proc\/self\/fd\/\d+\/?/, '')
}

/**
 * What the system refused, where nothing nearer to it said so in its own words: never a bug of this program.
 * Undefined for every other error.
 */
export function systemError(error: unknown): ImageError | undefined {
  if (!(error instanceof Error)) return undefined
  const { syscall } = error as NodeJS.ErrnoException
  const code = systemCode(error) ?? ''
  const options = { cause: error }
  const subject = systemSubject(error) ?? ''
  const what = `${subject === '' ? (syscall ?? 'the system') : printable(subject)}: ${systemReason(error)}`
  if (isOutOfFiles(error) || (code === 'ERR_WORKER_INIT_FAILED' && /E[MN]FILE/.test(what)))
    return usage('E_OPEN_FILES', `no more files can be opened: ${printable(error.message)}`, {
      ...options,
      hint: 'Raise the limit of open files (ulimit -n 1024), or close other programs.',
    })
  if (syscall === undefined) return undefined
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return targetError('E_NO_SPACE', what, { ...options, hint: 'Free space, or choose another folder.' })
  if (code === 'EFBIG') return targetError('E_FILE_TOO_BIG', what, options)
  if (code === 'EROFS') return targetError('E_WRITE_PERMISSION', what, options)
  if (code === 'EACCES' || code === 'EPERM') return usage('E_PERMISSION', what, options)
  if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(code)) return usage('E_NOT_FOUND', what, options)
  if (code === 'EIO')
    return /^(?:read|scandir|readlink|stat|lstat|fstat)$/.test(syscall)
      ? corrupt('E_READ', what, options)
      : targetError('E_WRITE', what, options)
  return undefined
}

/** An error taken apart, to be sent to another thread: class and brand do not survive the way. */
export interface ErrorParts {
  readonly kind?: ErrorKind
  readonly code?: string
  readonly message: string
  readonly stack?: string
  readonly hint?: string
  readonly details?: ErrorDetails
}

export function takenApart(thrown: unknown): ErrorParts {
  const error = firstError(thrown)
  if (isImageError(error)) {
    return {
      kind: error.kind,
      code: error.code,
      message: error.message,
      details: error.details,
      hint: error.hint,
    }
  }
  if (error instanceof Error) return { message: error.message, stack: error.stack }
  return { message: String(error) }
}

export function rebuilt({ kind, code, message, hint, details, stack }: ErrorParts): Error {
  if (kind !== undefined && code !== undefined)
    return new ImageError(kind, code, message, {
      hint,
      details,
    })
  const error = new Error(message)
  if (stack !== undefined) error.stack = stack
  return error
}

/** The source is damaged or incomplete (exit 4). */
export function corrupt<const Code extends string>(
  code: CodeFor<'corrupt', Code>,
  message: string,
  options?: ImageErrorOptions,
): ImageError {
  return new ImageError('corrupt', code, message, options)
}

/**
 * The connection to another computer ended or broke, whichever side noticed it first; a target that is silent counts as
 * one. @param why as the system or the other side says it; may be empty.
 */
export function lostConnection(label: string, how: 'reading' | 'writing', why: string, cause?: unknown): ImageError {
  const message = `${label}: the connection was lost${why === '' ? '' : `: ${why}`}`
  return how === 'reading'
    ? corrupt('E_CONNECTION_LOST', message, { cause })
    : targetError('E_TARGET_LOST', message, { cause })
}

/** An unknown format or feature, or one this build cannot handle (exit 5). */
export function unsupported<const Code extends string>(
  code: CodeFor<'unsupported', Code>,
  message: string,
  options?: ImageErrorOptions,
): ImageError {
  return new ImageError('unsupported', code, message, options)
}

/** A file that an image names is missing, wrong, or not allowed (exit 6). */
export function reference<const Code extends string>(
  code: CodeFor<'reference', Code>,
  message: string,
  options?: ImageErrorOptions,
): ImageError {
  return new ImageError('reference', code, message, options)
}

/** Bad flags or arguments (exit 2). */
export function usage<const Code extends string>(
  code: CodeFor<'usage', Code>,
  message: string,
  options?: ImageErrorOptions,
): ImageError {
  return new ImageError('usage', code, message, options)
}

/** The target cannot be written (exit 7). */
export function targetError<const Code extends string>(
  code: CodeFor<'target', Code>,
  message: string,
  options?: ImageErrorOptions,
): ImageError {
  return new ImageError('target', code, message, options)
}

/** A safety guard said no (exit 3). The hint names the one flag that overrides it. */
export function refused<const Code extends string>(
  code: CodeFor<'refused', Code>,
  message: string,
  options?: ImageErrorOptions,
): ImageError {
  return new ImageError('refused', code, message, options)
}

/** Stopped by the user or an AbortSignal (exit 130). */
export function aborted(message = 'interrupted', options?: ImageErrorOptions): ImageError {
  return new ImageError('aborted', 'E_ABORTED', message, options)
}

/** A whole number in groups of three digits: `1,048,576`. (`toLocaleString` loads tables for 15 ms first.) */
export function grouped(value: number | bigint): string {
  return String(value).replace(/\B(?=(?:\d{3})+$)/g, ',')
}

declare const labelBrand: unique symbol

/**
 * Text for people: escaped, shortened or put together. It is printed, and never used to find, compare or open anything:
 * what opens files takes {@link HostPath}, and the compiler refuses a label there.
 */
export type Label = string & { readonly [labelBrand]: true }

/** Any string that is no {@link Label}: a path of this system, as src/sys/host-fs.ts takes it. */
export type HostPath = string & { readonly [labelBrand]?: never }

/**
 * Text from an image or a file name, made safe to print: characters that cannot be seen, or that turn the direction,
 * are escaped; bytes of a name that are not UTF-8 are shown as `\xe9`.
 */
export function printable(text: string): Label {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0
    if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`
  }) as Label
}

/** @throws ImageError aborted E_ABORTED when the signal has fired. */
export function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted()
}
