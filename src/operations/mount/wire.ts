import { ImageError, isImageError, type ErrorDetails, type ErrorKind } from '../../errors.js'

/** An error as it goes from one process or thread to another. */
export interface WireError {
  readonly kind: ErrorKind
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly details: ErrorDetails
  readonly stack?: string
}

export function toWire(error: unknown): WireError {
  if (isImageError(error)) {
    const { kind, code, message, hint, details, stack } = error
    return {
      kind,
      code,
      message,
      details,
      hint,
      stack,
    }
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  return {
    kind: 'internal',
    code: 'E_INTERNAL',
    message: `this is a bug: ${message}`,
    details: {},
    stack,
  }
}

export function fromWire({ kind, code, message, hint, details, stack }: WireError): ImageError {
  const error = new ImageError(kind, code, message, { details, hint })
  if (stack !== undefined) error.stack = stack
  return error
}
