import { crc32 } from 'node:zlib'
import { crc32Zeros } from '../../binary/checksum.js'
import { lastAtMost } from '../../binary/search.js'
import type { ContentSums, Finding } from '../driver.js'
import type { Sum } from './chunks.js'
import type { SparsePart } from './joined.js'

/** The place of the checksum in the file header, over the whole disk; 0: there is none. */
const inHeader = 24

/**
 * The checksums of a part: those between its chunks, of the disk as far as it goes there, and that of the header.
 * AOSP's own reader counts chunks without content as zeros, its writer leaves them out (libsparse, sparse_read.c and
 * output_file.c): either is right.
 */
export class SparseSums implements ContentSums {
  readonly start = 0
  readonly end: number
  readonly #part: SparsePart
  readonly #sums: readonly Sum[]
  readonly #findings: Finding[] = []
  /** The checksum that comes next, and what those of the disk so far are. */
  #next = 0
  #withZeros = 0
  #without = 0

  constructor(part: SparsePart) {
    const { chunks } = part
    const recorded = Number(chunks.rows.find(({ name }) => name === 'imageChecksum')?.value ?? 0)
    this.#part = part
    this.#sums = [
      ...chunks.sums,
      ...(recorded === 0 ? [] : [{ end: chunks.capacity, crc32: recorded, position: inHeader }]),
    ]
    this.end = this.#sums.at(-1)?.end ?? 0
    this.#compare(0)
  }

  get count(): number {
    return this.#sums.length
  }

  take(offset: number, bytes: Uint8Array): void {
    this.#add(offset, bytes.length, (sum, at, length) => crc32(bytes.subarray(at, at + length), sum))
  }

  takeZeros(offset: number, length: number): void {
    this.#add(offset, length, (sum, _at, count) => crc32Zeros(count, sum))
  }

  findings(): Iterable<Finding> {
    return this.#findings
  }

  /** @param more the sum with `length` bytes more, which begin at `at` of what is given. */
  #add(offset: number, length: number, more: (sum: number, at: number, length: number) => number): void {
    const { starts, places, count } = this.#part.chunks
    for (let done = 0; done < length;) {
      const at = offset + done
      const chunk = lastAtMost(starts, count, at)
      const end = Math.min(starts[chunk + 1] ?? Infinity, this.#sums[this.#next]?.end ?? Infinity, offset + length)
      this.#withZeros = more(this.#withZeros, done, end - at)
      // A chunk that says nothing; one that is filled with zeros says that.
      if (places[chunk] !== -1) this.#without = more(this.#without, done, end - at)
      done += end - at
      this.#compare(end)
    }
  }

  /** The checksums of the disk up to here. */
  #compare(offset: number): void {
    for (;;) {
      const sum = this.#sums[this.#next]
      if (sum === undefined || sum.end > offset) return
      this.#next++
      const { end, crc32: wanted, position } = sum
      if (wanted === this.#withZeros || wanted === this.#without) continue
      this.#findings.push({
        severity: 'error',
        code: 'E_CHECKSUM',
        structure: position === inHeader ? 'header' : 'checksum chunk',
        position,
        message:
          `${this.#part.store.name}: the checksum of the first ${end} bytes of the disk is ` +
          `0x${this.#withZeros.toString(16)}, the one recorded at byte ${position} is 0x${wanted.toString(16)}`,
      })
    }
  }
}
