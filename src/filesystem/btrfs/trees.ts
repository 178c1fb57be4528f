import { createHash } from 'node:crypto'
import { crc32c } from '../../binary/checksum.js'
import { isPowerOfTwo, safeNumber, viewOf } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { damaged } from '../damage.js'
import type { VolumeReader } from '../volume-reader.js'
import type { ChunkMap } from './chunks.js'
import { keyPointer, leafItem, nodeHeader, type btrfsSuperblock } from './structs.js'

const deepestTree = 7
const checksumSize = 32

export type BtrfsSuperblock = StructValues<typeof btrfsSuperblock>

/** An item of a leaf. */
export interface TreeItem {
  readonly object: bigint
  readonly type: number
  readonly offset: bigint
  readonly data: Uint8Array
}

/**
 * Whether the checksum at the start of a superblock or node holds; undefined: of a kind that is not checked here
 * (xxhash, BLAKE2).
 */
export function checksumHolds(bytes: Uint8Array, type: number): boolean | undefined {
  const rest = bytes.subarray(checksumSize)
  if (type === 0) return crc32c(rest) === viewOf(bytes).getUint32(0, true)
  if (type === 2) return createHash('sha256').update(rest).digest().equals(bytes.subarray(0, checksumSize))
  return undefined
}

/** Walks trees of one filesystem. Places in them are logical addresses, which chunks map to places of the volume. */
export class TreeWalker {
  readonly #reader: VolumeReader
  readonly #superblock: BtrfsSuperblock
  readonly #chunks: ChunkMap

  /** @throws ImageError corrupt E_FS_CORRUPT: an impossible node size. */
  constructor(reader: VolumeReader, superblock: BtrfsSuperblock, chunks: ChunkMap) {
    this.#reader = reader
    this.#superblock = superblock
    this.#chunks = chunks
    const { nodeSize } = superblock
    if (!isPowerOfTwo(nodeSize) || nodeSize < 4096 || nodeSize > 65536)
      throw damaged(reader.title, `a node is said to have ${nodeSize} bytes`)
  }

  /**
   * The items whose object is from `start` up to `end` (exclusive), ascending. Each node is read once: keys that do not
   * ascend end the walk.
   * @throws ImageError corrupt E_FS_CORRUPT.
   */
  *items(root: bigint, level: number, start = 0n, end = 2n ** 64n): Generator<TreeItem> {
    if (level > deepestTree) throw damaged(this.#reader.title, `a tree is said to have ${level} levels`)
    yield* this.#walk(root, level, { start, end, last: undefined })
  }

  *#walk(
    block: bigint,
    level: number,
    range: { readonly start: bigint; readonly end: bigint; last: Key | undefined },
  ): Generator<TreeItem> {
    const node = this.#node(block, level)
    const { items } = nodeHeader.read(node)
    const size = level === 0 ? leafItem.size : keyPointer.size
    if ((items === 0 && (level > 0 || range.last !== undefined)) || nodeHeader.size + items * size > node.length)
      throw this.#wrong(`a node is said to have ${items} entries`, block)
    const at = (index: number): number => nodeHeader.size + index * size
    if (level > 0) {
      const view = viewOf(node)
      const objectAt = (index: number): bigint => view.getBigUint64(at(index), true)
      // The last entry that begins before the range: what lies between two keys is below the first.
      let low = 0
      for (let high = items; high - low > 1;) {
        const middle = Math.floor((low + high) / 2)
        if (objectAt(middle) < range.start) low = middle
        else high = middle
      }
      for (let index = low; index < items && objectAt(index) < range.end; index++)
        yield* this.#walk(keyPointer.read(node, at(index)).block, level - 1, range)
      return
    }
    for (let index = 0; index < items; index++) {
      const { object, type, offset, dataOffset, dataSize } = leafItem.read(node, at(index))
      const key: Key = { object, type, offset }
      if (range.last !== undefined && !isBefore(range.last, key))
        throw this.#wrong('the keys of a tree do not ascend', block)
      range.last = key
      if (object >= range.end) return
      if (object < range.start) continue
      const start = nodeHeader.size + dataOffset
      if (start + dataSize > node.length) throw this.#wrong('an item leaves its leaf', block)
      yield { ...key, data: node.subarray(start, start + dataSize) }
    }
  }

  #node(block: bigint, level: number): Uint8Array {
    const { nodeSize, checksumType } = this.#superblock
    const node = this.#reader.bytes(this.#chunks.position(safeNumber(block, 'the place of a node'), nodeSize), nodeSize)
    const header = nodeHeader.read(node)
    if (header.position !== block || header.level !== level)
      throw this.#wrong('a node has another place or level than it should', block)
    if (checksumHolds(node, checksumType) === false) throw this.#wrong('the checksum of a node is wrong', block)
    return node
  }

  #wrong(message: string, block: bigint): Error {
    return damaged(this.#reader.title, `${message} (logical address ${block})`)
  }
}

type Key = Omit<TreeItem, 'data'>

function isBefore(one: Key, other: Key): boolean {
  if (one.object !== other.object) return one.object < other.object
  if (one.type !== other.type) return one.type < other.type
  return one.offset < other.offset
}
