import type { ByteStore } from './types.js'

/** How guest units are compressed: `length` guest bytes each. */
export interface Packing {
  readonly length: number
  readonly codec: string
  readonly level?: number
  /**
   * Every unit with content is compressed, also where it gets no smaller, and the last one is filled up with zeros: for
   * formats that have no plain units. `place` is then only asked what such a unit would take.
   */
  readonly always?: boolean
  /** The last unit ends with the disk: it is not filled up. */
  readonly wholeEnd?: boolean
}

/** Where the engine puts the content of a disk: decides positions, moves nothing. Calls come in ascending order. */
export interface CopyTarget {
  /** Bytes of the virtual disk that is being made. */
  readonly capacity: number
  /**
   * The zero scan's unit: offsets and lengths given to `place` and `zero` are multiples of it, except at the disk's
   * end.
   */
  readonly grain: number
  /** The unit of compression, when `placePacked` is offered for this image: guest bytes, aligned. */
  readonly packedUnit?: Packing
  /** Whether every byte must be placed, zeros too (a fully preallocated image in a store that is not zeroed). */
  readonly placeZeros?: boolean
  /** Whether what is placed is written past the page cache, where every call waits for the medium. */
  readonly isPastCache?: boolean
  /** Where plain bytes go; the length may be shorter than asked (call again for the rest), never zero. */
  place(
    offset: number,
    length: number,
  ): { readonly store: ByteStore; readonly position: number; readonly length: number }
  /**
   * Where one compressed unit goes: `storedLength` bytes for the guest unit at `offset`. Call with a length below the
   * unit's only, unless units are always compressed.
   */
  placePacked?(offset: number, storedLength: number): { readonly store: ByteStore; readonly position: number }
  /** These bytes read as zero even where a parent has data. Without a parent the engine need not call it. */
  zero(offset: number, length: number): void
}

/**
 * Builds a new image and keeps its tables. Every byte of the disk is either placed, zeroed, or left alone (zero without
 * a parent, the parent's content with one). Space inside an allocated block that is never placed reads as zero: the
 * store is new. `capacity` is the shape's, rounded up where the format must.
 */
export interface ImageWriter extends CopyTarget, Disposable {
  /** Positions only go up, and nothing is written besides what is placed: the image can go to a pipe in one pass. */
  readonly sequential?: boolean
  /**
   * Positions only go up, those of tables too, and nothing is changed that was written before what is placed next: the
   * image can go to a pipe while it is made (`CreateContext.onePass`).
   */
  readonly appends?: boolean
  /** Tables, flush, the identifying header LAST, flush. */
  finish(): void
}
