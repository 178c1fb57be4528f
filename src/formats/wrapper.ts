import type { BlockSource, ByteStore, Note } from '../block/types.js'
import type { Work } from '../block/work.js'

/** How sure a format, or a wrapper, is that a file is one of its own. */
export type Certainty = 'certain' | 'possible' | 'no'

/**
 * What gives a disk inside another file: a compressed stream, a member of an archive, an appliance. It finds where the
 * inner file is; what that is, is found again from its content, at most three deep.
 */
export interface WrapperDriver {
  readonly apiVersion: 1
  readonly kind: 'wrapper'
  /** Short, lower case: `gzip`. */
  readonly id: string
  readonly title: string
  /** Lower case, without the dot, most usual first. */
  readonly extensions: readonly string[]
  /** How the content is reached, for `vdisk formats`. */
  readonly access: string
  /** As of a FormatDriver. */
  probe(head: Uint8Array, tail: Uint8Array, size: number): Certainty
  /**
   * What is inside, from the file's structure; the content is not read. The store stays the caller's.
   * @throws ImageError corrupt; unsupported for kinds that are known and not read (encrypted, a method).
   */
  open(store: ByteStore): Work<Wrapped>
}

/** What a wrapper holds. */
export interface Wrapped {
  /** The files in it that may be disks, in its order. */
  readonly members: readonly WrappedFile[]
  readonly notes?: readonly Note[]
}

/** A file inside another: reached at any place (`source`), or only from its start to its end (`stream`). */
export type WrappedFile = {
  /** Its name, where one is recorded. */
  readonly name?: string
  /** Bytes of content, where that is known without decoding it. */
  readonly size?: number
} & (
  | { readonly source: BlockSource; readonly stream?: undefined }
  | { readonly source?: undefined; readonly stream: WrappedStream }
)

/** A compressed stream: a range of bytes of the file, and the stream codec (src/codec/stream) that decodes it. */
export interface WrappedStream {
  readonly codec: string
  readonly start: number
  readonly end: number
  /** What the content must be, where the wrapper records it. */
  readonly expected?: { readonly size: number; readonly crc32: number }
}
