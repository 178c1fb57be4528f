import { viewOf } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { FileMap } from '../file-map.js'
import type { ExtGroups } from './groups.js'
import type { Inode } from './inode.js'
import { extentHeader, extentIndex, extentLeaf } from './structs.js'

const extentMagic = 0xf30a
/** Nodes of an extent tree below each other, as Linux has it. */
const maximumDepth = 5
/** An extent that is longer was reserved and never written: it reads as zero. */
const longestWritten = 32768
const directPointers = 12

/**
 * Where the content of an inode lies. Memory goes with the number of its fragments. @throws ImageError corrupt
 * E_FS_CORRUPT; unsupported E_FS_LIMIT.
 */
export function blockMap(groups: ExtGroups, inode: Inode): FileMap {
  const walk = new Walk(groups, inode)
  if (inode.flags.hasExtents) walk.extents()
  else walk.pointers()
  return walk.map
}

class Walk {
  readonly map = new FileMap()
  readonly #groups: ExtGroups
  readonly #inode: Inode
  readonly #blockSize: number
  /** Blocks of the map that were read: none can be two. */
  readonly #visited = new Set<number>()

  constructor(groups: ExtGroups, inode: Inode) {
    this.#groups = groups
    this.#inode = inode
    this.#blockSize = groups.layout.blockSize
  }

  extents(): void {
    const { depth } = extentHeader.read(this.#inode.values.block)
    if (depth > maximumDepth) throw this.#wrong(`its extent tree is ${depth} nodes deep`)
    this.#node(this.#inode.values.block, depth)
  }

  #node(bytes: Uint8Array, depth: number): void {
    const header = extentHeader.read(bytes)
    if (header.magic !== extentMagic || header.depth !== depth)
      throw this.#wrong('a node of its extent tree has another mark or depth than it should')
    if (header.entries > header.maximum || (header.maximum + 1) * 12 > bytes.length)
      throw this.#wrong(`a node of its extent tree is said to have ${header.entries} entries`)
    for (let at = 12; at < (header.entries + 1) * 12; at += 12) {
      if (depth === 0) this.#leaf(bytes, at)
      else this.#index(bytes, at, depth)
    }
  }

  #index(bytes: Uint8Array, at: number, depth: number): void {
    const { block, leafLow, leafHigh } = extentIndex.read(bytes, at)
    if (block * this.#blockSize < this.map.length) throw this.#wrong('its extents are not in ascending order')
    const node = this.#block(leafLow + leafHigh * 2 ** 32)
    this.#checkNode(node)
    this.#node(node, depth - 1)
  }

  #leaf(bytes: Uint8Array, at: number): void {
    const { block, length, startHigh, startLow } = extentLeaf.read(bytes, at)
    const start = startLow + startHigh * 2 ** 32
    const written = length <= longestWritten
    const count = written ? length : length - longestWritten
    const { blocks, firstDataBlock } = this.#groups.layout
    if (count === 0 || start < firstDataBlock || start + count > blocks)
      throw this.#wrong(`an extent of ${count} blocks begins at block ${start} of ${blocks}`)
    const offset = block * this.#blockSize
    if (offset < this.map.length) throw this.#wrong('its extents overlap or are not in ascending order')
    this.map.push(offset - this.map.length, undefined)
    this.map.push(count * this.#blockSize, written ? start * this.#blockSize : undefined)
  }

  /** The checksum of a node lies behind the last entry that there is room for. */
  #checkNode(bytes: Uint8Array): void {
    if (!this.#groups.checksums.ofMetadata) return
    const { maximum } = extentHeader.read(bytes)
    const tail = (maximum + 1) * 12
    if (tail + 4 > bytes.length)
      throw this.#wrong(`a node of its extent tree is said to have room for ${maximum} entries`)
    if (
      this.#groups.checksums.ofInode(this.#inode.seed, bytes.subarray(0, tail)) !== viewOf(bytes).getUint32(tail, true)
    )
      throw this.#wrong('the checksum of a node of its extent tree is wrong')
  }

  /** Twelve block numbers, then one block of numbers, one of such blocks, and one of those. */
  pointers(): void {
    const { size } = this.#inode
    const view = viewOf(this.#inode.values.block)
    for (let index = 0; index < directPointers + 3 && this.map.length < size; index++)
      this.#pointer(view.getUint32(index * 4, true), Math.max(0, index - directPointers + 1))
  }

  #pointer(block: number, level: number): void {
    const perBlock = this.#blockSize / 4
    if (block === 0) {
      // Not more than can count, so that the numbers stay exact.
      this.map.push(
        Math.min(
          this.#blockSize * perBlock ** level,
          Math.max(0, this.#inode.size - this.map.length + this.#blockSize),
        ),
        undefined,
      )
      return
    }
    if (level === 0) {
      const { blocks, firstDataBlock } = this.#groups.layout
      if (block < firstDataBlock || block >= blocks) throw this.#wrong(`it is said to have block ${block} of ${blocks}`)
      this.map.push(this.#blockSize, block * this.#blockSize)
      return
    }
    const view = viewOf(this.#block(block))
    for (let index = 0; index < perBlock && this.map.length < this.#inode.size; index++)
      this.#pointer(view.getUint32(index * 4, true), level - 1)
  }

  /** A block of the map itself. */
  #block(block: number): Uint8Array {
    const { layout, reader } = this.#groups
    if (block < layout.firstDataBlock || block === 0 || block >= layout.blocks)
      throw this.#wrong(`its map is said to have block ${block} of ${layout.blocks}`)
    if (this.#visited.has(block)) throw this.#wrong(`its map has block ${block} twice`)
    this.#visited.add(block)
    return reader.bytes(block * this.#blockSize, this.#blockSize)
  }

  #wrong(message: string): Error {
    return damaged(this.#groups.reader.title, `inode ${this.#inode.number}: ${message}`, this.#inode.position)
  }
}
