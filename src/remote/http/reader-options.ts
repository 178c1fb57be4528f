import type { Proxies } from './proxies.js'

// Every command loads this for its addresses: Node's http is for the thread that reads.

/** What the first request asks for, in bytes: tables of most images begin there. */
export const headLength = 1_048_576

export interface ReaderOptions {
  /** How long a server may keep silent. */
  readonly milliseconds: number
  /** Requests at once. */
  readonly connections: number
  /** Sent with each request to the server that was named, and to no other. */
  readonly headers?: Readonly<Record<string, string>>
  /** What requests go through; none when left out. */
  readonly proxies?: Proxies
}

export const usualOptions: ReaderOptions = { milliseconds: 60_000, connections: 8 }
