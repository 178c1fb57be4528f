import type { Input } from './input.js'

/** A way of compressing whole files, decoded from the start to the end. */
export interface StreamCodec {
  /** Short, lower case: `gzip`. */
  readonly id: string
  /**
   * The content in order, in pieces of any length up to a few MiB, whose memory may be used again when the next is
   * asked for. Everything that can be checked is: checksums, sizes, indexes, and that nothing else follows. The last
   * piece is only right when the end is reached without an error.
   * @throws ImageError corrupt E_COMPRESSED, E_TRUNCATED, E_TRAILING_DATA; unsupported E_CODEC.
   */
  decode(input: Input): Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}
