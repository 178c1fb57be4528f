import { viewOf } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { FileMap } from '../file-map.js'
import type { VolumeReader } from '../volume-reader.js'
import { xfsExtent } from './entries.js'
import { littleChecksumHolds, type XfsFiles, type XfsNode } from './inode.js'
import { extentNode, extentNodeChecksum, extentNodeSize } from './structs.js'

const deepestTree = 9
const recordSize = 16

/** The bit of a record's first byte that says that its extent was never written. */
export const unwrittenBit = 0x80

/**
 * Where the content of an inode lies. Extents that were allocated and never written are holes.
 * @throws ImageError corrupt E_FS_CORRUPT: a tree that leads astray, extents that overlap or leave the filesystem.
 */
export function extentMap(reader: VolumeReader, files: XfsFiles, node: XfsNode): FileMap {
  const map = new FileMap()
  const walk = new ExtentWalk(reader, files, node, map)
  if (node.isTree) walk.root()
  else walk.records(node.fork, 0, node.extents)
  return map
}

class ExtentWalk {
  readonly #reader: VolumeReader
  readonly #files: XfsFiles
  readonly #node: XfsNode
  readonly #map: FileMap

  constructor(reader: VolumeReader, files: XfsFiles, node: XfsNode, map: FileMap) {
    this.#reader = reader
    this.#files = files
    this.#node = node
    this.#map = map
  }

  /** The root lies in the inode: a head of four bytes, keys, then pointers. */
  root(): void {
    const { fork } = this.#node
    const view = viewOf(fork)
    const room = Math.floor((fork.length - 4) / recordSize)
    const [level, count] = fork.length < 4 ? [0, 0] : [view.getUint16(0), view.getUint16(2)]
    if (level < 1 || level > deepestTree || count < 1 || count > room)
      throw this.#wrong(`its tree of extents is said to have ${level} levels and ${count} entries`)
    for (let index = 0; index < count; index++) this.#block(view.getBigUint64(4 + room * 8 + index * 8), level - 1)
  }

  #block(number: bigint, level: number): void {
    const { blockSize, version } = this.#files
    const position = blockPosition(this.#files, number)
    if (position === undefined) throw this.#wrong(`its tree of extents leads to block ${number}`)
    const bytes = this.#reader.bytes(position, blockSize)
    const head = extentNode.read(bytes)
    const start = extentNodeSize[version]
    if (head.magic !== (version === 5 ? 'BMA3' : 'BMAP') || head.level !== level)
      throw this.#wrong('a node of its tree of extents has another mark or level than it should', position)
    if (version === 5 && !littleChecksumHolds(bytes, extentNodeChecksum))
      throw this.#wrong('the checksum of a node of its tree of extents is wrong', position)
    const room = Math.floor((blockSize - start) / recordSize)
    if (head.records < 1 || head.records > room)
      throw this.#wrong(`a node of its tree of extents is said to have ${head.records} entries`, position)
    if (level === 0) {
      this.records(bytes, start, head.records)
      return
    }
    const view = viewOf(bytes)
    for (let index = 0; index < head.records; index++)
      this.#block(view.getBigUint64(start + room * 8 + index * 8), level - 1)
  }

  records(bytes: Uint8Array, start: number, count: number): void {
    for (const { offset, length, position, isUnwritten } of extentRecords(this.#files, this.#node, {
      bytes,
      start,
      count,
      from: this.#map.length,
    })) {
      this.#map.push(offset - this.#map.length, undefined)
      this.#map.push(length, isUnwritten ? undefined : position)
    }
  }

  #wrong(message: string, position?: number): Error {
    return wrongInode(this.#node, message, position)
  }
}

/** An extent of a file. Offsets and lengths are bytes of the file, positions bytes of the volume. */
export interface XfsExtent {
  readonly offset: number
  readonly length: number
  readonly position: number
  /** It was allocated, and never written: it reads as zero. */
  readonly isUnwritten: boolean
  /** Where its record begins in what was read. */
  readonly at: number
}

/** Records of extents, one behind the other. */
interface RecordList {
  readonly bytes: Uint8Array
  readonly start: number
  readonly count: number
  /** Byte of the file before which none of them may begin. */
  readonly from: number
}

function* extentRecords(
  files: XfsFiles,
  node: XfsNode,
  { bytes, start, count, from }: RecordList,
): Generator<XfsExtent> {
  if (start + count * recordSize > bytes.length) throw wrongInode(node, `it is said to have ${count} extents`)
  const view = viewOf(bytes)
  const { blockSize } = files
  let end = from
  for (let index = 0; index < count; index++) {
    const at = start + index * recordSize
    const extent = xfsExtent(view.getBigUint64(at), view.getBigUint64(at + 8))
    const offset = extent.offset * blockSize
    const length = extent.count * blockSize
    const position = blockPosition(files, extent.start, extent.count)
    if (extent.count === 0 || offset < end || !Number.isSafeInteger(offset + length))
      throw wrongInode(node, 'its extents overlap, or are not in order')
    if (position === undefined)
      throw wrongInode(node, `an extent of ${extent.count} blocks is said to begin at block ${extent.start}`)
    yield { offset, length, position, isUnwritten: extent.unwritten, at }
    end = offset + length
  }
}

/**
 * The extents that an inode holds itself; undefined where a tree has them. @throws ImageError corrupt E_FS_CORRUPT.
 */
export function ownExtents(files: XfsFiles, node: XfsNode): XfsExtent[] | undefined {
  if (node.isTree || !node.hasExtents) return undefined
  return [...extentRecords(files, node, { bytes: node.fork, start: 0, count: node.extents, from: 0 })]
}

function wrongInode({ number }: XfsNode, message: string, position?: number): Error {
  return damaged('XFS', `inode ${number}: ${message}`, position)
}

/** The byte where a block begins, whose number has that of its group in the high bits; undefined outside the group. */
function blockPosition(files: XfsFiles, number: bigint, count = 1): number | undefined {
  const { logGroupBlocks, groups, groupBlocks, blocks, blockSize } = files
  if (number >= 2n ** 53n) return undefined
  const group = Math.floor(Number(number) / 2 ** logGroupBlocks)
  const block = Number(number) % 2 ** logGroupBlocks
  const first = group * groupBlocks + block
  if (group >= groups || block + count > groupBlocks || first + count > blocks) return undefined
  return first * blockSize
}
