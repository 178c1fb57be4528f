import { decodeUnit } from './read.js'
import { ReusedMemory } from './reused-memory.js'
import type { BlockSource } from './types.js'
import type { Work } from './work.js'

/**
 * Takes the content of a disk while it is read: checksums that are compared at the end. Calls come in ascending order,
 * and each begins where the last one ended.
 */
export interface ContentTaker {
  /** What it is to be given, in bytes of the disk. */
  readonly start: number
  readonly end: number
  take(offset: number, bytes: Uint8Array): void
  /** Bytes that are known to be zero. */
  takeZeros(offset: number, length: number): void
}

/** Gives a taker what is read of a disk; what was left out between is zero. */
export class OrderedTaking {
  readonly #taker: ContentTaker
  #done: number

  constructor(taker: ContentTaker) {
    this.#taker = taker
    this.#done = taker.start
  }

  /** @param offset at or behind the end of what was given before. */
  add(offset: number, bytes: Uint8Array): void {
    const start = Math.max(offset, this.#taker.start)
    const end = Math.min(offset + bytes.length, this.#taker.end)
    if (start >= end) return
    this.zerosTo(start)
    if (start !== this.#done) throw new RangeError(`content at offset ${start} comes behind that at ${this.#done}`)
    this.#taker.take(start, bytes.subarray(start - offset, end - offset))
    this.#done = end
  }

  /** Nothing more is stored before `end`. */
  zerosTo(end: number): void {
    const stop = Math.min(end, this.#taker.end)
    if (stop <= this.#done) return
    this.#taker.takeZeros(this.#done, stop - this.#done)
    this.#done = stop
  }
}

const pieceLength = 1024 * 1024

/** Reads what a taker is to be given, in this thread. @throws ImageError as reading. */
export function* giveContent(source: BlockSource, taker: ContentTaker): Work<void> {
  const piece = new Uint8Array(pieceLength)
  const stored = new ReusedMemory()
  for (let offset = taker.start; offset < taker.end;) {
    const extent = source.extentAt(offset, taker.end - offset)
    if (extent.kind === 'zero' || extent.kind === 'absent') {
      taker.takeZeros(offset, extent.length)
      offset += extent.length
      yield { done: offset, total: taker.end }
      continue
    }
    const bytes = piece.subarray(0, Math.min(piece.length, extent.length))
    if (extent.kind === 'packed' && bytes.length === extent.unitLength)
      decodeUnit(extent, bytes, stored.take(extent.storedLength))
    else source.read(offset, bytes)
    taker.take(offset, bytes)
    offset += bytes.length
    yield { done: offset, total: taker.end }
  }
}
