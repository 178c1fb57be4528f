/** What kind of thing went wrong; decides the exit code (docs/architecture.md, "Errors"). */
export type ErrorKind =
  | 'negative'
  | 'usage'
  | 'refused'
  | 'corrupt'
  | 'unsupported'
  | 'reference'
  | 'target'
  | 'mismatch'
  | 'partial'
  | 'internal'
  | 'aborted'

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

/**
 * The one error type of vdisk. `code` is stable (`E_TRUNCATED`), `message` says what, in which file, at which byte,
 * what was expected and what was found. Recognise it with {@link isImageError}: two copies of the package may be
 * loaded.
 */
export class ImageError extends Error {
  readonly kind: ErrorKind
  readonly code: string
  readonly hint: string | undefined
  readonly details: ErrorDetails

  constructor(kind: ErrorKind, code: string, message: string, options: ImageErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ImageError'
    this.kind = kind
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

/** An error taken apart, to be sent to another thread: class and brand do not survive the way. */
export interface ErrorParts {
  readonly kind?: ErrorKind
  readonly code?: string
  readonly message: string
  readonly stack?: string
  readonly hint?: string
  readonly details?: ErrorDetails
}

export function takenApart(error: unknown): ErrorParts {
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
export function corrupt(code: string, message: string, options?: ImageErrorOptions): ImageError {
  return new ImageError('corrupt', code, message, options)
}

/** An unknown format or feature, or one this build cannot handle (exit 5). */
export function unsupported(code: string, message: string, options?: ImageErrorOptions): ImageError {
  return new ImageError('unsupported', code, message, options)
}

/** A file that an image names is missing, wrong, or not allowed (exit 6). */
export function reference(code: string, message: string, options?: ImageErrorOptions): ImageError {
  return new ImageError('reference', code, message, options)
}

/** Bad flags or arguments (exit 2). */
export function usage(code: string, message: string, options?: ImageErrorOptions): ImageError {
  return new ImageError('usage', code, message, options)
}

/** The target cannot be written (exit 7). */
export function targetError(code: string, message: string, options?: ImageErrorOptions): ImageError {
  return new ImageError('target', code, message, options)
}

/** A safety guard said no (exit 3). The hint names the one flag that overrides it. */
export function refused(code: string, message: string, options?: ImageErrorOptions): ImageError {
  return new ImageError('refused', code, message, options)
}

/** Stopped by the user or an AbortSignal (exit 130). */
export function aborted(message = 'interrupted', options?: ImageErrorOptions): ImageError {
  return new ImageError('aborted', 'E_ABORTED', message, options)
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
