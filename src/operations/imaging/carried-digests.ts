import { isZero } from '../../binary/zero.js'
import type { BlockDigests, PartDigests } from '../../engine/copy.js'
import { blockLength, digestOfParts, treeDigestLength } from '../../engine/tree-hash.js'
import type { KnownBlocks } from './blocks-file.js'

/**
 * The digests of a disk of which only some blocks are read: those of the others are what they were in the earlier
 * image. Blocks in which a partition ends must be among those that are read.
 */
export class CarriedDigests implements BlockDigests, PartDigests {
  readonly length: number
  readonly tags: PartDigests['tags']
  readonly #known: KnownBlocks
  readonly #capacity: number
  readonly #disk: BlockDigests
  readonly #blocks: PartDigests
  /** Up to where there are digests. */
  #next = 0

  /** @param capacity bytes of the disk. @param disk and @param blocks take the digests. */
  constructor(known: KnownBlocks, capacity: number, disk: BlockDigests, blocks: PartDigests) {
    this.length = blocks.length
    this.tags = blocks.tags
    this.#known = known
    this.#capacity = capacity
    this.#disk = disk
    this.#blocks = blocks
  }

  known(offset: number, count: number): Uint8Array {
    return this.#known.digests(offset, count, this.#capacity)
  }

  ranges(offset: number, length: number): readonly { readonly at: number; readonly length: number }[] {
    return this.#disk.ranges(offset, length)
  }

  add(offset: number, length: number, digests: readonly Uint8Array[]): void {
    this.#carryTo(offset)
    this.#disk.add(offset, length, digests)
    this.#next = offset + length
  }

  take(offset: number, digests: Uint8Array, tags?: Uint8Array): void {
    this.#blocks.take(offset, digests, tags)
  }

  /** To be called when all is read. */
  finish(): void {
    this.#carryTo(this.#capacity)
  }

  #carryTo(end: number): void {
    for (let offset = this.#next; offset < Math.min(end, this.#capacity); offset += blockLength) {
      const bytes = Math.min(blockLength, this.#capacity - offset)
      const parts = this.known(offset, Math.ceil(bytes / this.length))
      if (isZero(parts)) continue
      const digest = digestOfParts(parts, this.length, bytes)
      const digests = this.#disk.ranges(offset, bytes).map(({ length }) => {
        if (length === bytes) return digest
        throw new TypeError(`a partition ends in the block at offset ${offset}, which was not read`)
      })
      this.#disk.add(offset, bytes, digests)
      this.#blocks.take(offset, parts, this.#blocks.tags?.known?.(offset, parts.length / treeDigestLength))
    }
    this.#next = Math.max(this.#next, end)
  }
}
