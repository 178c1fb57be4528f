import type { FieldRow } from '../binary/struct.js'
import type { Label } from '../errors.js'
import type { PoolDecoder, PoolEncoder } from '../sys/pool-libraries.js'
import type { FarPort } from './far-port.js'

export type { PoolEncoder } from '../sys/pool-libraries.js'

/** What every writing past the page cache is aligned to, in bytes: the largest logical sector there is. */
export const directAlignment = 4096

/**
 * Host bytes: a file, a device, memory. Synchronous: metadata is small and cached; bulk I/O is the engine's.
 * Positions, lengths and sizes are bytes throughout.
 */
export interface ByteStore extends Disposable {
  /** What messages call it: usually the path, escaped. For people only; what a source is, its Location says. */
  readonly name: Label
  readonly size: number
  /** Whether writing past `size` enlarges it. */
  readonly growable: boolean
  /** Positions and lengths of calls are multiples of it: 1 for files. */
  readonly alignment: number
  /** Whether space never written reads as zero (a new file: yes; a device: no). */
  readonly zeroed: boolean
  /**
   * The descriptor, so that the engine's threads can move bytes without the store. Absent: only `read` and `write`
   * work.
   */
  readonly fd?: number
  /**
   * What positions and lengths of bulk reads and writes by `fd`, and the addresses of their memory, are multiples of,
   * where it matters:
   * the sector of a disk past the page cache. What does not fit goes through `read` and `write`.
   */
  readonly descriptorAlignment?: number
  /**
   * A second descriptor for writing, past the page cache: bulk data is on the medium when the write returns, and the
   * cache keeps what the
   * user had in it. Positions, lengths and the memory's address are multiples of {@link directAlignment}.
   */
  readonly directDescriptor?: number
  /** Of a store whose bytes are those of a disk: that disk. The engine looks there for where they really are. */
  readonly source?: BlockSource
  /** What the reader of an image should know of where it comes from. Absent: nothing. */
  readonly notes?: readonly Note[]
  /** Fills `target` whole. @throws ImageError corrupt E_TRUNCATED past the end; E_READ when the host cannot read. */
  read(position: number, target: Uint8Array): void
  /**
   * The same of bytes that are only looked at to learn what they are: a checksum behind them is not compared. Absent:
   * `read` is as quick.
   */
  glance?(position: number, target: Uint8Array): void
  /** @throws ImageError target E_WRITE, E_NO_SPACE. */
  write(position: number, bytes: Uint8Array): void
  truncate(size: number): void
  /** Makes a range read as zero, and gives its space back where it can. Absent: zeros are to be written. */
  zero?(position: number, length: number): void
  flush(): void
  /**
   * Of a source that others could change meanwhile: what changed since it was opened, as an end of a sentence about it;
   * undefined where nothing did. Absent: it cannot be known (a disk), or nobody else can.
   */
  changed?(): string | undefined
  /** Bytes up to `end` were written through the descriptor. */
  grown?(end: number): void
  /**
   * The same of a range of bulk data, which the store may send on its way to the medium; the descriptor is not to be
   * closed before the promise settles (undefined: nothing is under way). @param took milliseconds. @throws ImageError
   * target where the medium does not take it.
   */
  written?(position: number, length: number, took: number): Promise<void> | undefined
  /**
   * Of a store without a descriptor: how the run at `position` is stored, 0 < length ≤ limit; a hole reads as zero.
   * Absent: all may be data.
   */
  holeAt?(position: number, limit: number): { readonly hole: boolean; readonly length: number }
  /**
   * As `read`, without keeping this thread waiting; `target` lies in shared memory, and belongs to the store until the
   * promise settles.
   */
  fetch?(position: number, target: Uint8Array): Promise<void>
  /**
   * Of a store with `fetch`: bytes worth being fetched at once, in several calls, so that what lies between it and its
   * bytes is always busy. Absent: a few calls do.
   */
  readonly underWay?: number
  /** Of a store of another computer: by what another thread reads bytes [start, end). Absent: only this one can. */
  openPort?(start: number, end: number): FarPort
  /** As `write`, likewise. */
  send?(position: number, bytes: Uint8Array): Promise<void>
}

/** Decodes and makes compressed units. Known by its id in every thread (src/codec/registry.ts). */
export interface Codec {
  /** Short, lower case: `zstd`. */
  readonly id: string
  /**
   * Of a plug-in's codec: the address of the module whose default export it is, so that the engine's threads can
   * import it. Without one its units are decoded in one thread.
   */
  readonly module?: string
  /** Loads what it needs in this thread (a native or a WebAssembly module); called once, before its first use. */
  load?(): void
  /**
   * Fills `target` whole from `stored`, which may carry trailing bytes that do not belong to the stream.
   * @throws ImageError corrupt E_COMPRESSED when the stream is damaged or gives fewer bytes.
   */
  decode(stored: Uint8Array, target: Uint8Array): void
  /**
   * Fills `target` with the first bytes of a unit, of which `stored` has the first bytes, without comparing its
   * checksum; false where it cannot.
   */
  decodeStart?(stored: Uint8Array, target: Uint8Array): boolean
  /** One compressed unit. @param level the codec's own scale; its usual level when left out. */
  encode?(bytes: Uint8Array, level?: number): Uint8Array
  /** The same by a library that works in the threads of Node's pool; only of codecs built in. */
  readonly inPool?: PoolCodec
}

/**
 * A codec that does not keep its caller waiting, as far as this system has a library for it, which is loaded when a
 * member is first asked for.
 */
export interface PoolCodec {
  /**
   * Fills the `output` of each unit. Resolves to false for each that the library refused: `decode` finds out why, or
   * accepts it.
   */
  readonly decode?: PoolDecoder
  /** The same of a long unit, whose bytes are read meanwhile, so that they need not be in memory together. */
  readonly decodeLong?: LongPoolDecoder
  /** Where units that stand one behind the other decode by one call. */
  readonly joined?: JoinedUnits
  /**
   * What compresses at a level; undefined where only `encode` does. It puts each unit into its `output`, which has
   * `poolRoom` bytes, and resolves to their lengths; undefined for each where the library failed.
   */
  readonly encoder?: (level?: number) => PoolEncoder | undefined
  /** The version of the library that compresses, where it decides which bytes come out. */
  readonly version?: number
}

/**
 * Fills `output` from a unit of `stored` bytes. Resolves to false where the library refused it, or it cannot be read.
 * @param read fills `target` with the unit's bytes from `at` on; resolves to how many were there.
 */
export type LongPoolDecoder = (
  stored: number,
  read: (at: number, target: Uint8Array) => Promise<number>,
  output: Uint8Array,
) => Promise<boolean>

/** Units that say how long they are and what they hold, and that decode as one: a call for each costs more than it. */
export interface JoinedUnits {
  /** Bytes of the unit at the start of `stored`; undefined where it does not say that it holds `length` bytes. */
  measure(stored: Uint8Array, length: number): number | undefined
  /** Resolves to false where the library refused one of the units, and to true where they filled `target`. */
  decode(stored: Uint8Array, target: Uint8Array): Promise<boolean>
}

/** Bytes that a {@link PoolEncoder} needs for the result, for a unit of `length` bytes. */
export function poolRoom(length: number): number {
  return length + Math.ceil(length / 128) + 4096
}

/**
 * One run of equal status, starting exactly at the offset asked for. Decoded once from the table entry; readers switch
 * on it.
 * `absent`: this layer says nothing, its parent answers, or zero where there is none.
 * `data`: verbatim bytes at `position` in `store`; may be range-copied.
 * `packed`: part of a compressed unit that covers guest bytes [unitOffset, unitOffset + unitLength).
 */
export type Extent = { readonly offset: number; readonly length: number } & (
  | { readonly kind: 'zero' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'data'; readonly store: ByteStore; readonly position: number }
  | {
      readonly kind: 'packed'
      readonly store: ByteStore
      readonly position: number
      readonly storedLength: number
      readonly codec: Codec
      readonly unitOffset: number
      readonly unitLength: number
      /** Where the unit may be found decoded. */
      readonly decoded?: DecodedUnits
    }
)

/** Compressed units that were decoded not long ago. */
export interface DecodedUnits {
  /** The content of a unit, which stays as it is. Undefined where it is not at hand. */
  lend(store: ByteStore, position: number, length: number): Uint8Array | undefined
}

/** A readable virtual disk. */
export interface BlockSource extends Disposable {
  /** Bytes of the virtual disk; need not be a multiple of the sector (a raw file of odd length). */
  readonly capacity: number
  /** Logical sector size the disk is meant to be presented with. */
  readonly sectorSize: 512 | 4096
  /** The allocation unit in bytes: extents change status at its multiples only, as far as is known. */
  readonly grain: number
  /**
   * The run at `offset`: 0 < length ≤ limit. Never reads guest data; every position lies inside its store.
   * `offset` < capacity; `offset + limit` may pass the capacity, the extent does not.
   * @throws ImageError corrupt where the table entry is damaged, reference where the file it needs was not opened.
   */
  extentAt(offset: number, limit: number): Extent
  /** Fills `target` with the guest bytes at `offset`. Synchronous, so that FUSE and NBD threads can use it. */
  read(offset: number, target: Uint8Array): void
}

/** Something the user should know about an image that still opens; printed as a warning. */
export interface Note {
  /** Stable, upper case: `W_FOOTER_COPY_USED`. */
  readonly code: string
  readonly message: string
}

/**
 * A fact of a section: `name` is a stable camelCase key for programs, `label` is for people (default: made from the
 * name).
 */
export interface Fact {
  readonly name: string
  readonly label?: string
  readonly value: string | number | bigint | boolean
  /** How to print: bytes are shown exact and human. */
  readonly unit?: 'bytes' | 'count'
  /** Shown in the first answer of `info`, not only with --verbose. */
  readonly key?: boolean
}

/**
 * A part of what `info` says. Facts are shown with --verbose, fields (every field of a structure with its place) with
 * --headers.
 */
export interface Section {
  readonly title: string
  readonly facts: readonly Fact[]
  readonly fields?: readonly FieldRow[]
}
