import type { ContentTaker } from '../../block/content-taker.js'
import { blockDigest, blockLength } from '../../engine/tree-hash.js'
import { DiskDigests, type DigestPart } from '../transfer/disk-digests.js'
import type { ImageRecord } from './record.js'

type Digests = ImageRecord['digests']

/** Takes digests of the blocks of a part of a disk, from its bytes in order. */
class BlockFeed {
  readonly #start: number
  readonly #end: number
  readonly #digests: DiskDigests
  readonly #block = new Uint8Array(blockLength)
  #filled = 0
  /** Where the block that is being filled begins, in the part. */
  #at = 0
  #isZero = true

  constructor(start: number, length: number, digests: DiskDigests) {
    this.#start = start
    this.#end = start + length
    this.#digests = digests
  }

  /** @param bytes undefined: so many zeros. */
  take(offset: number, length: number, bytes: Uint8Array | undefined): void {
    let at = Math.max(offset, this.#start)
    const end = Math.min(offset + length, this.#end)
    while (at < end) {
      const room = this.#length - this.#filled
      const count = Math.min(room, end - at)
      if (bytes === undefined) {
        if (!this.#isZero) this.#block.fill(0, this.#filled, this.#filled + count)
      } else {
        // What came before it was not written out.
        if (this.#isZero) this.#block.fill(0, 0, this.#filled)
        this.#block.set(bytes.subarray(at - offset, at - offset + count), this.#filled)
        this.#isZero = false
      }
      this.#filled += count
      at += count
      if (this.#filled === this.#length) this.#close()
    }
  }

  get #length(): number {
    return Math.min(blockLength, this.#end - this.#start - this.#at)
  }

  /** A block of zeros is left out: its digest is known. */
  #close(): void {
    const length = this.#filled
    if (!this.#isZero) {
      const ranges = this.#digests.ranges(this.#at, length)
      const digests = ranges.map((range) => blockDigest(this.#block.subarray(range.at, range.at + range.length)))
      this.#digests.add(this.#at, length, digests)
    }
    this.#at += length
    this.#filled = 0
    this.#isZero = true
  }
}

/**
 * The digests of a disk and of its partitions (docs/tree-hash.md), taken of bytes that go by in order: of what is sent,
 * and not of what was read before.
 */
export class OrderedDigests implements ContentTaker {
  readonly start = 0
  readonly end: number
  readonly #disk: DiskDigests
  /** Those whose blocks are not the disk's. */
  readonly #others: readonly (DigestPart & { readonly digests: DiskDigests })[]
  readonly #feeds: readonly BlockFeed[]

  /** @param capacity bytes of the disk. */
  constructor(capacity: number, parts: readonly DigestPart[]) {
    this.end = capacity
    const aligned = parts.filter(({ start }) => start % blockLength === 0)
    this.#disk = new DiskDigests(capacity, aligned)
    this.#others = parts
      .filter(({ start }) => start % blockLength !== 0)
      .map((part) => ({ ...part, digests: new DiskDigests(part.length, []) }))
    this.#feeds = [
      new BlockFeed(0, capacity, this.#disk),
      ...this.#others.map(({ start, length, digests }) => new BlockFeed(start, length, digests)),
    ]
  }

  take(offset: number, bytes: Uint8Array): void {
    for (const feed of this.#feeds) feed.take(offset, bytes.length, bytes)
  }

  takeZeros(offset: number, length: number): void {
    for (const feed of this.#feeds) feed.take(offset, length, undefined)
  }

  /** What goes into a record, when all was given. */
  async result(): Promise<Digests> {
    const { algorithm, disk, partitions } = await this.#disk.result(notRead)
    const others = await Promise.all(
      this.#others.map(async ({ number, start, length, digests }) => {
        const { digest } = (await digests.result(notRead)).disk
        return { number, start, length, digest }
      }),
    )
    return { algorithm, disk, partitions: [...partitions, ...others].sort((a, b) => a.number - b.number) }
  }
}

function notRead(): never {
  throw new TypeError('the image is not read for digests')
}
