import { safeNumber } from '../../binary/integers.js'
import { checksumObject, itemTypes } from './structs.js'
import { checksumOf, type TreeRoot, type TreeWalker } from './trees.js'

/** Bytes of the checksums of data, by their kind. */
const lengths = [4, 8, 32, 32]

/** The checksums of content: one for each sector, in a tree of their own. */
export class DataChecksums {
  readonly #walker: TreeWalker
  readonly #root: TreeRoot | undefined
  readonly #type: number
  readonly #sectorSize: number
  /** The item that was needed last: reads go on where the one before ended. */
  #last: { readonly start: number; readonly data: Uint8Array } | undefined

  /** @param root of the tree of checksums; undefined: there is none. */
  constructor(walker: TreeWalker, root: TreeRoot | undefined, type: number, sectorSize: number) {
    this.#walker = walker
    this.#root = root
    this.#type = type
    this.#sectorSize = sectorSize
  }

  /** The checksums of some whole sectors; undefined for a sector that has none. */
  of(logical: number, length: number): readonly (Uint8Array | undefined)[] {
    const found: (Uint8Array | undefined)[] = []
    for (let at = logical; at < logical + length; at += this.#sectorSize) found.push(this.#one(at))
    return found
  }

  /** Whether content is that of its checksums. */
  hold(bytes: Uint8Array, expected: readonly (Uint8Array | undefined)[]): boolean {
    return expected.every((stored, index) => {
      if (stored === undefined) return true
      const sector = bytes.subarray(index * this.#sectorSize, (index + 1) * this.#sectorSize)
      return checksumOf(sector, this.#type)?.every((byte, at) => stored[at] === byte) ?? true
    })
  }

  #one(logical: number): Uint8Array | undefined {
    const width = lengths[this.#type] ?? 0
    let item = this.#last
    const within = (): number => (item === undefined ? -1 : ((logical - item.start) / this.#sectorSize) * width)
    if (item === undefined || within() < 0 || within() + width > item.data.length) item = this.#item(logical)
    if (item === undefined) return undefined
    this.#last = item
    const at = within()
    return at + width <= item.data.length ? item.data.subarray(at, at + width) : undefined
  }

  /** The last item that begins at or before an address. */
  #item(logical: number): { readonly start: number; readonly data: Uint8Array } | undefined {
    if (this.#root === undefined) return undefined
    // One item lies in one leaf: no sector further back than that can be in the one that is wanted.
    const start = Math.max(0, logical - 65536 * this.#sectorSize)
    const key = { object: checksumObject, type: itemTypes.dataChecksum, offset: BigInt(start) }
    let found: { readonly start: number; readonly data: Uint8Array } | undefined
    for (const item of this.#walker.from(this.#root, key)) {
      if (item.type !== itemTypes.dataChecksum || item.offset > BigInt(logical)) break
      found = { start: safeNumber(item.offset, 'the address of checksums'), data: item.data }
    }
    return found
  }
}
