import type { ByteStore, Extent } from '../../../block/types.js'
import { corrupt } from '../../../errors.js'
import type { Words } from '../../../block/words.js'
import { blockEntry, isStored } from '../format/entries.js'
import type { Header } from '../format/header.js'
import type { UnitOwners } from '../../../binary/unit-owners.js'

/** Blocks that one extent covers at most, where they follow each other in the file. */
const longestChain = 4096

/** What of the header says where blocks lie. */
export type BlockLayout = Pick<Header, 'capacity' | 'blockSize' | 'extra' | 'dataPosition' | 'allocated' | 'isChild'>

/** Where each block of the disk lies, or that it is not here. Damage is found when it is met. */
export class Blocks {
  readonly #store: ByteStore
  readonly #layout: BlockLayout
  readonly #map: Words
  readonly #owners: UnitOwners | undefined

  /** @param owners notices blocks that have one place; undefined where that was looked at before. */
  constructor(store: ByteStore, layout: BlockLayout, map: Words, owners?: UnitOwners) {
    this.#store = store
    this.#layout = layout
    this.#map = map
    this.#owners = owners
  }

  /** As of {@link BlockSource.extentAt}. @throws ImageError corrupt E_MAP, E_OVERLAP, E_TRUNCATED naming the block. */
  extentAt(offset: number, limit: number): Extent {
    const { blockSize, capacity, isChild } = this.#layout
    const block = Math.floor(offset / blockSize)
    const end = Math.min(offset + limit, capacity)
    const last = Math.ceil(end / blockSize)
    const entry = blockEntry(this.#map.word(block))
    if (entry.kind === 'stored') return this.#stored(block, entry.index, offset, end)
    const next = this.#map.runEnd(block, last)
    const kind = entry.kind === 'free' && isChild ? 'absent' : 'zero'
    return { kind, offset, length: Math.min(end, next * blockSize) - offset }
  }

  #stored(block: number, index: number, offset: number, end: number): Extent {
    const { blockSize, extra } = this.#layout
    this.#check(block, index)
    let next = block + 1
    // Blocks that follow each other in the file are one run.
    while (extra === 0 && next * blockSize < end && next - block < longestChain) {
      const word = this.#map.word(next)
      if (word !== index + (next - block) || !isStored(word) || word >= this.#layout.allocated) break
      if (this.#owners?.claim(next, word) !== undefined) break
      next++
    }
    const position = this.#positionOf(index) + (offset - block * blockSize)
    const available = this.#store.size - position
    if (available <= 0) throw this.#truncated(block, index, offset, position)
    const length = Math.min(end, next * blockSize) - offset
    return { kind: 'data', offset, length: Math.min(length, available), store: this.#store, position }
  }

  /** Where the content of the block of this number begins in the file. */
  #positionOf(index: number): number {
    const { dataPosition, blockSize, extra } = this.#layout
    return dataPosition + index * (blockSize + extra) + extra
  }

  #check(block: number, index: number): void {
    const { allocated } = this.#layout
    if (index >= allocated) {
      throw corrupt('E_MAP', `${this.#named(block, index)}, but only ${allocated} blocks are said to be in the file`, {
        details: this.#details(block, index),
      })
    }
    const owner = this.#owners?.claim(block, index)
    if (owner === undefined) return
    throw corrupt('E_OVERLAP', `${this.#named(block, index)}, and so is block ${owner}`, {
      details: this.#details(block, index),
    })
  }

  #truncated(block: number, index: number, offset: number, position: number): Error {
    return corrupt(
      'E_TRUNCATED',
      `${this.#named(block, index)}, and its data for guest offset ${offset} would lie at byte ${position}, but the ` +
        `file ends at byte ${this.#store.size}`,
      { details: { ...this.#details(block, index), size: this.#store.size } },
    )
  }

  #named(block: number, index: number): string {
    return (
      `${this.#store.name}: by its map entry at byte ${this.#map.position(block)} block ${block} (guest offset ` +
      `${block * this.#layout.blockSize}) is block ${index} of the file`
    )
  }

  #details(block: number, index: number): Record<string, number> {
    return { position: this.#map.position(block), block, offset: block * this.#layout.blockSize, index }
  }
}
