import type { Note } from '../../block/types.js'

// Every command loads this for its addresses: Node's http is for the thread that reads.

/** What the first request asks for, in bytes: tables of most images begin there. */
export const headLength = 1_048_576

/** What is known of a file when it is open. */
export interface RemoteFacts {
  readonly size: number
  readonly notes: readonly Note[]
  /** How much of the file's beginning was read already. */
  readonly headLength: number
  /** Whether the server says what of it was never written. */
  readonly isSparse?: boolean
}

export interface ReaderOptions {
  /** How long a server may keep silent. */
  readonly milliseconds: number
  /** Requests at once. */
  readonly connections: number
  /** Sent with each request to the server that was named, and to no other. */
  readonly headers?: Readonly<Record<string, string>>
}

export const usualOptions: ReaderOptions = { milliseconds: 60_000, connections: 8 }
