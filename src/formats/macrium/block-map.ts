import { BitSet } from '../../binary/bit-set.js'
import { lastAtMost } from '../../binary/search.js'
import { corrupt, type ImageError } from '../../errors.js'
import type { ElementList, StoredBlock } from './elements.js'

/** Changes are sorted as block · 2^26 + place: no more than that. */
const mostChanges = 2 ** 26

/**
 * Which blocks of a list are stored, and where: those of a whole index, with the changes of later ones laid over it.
 */
export class BlockMap {
  /** Blocks that are known; later ones are not stored. */
  readonly count: number
  readonly #base: ElementList
  readonly #stored: BitSet
  /** Blocks that an index of changes speaks of, ascending, and the list and element that count for each. */
  readonly #changed: Float64Array
  readonly #layers: Uint16Array
  readonly #elements: Uint32Array
  readonly #deltas: readonly ElementList[]
  /** The numbers of all files that hold a block. */
  readonly files: ReadonlySet<number>

  /**
   * @param deltas the oldest first. @param most blocks that the partition has room for.
   * @throws ImageError corrupt E_MAP.
   */
  constructor(base: ElementList, deltas: readonly ElementList[], most: number) {
    this.#base = base
    this.#deltas = deltas
    let count = base.count
    let changes = 0
    for (const delta of deltas) {
      changes += delta.count
      for (let index = 0; index < delta.count; index++) count = Math.max(count, delta.blockOf(index) + 1)
    }
    if ((count > most && count > base.count) || changes > mostChanges) throw this.#tooMany(count, most)
    this.count = count
    this.#stored = new BitSet(count)
    for (let block = 0; block < base.count; block++) if (base.isStored(block)) this.#stored.set(block)
    const changed = newestOf(deltas, changes)
    this.#changed = changed.blocks
    this.#layers = changed.layers
    this.#elements = changed.elements
    for (const [at, block] of this.#changed.entries())
      if (deltas[this.#layers[at] ?? 0]?.isStored(this.#elements[at] ?? 0) === true) this.#stored.set(block)
      else this.#stored.clear(block)
    for (let block = most; block < count; block++) if (this.isStored(block)) throw this.#tooMany(block + 1, most)
    this.files = this.#filesUsed()
  }

  isStored(block: number): boolean {
    return this.#stored.has(block)
  }

  /** The first block from `block` on that is not as it is, at most `end`. */
  runEnd(block: number, end: number): number {
    return this.#stored.runEnd(block, end)
  }

  locate(block: number, into: StoredBlock): void {
    const at = this.#changeOf(block)
    if (at < 0) this.#base.read(block, into)
    else this.#deltas[this.#layers[at] ?? 0]?.read(this.#elements[at] ?? 0, into)
  }

  #changeOf(block: number): number {
    const at = lastAtMost(this.#changed, this.#changed.length, block)
    return this.#changed[at] === block ? at : -1
  }

  #tooMany(count: number, most: number): ImageError {
    return corrupt(
      'E_MAP',
      `${this.#base.store.name}: the index has ${count} blocks, the partition has room for ${most}`,
    )
  }

  #filesUsed(): ReadonlySet<number> {
    const files = new Set<number>()
    const at: StoredBlock = { file: 0, position: 0, length: 0, digest: new Uint8Array(0) }
    for (let block = 0; block < this.count; block++) {
      if (!this.isStored(block)) block = this.runEnd(block, this.count)
      if (block === this.count) break
      this.locate(block, at)
      files.add(at.file)
    }
    return files
  }
}

/** Of each block that changed, the newest change. */
function newestOf(
  deltas: readonly ElementList[],
  changes: number,
): { readonly blocks: Float64Array; readonly layers: Uint16Array; readonly elements: Uint32Array } {
  const keys = new Float64Array(changes)
  const layerOf = new Uint16Array(changes)
  const elementOf = new Uint32Array(changes)
  let count = 0
  for (const [layer, delta] of deltas.entries())
    for (let index = 0; index < delta.count; index++) {
      keys[count] = delta.blockOf(index) * mostChanges + count
      layerOf[count] = layer
      elementOf[count] = index
      count++
    }
  keys.sort()
  const blocks = new Float64Array(changes)
  const layers = new Uint16Array(changes)
  const elements = new Uint32Array(changes)
  let kept = 0
  for (const [at, key] of keys.entries()) {
    const block = Math.floor(key / mostChanges)
    // Later changes have larger keys: the last of a block counts.
    if (Math.floor((keys[at + 1] ?? Infinity) / mostChanges) === block) continue
    const place = key - block * mostChanges
    blocks[kept] = block
    layers[kept] = layerOf[place] ?? 0
    elements[kept] = elementOf[place] ?? 0
    kept++
  }
  return { blocks: blocks.subarray(0, kept), layers: layers.subarray(0, kept), elements: elements.subarray(0, kept) }
}
