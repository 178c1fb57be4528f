import { crc32c } from '../../binary/checksum.js'
import { viewOf } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { gapsBetween } from '../run-union.js'
import type { UnitRun } from '../unit-runs.js'
import type { VolumeReader } from '../volume-reader.js'
import { groupFreeSpace, treeNode, treeNodeChecksum, treeNodeSize } from './structs.js'

const deepestTree = 9

/** What of the geometry the trees of free space need. */
export interface XfsGeometry {
  readonly version: 4 | 5
  readonly blockSize: number
  readonly sectorSize: number
  readonly blocks: number
  readonly groups: number
  readonly groupBlocks: number
}

/**
 * Blocks in use: all that the trees of free space do not have (the sheet's section 7). Blocks kept for those trees
 * themselves count as used.
 * @param exact whether the numbers of free blocks have to agree. @throws ImageError corrupt E_FS_CORRUPT.
 */
export function* xfsUsedBlocks(reader: VolumeReader, geometry: XfsGeometry, exact: boolean): Generator<UnitRun> {
  for (let group = 0; group < geometry.groups; group++) {
    const start = group * geometry.groupBlocks
    for (const { first, count } of new Group(reader, geometry, group).used(exact)) yield { first: start + first, count }
  }
}

class Group {
  readonly #reader: VolumeReader
  readonly #geometry: XfsGeometry
  readonly #number: number
  readonly #length: number
  /** End of the last free run: the next one begins behind it. Also what ends a tree that leads back into itself. */
  #end = -1

  constructor(reader: VolumeReader, geometry: XfsGeometry, number: number) {
    this.#reader = reader
    this.#geometry = geometry
    this.#number = number
    this.#length = Math.min(geometry.groupBlocks, geometry.blocks - number * geometry.groupBlocks)
  }

  *used(exact: boolean): Generator<UnitRun> {
    const position = this.#position(0) + this.#geometry.sectorSize
    const { magic, sequence, length, root, levels, freeBlocks } = groupFreeSpace.read(
      this.#reader.bytes(position, groupFreeSpace.size),
    )
    if (magic !== 'XAGF' || sequence !== this.#number || length !== this.#length)
      throw this.#wrong('the block of its free space has another mark, number or length than it should', position)
    if (levels < 1 || levels > deepestTree)
      throw this.#wrong(`its tree of free space is said to have ${levels} levels`, position)
    let free = 0
    const counted = function* (runs: Iterable<UnitRun>): Generator<UnitRun> {
      for (const run of runs) {
        free += run.count
        yield run
      }
    }
    yield* gapsBetween(counted(this.#free(root, levels - 1)), 0, this.#length)
    if (exact && free !== freeBlocks)
      throw this.#wrong(`its tree has ${free} free blocks, and ${freeBlocks} are said to be free`, position)
  }

  *#free(block: number, level: number): Generator<UnitRun> {
    const { blockSize, version } = this.#geometry
    if (block === 0 || block >= this.#length)
      throw this.#wrong(`its tree of free space has block ${block} of ${this.#length}`, this.#position(0))
    const position = this.#position(block)
    const node = this.#reader.bytes(position, blockSize)
    const head = treeNode.read(node)
    const start = treeNodeSize[version]
    if (head.magic !== (version === 5 ? 'AB3B' : 'ABTB') || head.level !== level)
      throw this.#wrong('a node of its tree of free space has another mark or level than it should', position)
    if (version === 5 && !checksumHolds(node))
      throw this.#wrong('the checksum of a node of its tree of free space is wrong', position)
    const room = Math.floor((blockSize - start) / (level === 0 ? 8 : 12))
    if (head.records > room || (head.records === 0 && level > 0))
      throw this.#wrong(`a node of its tree of free space is said to have ${head.records} records`, position)
    const view = viewOf(node)
    for (let index = 0; index < head.records; index++) {
      if (level > 0) {
        const before = this.#end
        yield* this.#free(view.getUint32(start + room * 8 + index * 4), level - 1)
        if (this.#end === before) throw this.#wrong('a leaf of its tree of free space is empty', position)
        continue
      }
      const first = view.getUint32(start + index * 8)
      const count = view.getUint32(start + index * 8 + 4)
      if (count === 0 || first <= this.#end || first + count > this.#length)
        throw this.#wrong(`${count} blocks from block ${first} on are said to be free`, position)
      this.#end = first + count
      yield { first, count }
    }
  }

  #position(block: number): number {
    return (this.#number * this.#geometry.groupBlocks + block) * this.#geometry.blockSize
  }

  #wrong(message: string, position: number): Error {
    return damaged(this.#reader.title, `group ${this.#number}: ${message}`, position)
  }
}

/** The one number of a node that is little-endian. */
function checksumHolds(node: Uint8Array): boolean {
  const copy = Uint8Array.from(node)
  copy.fill(0, treeNodeChecksum, treeNodeChecksum + 4)
  return crc32c(copy) === viewOf(node).getUint32(treeNodeChecksum, true)
}
