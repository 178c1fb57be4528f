import { safeNumber } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { FileMap } from '../file-map.js'
import type { HfsTree } from './btree.js'
import { extentKey, forkData, forkExtent } from './structs.js'

const extentsInRecord = 8

/** What the places of forks are counted in. */
export interface HfsBlocks {
  readonly title: string
  readonly blockSize: number
  readonly blocks: number
}

/** How many bytes a fork has. @throws ImageError corrupt E_TOO_LARGE. */
export function forkSize(fork: Uint8Array): number {
  return safeNumber(forkData.read(fork).size, 'the size of a fork')
}

/**
 * Where a data fork lies: eight runs of blocks, and further ones in the tree of extents. @param overflow undefined: the
 * fork is that of the tree itself. @throws ImageError corrupt E_FS_CORRUPT.
 */
export function forkMap(volume: HfsBlocks, fork: Uint8Array, number: number, overflow: HfsTree | undefined): FileMap {
  const { blockSize } = volume
  const { blocks } = forkData.read(fork)
  const map = new FileMap()
  pushRuns(volume, map, fork.subarray(forkData.size), blocks)
  while (map.length < blocks * blockSize && overflow !== undefined) {
    const found = further(overflow, number, map.length / blockSize)
    if (found === undefined) break
    const before = map.length
    pushRuns(volume, map, found, blocks)
    if (map.length === before) break
  }
  if (map.length < blocks * blockSize)
    throw damaged(volume.title, `file ${number} is said to have ${blocks} blocks, and has places for fewer`)
  return map
}

function pushRuns({ title, blockSize, blocks }: HfsBlocks, map: FileMap, bytes: Uint8Array, wanted: number): void {
  for (let index = 0; index < extentsInRecord && map.length < wanted * blockSize; index++) {
    const { start, count } = forkExtent.read(bytes, index * forkExtent.size)
    if (count === 0) return
    if (start + count > blocks) throw damaged(title, `${count} blocks are said to begin at block ${start}`)
    map.push(count * blockSize, start * blockSize)
  }
}

/** The record of a data fork that begins at a block of it. */
function further(overflow: HfsTree, number: number, start: number): Uint8Array | undefined {
  const order = (key: Uint8Array): number => {
    if (key.length < extentKey.size) return -1
    const values = extentKey.read(key)
    return values.number - number || values.fork || values.start - start
  }
  for (const { key, data } of overflow.from((one) => order(one) < 0))
    return order(key) === 0 && data.length >= extentsInRecord * forkExtent.size ? data : undefined
  return undefined
}
