import type { MessagePort } from 'node:worker_threads'
import type { ErrorParts } from '../errors.js'

/**
 * A range to be read into shared memory by the thread that has the connections of a file of another computer. `state`:
 * the caller waits on that word, which becomes 1 when the bytes are there, 2 when they are not.
 */
export interface FarRead {
  readonly kind: 'read'
  readonly offset: number
  readonly length: number
  readonly buffer: SharedArrayBuffer
  readonly start: number
  readonly state?: SharedArrayBuffer
}

/** Why the range at `offset` could not be read: sent by the port that it was asked for by. */
export interface FarFailure {
  readonly offset: number
  readonly failure: ErrorParts
}

/** By what another thread reads a file of another computer, once it was sent there. */
export interface FarPort {
  readonly port: MessagePort
  /** What of the file is here already, as `KeptPages` has it. */
  readonly pages: ReadonlyMap<number, Uint8Array>
  /** How long an answer may take, in milliseconds, and the error where none comes. */
  readonly longest: number
  readonly silent: ErrorParts
}
