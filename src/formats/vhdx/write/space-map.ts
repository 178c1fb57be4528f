import { writeZeros } from '../../../block/zeros.js'
import { moveNumbers } from '../../../binary/move-numbers.js'
import { ceilDivide, roundUp } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints, targetError, unsupported } from '../../../errors.js'
import { setBits, clearBits, testBit } from '../format/entries.js'
import { mebibyte } from '../format/structs.js'

/** Twice the greatest disk; a bit for each MiB of it takes 16 MiB of memory. */
const maximumMebibytes = 2 ** 27

/** A new place in the file. */
export interface NewSpace {
  readonly position: number
  /** Whether it reads as zero: the file was made longer for it. Otherwise it holds what was there before. */
  readonly fresh: boolean
}

/**
 * Which MiB of the file are in use (MS-VHDX 2.1: everything lies at multiples of 1 MiB). Positions and lengths are
 * bytes.
 */
export class SpaceMap {
  readonly #store: ByteStore
  #used: Uint8Array
  /** MiB of the file, and of them the unused ones; no unused one lies before `hint`. */
  #end = 0
  #free = 0
  #hint = 0
  /** Released, but still referenced on the medium. */
  readonly #released: { first: number; count: number }[] = []
  #gaveUp = false
  /** What was looked for in vain since space became free last, MiB. */
  #futile = Infinity

  constructor(store: ByteStore) {
    this.#store = store
    const mebibytes = Math.floor(store.size / mebibyte)
    if (mebibytes > maximumMebibytes) {
      throw unsupported(
        'E_NOT_WRITABLE',
        `${store.name}: the file has ${store.size} bytes; a VHDX of more than ${maximumMebibytes * mebibyte} ` +
          'cannot be changed',
        { details: { size: store.size } },
      )
    }
    this.#used = new Uint8Array(ceilDivide(Math.max(mebibytes, 64), 8))
    this.#end = mebibytes
    this.#free = mebibytes
    this.claim('headers', 0, mebibyte)
  }

  /** Bytes up to the end of the last MiB in use. */
  get usedEnd(): number {
    let end = this.#end
    while (end > 0 && !testBit(this.#used, end - 1)) end--
    return end * mebibyte
  }

  /** Bytes of the file, everything in use included: more than the file has where its last block was cut off. */
  get end(): number {
    return this.#end * mebibyte
  }

  /** Whether anything was released in this session. */
  get gaveUp(): boolean {
    return this.#gaveUp
  }

  /** @throws ImageError corrupt E_OVERLAP when any of it is in use already, E_BAT_RANGE far outside the file. */
  claim(what: string, position: number, length: number): void {
    const first = position / mebibyte
    const end = ceilDivide(position + length, mebibyte)
    if (end > maximumMebibytes)
      throw corrupt(
        'E_BAT_RANGE',
        `${this.#store.name}: ${what} lies at byte ${position}, past the end of the file at ${this.#store.size}`,
        { details: { position } },
      )
    this.#reach(end)
    for (let at = first; at < end; at++) {
      if (!testBit(this.#used, at)) continue
      throw corrupt(
        'E_OVERLAP',
        `${this.#store.name}: ${what} at byte ${position} shares byte ${at * mebibyte} with something else: ` +
          'the image cannot be changed without damage',
        { hint: hints.check, details: { position } },
      )
    }
    setBits(this.#used, first, end)
    this.#free -= end - first
  }

  /** Space of `length` bytes, whole MiB. @throws ImageError target E_NO_SPACE when the store cannot grow. */
  allocate(length: number): NewSpace {
    const count = length / mebibyte
    const found = this.#find(count, this.#end)
    if (found !== undefined) {
      this.#take(found, count)
      return { position: found * mebibyte, fresh: false }
    }
    if (!this.#store.growable || this.#end + count > maximumMebibytes) {
      throw targetError(
        'E_NO_SPACE',
        `${this.#store.name}: no ${length} bytes are free in its ${this.#store.size}, and it cannot grow`,
      )
    }
    const position = this.#end * mebibyte
    this.#store.truncate(position + length)
    this.#reach(position / mebibyte + count)
    this.#take(position / mebibyte, count)
    return { position, fresh: true }
  }

  /** Space of `length` bytes that ends at or before `limit`, or undefined: to move something down. */
  allocateBelow(length: number, limit: number): NewSpace | undefined {
    const count = length / mebibyte
    const found = this.#find(count, limit / mebibyte)
    if (found === undefined) return undefined
    this.#take(found, count)
    return { position: found * mebibyte, fresh: false }
  }

  /** Writes zeros where a place holds something else. */
  clear({ position, fresh }: NewSpace, from: number, to: number): void {
    if (fresh) return
    writeZeros(this.#store, position + from, to - from)
  }

  /** Gives space up. It is used again only after {@link reuse}: until then a crash may bring its old owner back. */
  release(position: number, length: number): void {
    const first = position / mebibyte
    const count = roundUp(length, mebibyte) / mebibyte
    const last = this.#released.at(-1)
    if (last !== undefined && last.first + last.count === first) last.count += count
    else this.#released.push({ first, count })
    this.#gaveUp = true
  }

  /** What was released is free from now on: nothing on the medium refers to it. */
  reuse(): void {
    for (const { first, count } of this.#released) {
      clearBits(this.#used, first, first + count)
      this.#free += count
      this.#hint = Math.min(this.#hint, first)
      this.#futile = Infinity
    }
    this.#released.length = 0
  }

  #take(first: number, count: number): void {
    setBits(this.#used, first, first + count)
    this.#free -= count
    while (this.#hint < this.#end && testBit(this.#used, this.#hint)) this.#hint++
  }

  /** The first run of `count` unused MiB before `limit`. */
  #find(count: number, limit: number): number | undefined {
    if (count > this.#free || count >= this.#futile) return undefined
    let start = this.#hint
    for (let at = this.#hint; at < limit; at++) {
      if (testBit(this.#used, at)) start = at + 1
      else if (at + 1 - start === count) return start
    }
    if (limit >= this.#end) this.#futile = count
    return undefined
  }

  #reach(end: number): void {
    if (end <= this.#end) return
    if (end > this.#used.length * 8)
      this.#used = moveNumbers(this.#used, new Uint8Array(Math.max(this.#used.length * 2, ceilDivide(end, 8))))
    this.#free += end - this.#end
    this.#end = end
  }
}
