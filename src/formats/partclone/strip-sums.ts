import { roundUp } from '../../binary/integers.js'
import type { ByteStore } from '../../block/types.js'
import type { ImageError } from '../../errors.js'
import type { ContentSums, Finding } from '../driver.js'
import type { StoredBlocks } from './blocks.js'
import type { Checksum } from './checksums.js'
import type { Header } from './header.js'
import type { Strips, VerifiedStore } from './strips.js'

/** What the checksums of strips are taken of. */
interface Stripped {
  readonly store: ByteStore
  readonly header: Header
  readonly blocks: StoredBlocks
  readonly strips: Strips
  readonly verified: VerifiedStore
  /** Bytes of the disk. */
  readonly capacity: number
}

/** The checksums of strips that cannot be verified one by one: each goes on from the one before, or they are large. */
export class StripSums implements ContentSums {
  readonly start = 0
  readonly end: number
  readonly #of: Stripped
  #sum: Checksum
  #fault: { readonly position: number; readonly error: ImageError } | undefined

  constructor(of: Stripped) {
    this.#of = of
    this.end = of.capacity
    this.#sum = of.header.checksum.start()
  }

  take(offset: number, bytes: Uint8Array): void {
    const { store, header, blocks, strips, capacity } = this.#of
    const { blockSize } = header
    for (let done = 0; done < bytes.length && this.#fault === undefined;) {
      const at = offset + done
      const block = Math.floor(at / blockSize)
      if (block >= header.blocks) return
      const run = blocks.runAt(block, Math.ceil((bytes.length - done) / blockSize) + 1)
      const end = Math.min(run.end * blockSize, offset + bytes.length)
      const from = run.rank * blockSize + (at - block * blockSize)
      if (run.stored) this.#add(from, bytes.subarray(done, end - offset))
      // A block that the disk ends in is stored whole.
      if (run.stored && end === capacity && capacity % blockSize !== 0) {
        const rest = new Uint8Array(blockSize - (capacity % blockSize))
        const rank = run.rank + Math.floor(capacity / blockSize) - block
        store.read(strips.position(rank) + (capacity % blockSize), rest)
        this.#add(from + end - at, rest)
      }
      done = end - offset
    }
  }

  takeZeros(offset: number, length: number): void {
    const { header, blocks } = this.#of
    const { blockSize } = header
    for (let at = offset; at < offset + length;) {
      const block = Math.floor(at / blockSize)
      if (block >= header.blocks) return
      const run = blocks.runAt(block, Math.ceil((offset + length - at) / blockSize) + 1)
      const end = Math.min(run.end * blockSize, offset + length)
      // Zeros that are stored count.
      for (; run.stored && at < end; at += blockSize) this.take(at, new Uint8Array(Math.min(blockSize, end - at)))
      at = end
    }
  }

  *findings(): Generator<Finding> {
    if (this.#fault === undefined) return
    const { position, error } = this.#fault
    yield { severity: 'error', code: error.code, structure: 'blocks', position, message: error.message }
  }

  /** @param from where in all that is stored, without checksums, `bytes` stand. */
  #add(from: number, bytes: Uint8Array): void {
    const { header, strips, verified } = this.#of
    for (let done = 0; done < bytes.length && this.#fault === undefined;) {
      const strip = Math.floor((from + done) / strips.content)
      const within = from + done - strip * strips.content
      const length = Math.min(bytes.length - done, verified.contentOf(strip) - within)
      this.#update(within, bytes.subarray(done, done + length))
      done += length
      if (within + length < verified.contentOf(strip)) continue
      const error = verified.compare(strip, this.#sum)
      if (error !== undefined) this.#fault = { position: strips.dataStart + strip * strips.stored, error }
      if (header.reseed) this.#sum = header.checksum.start()
    }
  }

  /** @param within where in its strip `bytes` stand. */
  #update(within: number, bytes: Uint8Array): void {
    const { checksum, blockSize } = this.#of.header
    if (checksum.mode !== undefined) {
      this.#sum.update(bytes)
      return
    }
    // Of version 1, block by block: the first byte of each counts.
    const block = new Uint8Array(blockSize)
    for (let at = roundUp(within, blockSize) - within; at < bytes.length; at += blockSize) {
      block[0] = bytes[at] ?? 0
      this.#sum.update(block)
    }
  }
}
