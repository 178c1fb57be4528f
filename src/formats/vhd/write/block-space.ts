import { roundUp } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { targetError } from '../../../errors.js'
import { blockPosition, maximumSector } from '../format/layout.js'
import { sectorLength } from '../format/structs.js'

/** The file is enlarged by this much at once, or by a block: each time costs a flush. */
const stepLength = 32 * 1024 * 1024

/**
 * The end of a file with blocks, and the footer there: it moves ahead of what is new before that touches where it
 * stood. After a flush that failed nothing is taken any more: what the medium holds is unknown then, and a later flush
 * may still succeed.
 */
export class BlockSpace {
  readonly #store: ByteStore
  readonly #moved: (end: number) => void
  #footer: Uint8Array
  /** Where the footer stands, and where the next new block may begin. */
  #end: number
  #next: number
  #failure: { readonly cause: unknown } | undefined

  /** @param end where the footer stands. @param moved is called when it stands elsewhere. */
  constructor(store: ByteStore, footer: Uint8Array, end: number, moved: (end: number) => void) {
    this.#store = store
    this.#footer = footer
    this.#end = end
    this.#next = end
    this.#moved = moved
  }

  /** Where the footer stands. */
  get end(): number {
    return this.#end
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined
  }

  /** @throws what an earlier flush threw. */
  assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure.cause
  }

  /** Nothing new begins before this byte. */
  reserve(end: number): void {
    this.#next = Math.max(this.#next, end)
  }

  flush(): void {
    this.assertUsable()
    try {
      this.#store.flush()
    } catch (cause) {
      this.#failure = { cause }
      throw cause
    }
  }

  /** Another footer at the same place and, for readers that take it, at the file's start. */
  changeFooter(footer: Uint8Array): void {
    this.#footer = footer
    this.#store.write(this.#end, footer)
    this.flush()
    this.#store.write(0, footer)
    this.flush()
  }

  /**
   * New space at the file's end, which reads as zero but for its first sector. @param bitmapLength of a block.
   * @throws ImageError target E_NO_SPACE
   */
  extend(length: number, bitmapLength: number): number {
    const position = blockPosition(roundUp(this.#next, sectorLength), bitmapLength, sectorLength)
    const end = position + length
    if (end / sectorLength > maximumSector)
      throw targetError('E_NO_SPACE', `${this.#store.name} cannot grow beyond the 2 TiB that a VHD reaches`)
    if (end > this.#end) {
      const next = end + Math.max(0, Math.min(stepLength - length, (maximumSector - 1) * sectorLength - end))
      this.#store.write(next, this.#footer)
      this.flush()
      // What the old footer was becomes part of a block.
      this.#store.write(this.#end, new Uint8Array(sectorLength))
      this.#moveTo(next)
    }
    this.#next = end
    return position
  }

  /** The file ends behind `end`; the new footer is on the medium before the old one goes. */
  cut(end: number): void {
    // Two footers that overlap could be lost together.
    if (end + sectorLength > this.#end) return
    this.#store.write(end, this.#footer)
    this.flush()
    this.#moveTo(end)
    this.#next = end
    this.#store.truncate(end + sectorLength)
    this.flush()
  }

  #moveTo(end: number): void {
    this.#end = end
    this.#moved(end)
  }
}
