/** What vdisk knows an error of its own by, of this package or another. */
const brand = Symbol.for('vdisk.ImageError')

/** An error that vdisk prints as its own, with the exit code of its kind: 2 usage, 7 target. */
export class QueueError extends Error {
  readonly details = {}
  readonly hint?: string

  constructor(
    readonly kind: 'usage' | 'target',
    readonly code: string,
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.hint = options.hint
    Object.defineProperty(this, brand, { value: true })
  }
}
