import { createHash } from 'node:crypto'
import { blake2b } from '../../binary/blake2b.js'
import { crc32c } from '../../binary/checksum.js'
import { isPowerOfTwo, safeNumber, viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import type { StructValues } from '../../binary/struct.js'
import { Xxh64 } from '../../codec/stream/xxh64.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import type { VolumeReader } from '../volume-reader.js'
import type { ChunkMap } from './chunks.js'
import { keyPointer, leafItem, nodeHeader, type btrfsSuperblock } from './structs.js'

const deepestTree = 7
const checksumSize = 32
/** 4 MiB with nodes of 16 KiB. */
const keptNodes = 256

export type BtrfsSuperblock = StructValues<typeof btrfsSuperblock>

/** What items are ordered by. */
export interface TreeKey {
  readonly object: bigint
  readonly type: number
  readonly offset: bigint
}

/** An item of a leaf. */
export interface TreeItem extends TreeKey {
  readonly data: Uint8Array
}

/** Where a tree begins: the logical address of its root, and how high it is. */
export interface TreeRoot {
  readonly block: bigint
  readonly level: number
}

/** The checksum of some bytes as it is stored; undefined: of a kind that is not known. */
export function checksumOf(bytes: Uint8Array, type: number): Uint8Array | undefined {
  switch (type) {
    case 0: {
      const stored = new Uint8Array(4)
      viewOf(stored).setUint32(0, crc32c(bytes), true)
      return stored
    }
    case 1: {
      const stored = new Uint8Array(8)
      const hash = new Xxh64()
      hash.update(bytes)
      viewOf(stored).setBigUint64(0, hash.digest(), true)
      return stored
    }
    case 2:
      return createHash('sha256').update(bytes).digest()
    case 3:
      return blake2b(bytes, checksumSize)
    default:
      return undefined
  }
}

/** Whether the checksum at the start of a superblock or node holds; undefined: of a kind that is not known. */
export function checksumHolds(bytes: Uint8Array, type: number): boolean | undefined {
  return checksumOf(bytes.subarray(checksumSize), type)?.every((byte, index) => bytes[index] === byte)
}

/** Walks trees of one filesystem. Places in them are logical addresses, which chunks map to places of the volume. */
export class TreeWalker {
  readonly #reader: VolumeReader
  readonly #superblock: BtrfsSuperblock
  readonly #chunks: ChunkMap
  /** Checked nodes: the upper ones are needed for each file. */
  readonly #nodes = new Recent<Uint8Array>(keptNodes, (block) => this.#read(block))

  /** @throws ImageError corrupt E_FS_CORRUPT: an impossible node size; unsupported E_FS_FEATURE: unknown checksums. */
  constructor(reader: VolumeReader, superblock: BtrfsSuperblock, chunks: ChunkMap) {
    this.#reader = reader
    this.#superblock = superblock
    this.#chunks = chunks
    const { nodeSize } = superblock
    if (!isPowerOfTwo(nodeSize) || nodeSize < 4096 || nodeSize > 65536)
      throw damaged(reader.title, `a node is said to have ${nodeSize} bytes`)
    if (checksumOf(new Uint8Array(0), superblock.checksumType) === undefined)
      throw unsupported(
        'E_FS_FEATURE',
        `the btrfs filesystem has checksums of the unknown kind ${superblock.checksumType}`,
      )
  }

  /**
   * The items whose object is from `start` up to `end` (exclusive), ascending. Each node is read once: keys that do not
   * ascend end the walk.
   * @throws ImageError corrupt E_FS_CORRUPT.
   */
  *items(root: bigint, level: number, start = 0n, end = 2n ** 64n): Generator<TreeItem> {
    for (const item of this.from({ block: root, level }, { object: start, type: 0, offset: 0n }, end)) yield item
  }

  /** The items from a key on, up to the object `end` (exclusive). @throws ImageError corrupt E_FS_CORRUPT. */
  *from({ block, level }: TreeRoot, start: TreeKey, end = start.object + 1n): Generator<TreeItem> {
    if (level > deepestTree) throw damaged(this.#reader.title, `a tree is said to have ${level} levels`)
    yield* this.#walk(block, level, { start, end, last: undefined })
  }

  *#walk(
    block: bigint,
    level: number,
    range: { readonly start: TreeKey; readonly end: bigint; last: TreeKey | undefined },
  ): Generator<TreeItem> {
    const node = this.#node(block, level)
    const view = viewOf(node)
    const items = view.getUint32(nodeHeader.fields.items.offset, true)
    const size = level === 0 ? leafItem.size : keyPointer.size
    if ((items === 0 && (level > 0 || range.last !== undefined)) || nodeHeader.size + items * size > node.length)
      throw this.#wrong(`a node is said to have ${items} entries`, block)
    const keyAt = (index: number): TreeKey => {
      const at = nodeHeader.size + index * size
      return {
        object: view.getBigUint64(at, true),
        type: view.getUint8(at + 8),
        offset: view.getBigUint64(at + 9, true),
      }
    }
    // The last entry that begins before the range: what lies between two keys is below the first.
    let low = 0
    for (let high = items; high - low > 1;) {
      const middle = Math.floor((low + high) / 2)
      if (isBefore(keyAt(middle), range.start)) low = middle
      else high = middle
    }
    if (level > 0) {
      for (let index = low; index < items && keyAt(index).object < range.end; index++)
        yield* this.#walk(keyPointer.read(node, nodeHeader.size + index * size).block, level - 1, range)
      return
    }
    for (let index = low; index < items; index++) {
      const key = keyAt(index)
      if (range.last !== undefined && !isBefore(range.last, key))
        throw this.#wrong('the keys of a tree do not ascend', block)
      range.last = key
      if (key.object >= range.end) return
      if (isBefore(key, range.start)) continue
      const { dataOffset, dataSize } = leafItem.read(node, nodeHeader.size + index * size)
      const start = nodeHeader.size + dataOffset
      if (start + dataSize > node.length) throw this.#wrong('an item leaves its leaf', block)
      yield { object: key.object, type: key.type, offset: key.offset, data: node.subarray(start, start + dataSize) }
    }
  }

  #node(block: bigint, level: number): Uint8Array {
    const node = this.#nodes.get(safeNumber(block, 'the place of a node'))
    if (viewOf(node).getUint8(nodeHeader.fields.level.offset) !== level)
      throw this.#wrong('a node has another place or level than it should', block)
    return node
  }

  /** The first copy that is whole. */
  #read(block: number): Uint8Array {
    const { nodeSize, checksumType } = this.#superblock
    let failure: Error | undefined
    for (const position of this.#chunks.positions(block, nodeSize)) {
      const node = this.#reader.bytes(position, nodeSize)
      if (nodeHeader.read(node).position !== BigInt(block))
        failure ??= this.#wrong('a node has another place or level than it should', BigInt(block))
      else if (checksumHolds(node, checksumType) === false)
        failure ??= this.#wrong('the checksum of a node is wrong', BigInt(block))
      else return node
    }
    throw failure ?? this.#wrong('a node has no place', BigInt(block))
  }

  #wrong(message: string, block: bigint): Error {
    return damaged(this.#reader.title, `${message} (logical address ${block})`)
  }
}

function isBefore(one: TreeKey, other: TreeKey): boolean {
  if (one.object !== other.object) return one.object < other.object
  if (one.type !== other.type) return one.type < other.type
  return one.offset < other.offset
}
