import { viewOf } from '../../binary/integers.js'
import { chosenRuns } from '../free-runs.js'
import { fixed } from '../rewrite.js'
import { gapsBetween } from '../run-union.js'
import type { VolumeWrite } from '../types.js'
import type { UnitRun } from '../unit-runs.js'
import type { ExtGroups } from './groups.js'
import { extDescriptor, extDescriptorHigh } from './structs.js'
import { extUsedBlocks } from './used.js'

/** Of the largest free runs so many are looked at. */
const mostRuns = 4

/**
 * Free blocks for `count` blocks in as few runs as possible, none of them across the border of a group. Groups whose
 * bitmap was never written are left alone. @throws ImageError unsupported E_FILE_FIXED; corrupt E_FS_CORRUPT.
 */
export function freeBlocks(groups: ExtGroups, count: number): UnitRun[] {
  const { runs, missing } = chosenRuns(freeRuns(groups), count, mostRuns)
  if (missing > 0)
    throw fixed(
      groups.reader.title,
      `${count} more blocks of ${groups.layout.blockSize} bytes are needed, and its largest ${mostRuns} free ` +
        `runs have ${count - missing}`,
    )
  return [...runs]
}

function* freeRuns(groups: ExtGroups): Generator<UnitRun> {
  const { blocks, blocksPerGroup, firstDataBlock } = groups.layout
  for (const { first, count } of gapsBetween(extUsedBlocks(groups, true), 0, blocks)) {
    let start = first
    while (start < first + count) {
      const number = Math.floor((start - firstDataBlock) / blocksPerGroup)
      const end = Math.min(first + count, firstDataBlock + (number + 1) * blocksPerGroup)
      if (!groups.group(number).isUnset) yield { first: start, count: end - start }
      start = end
    }
  }
}

/** Blocks that change hands. */
export interface Claim {
  readonly taken: readonly UnitRun[]
  /** Blocks that are given back. */
  readonly freed: readonly number[]
}

/**
 * The bitmaps and descriptors of the groups of some blocks, after the blocks changed hands. @throws ImageError
 * unsupported E_FILE_FIXED: a group counts other free blocks than its bitmap has; corrupt E_FS_CORRUPT.
 */
export function claimWrites(groups: ExtGroups, { taken, freed }: Claim): VolumeWrite[] {
  const { layout } = groups
  const groupOf = (block: number): number => Math.floor((block - layout.firstDataBlock) / layout.blocksPerGroup)
  const numbers = new Set([...taken.map(({ first }) => groupOf(first)), ...freed.map(groupOf)])
  return [...numbers].flatMap((number) => {
    const start = layout.groupStart(number)
    const own = taken.filter(({ first }) => groupOf(first) === number)
    const bits = own.flatMap(({ first, count }) => range(first - start, count))
    const cleared = freed.filter((block) => groupOf(block) === number).map((block) => block - start)
    return groupWrites(groups, number, bits, cleared)
  })
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_unused, index) => first + index)
}

function groupWrites(
  groups: ExtGroups,
  number: number,
  set: readonly number[],
  cleared: readonly number[],
): VolumeWrite[] {
  const { layout, checksums, reader } = groups
  const group = groups.group(number)
  const bitmap = Uint8Array.from(groups.bitmap(number, group))
  const length = layout.groupLength(number)
  let free = 0
  for (let bit = 0; bit < length; bit++) if (!hasBit(bitmap, bit)) free++
  const position = layout.descriptorPosition(number)
  const descriptor = reader.bytes(position, layout.descriptorSize)
  const wide = layout.descriptorSize >= extDescriptorHigh.size
  const low = extDescriptor.fields
  const high = extDescriptorHigh.fields
  const view = viewOf(descriptor)
  const counted =
    view.getUint16(low.freeBlocksLow.offset, true) +
    (wide ? view.getUint16(high.freeBlocksHigh.offset, true) * 65536 : 0)
  if (counted !== free)
    throw fixed(reader.title, `group ${number} counts ${counted} free blocks, and its bitmap has ${free}`)
  for (const [bits, isUsed] of [
    [set, true],
    [cleared, false],
  ] as const)
    for (const bit of bits) {
      if (hasBit(bitmap, bit) === isUsed)
        throw fixed(reader.title, `the bitmap of group ${number} says something else of block ${bit} than its files`)
      const byte = Math.floor(bit / 8)
      bitmap[byte] = (bitmap[byte] ?? 0) + (isUsed ? 1 : -1) * 2 ** (bit % 8)
    }
  const now = free - set.length + cleared.length
  view.setUint16(low.freeBlocksLow.offset, now % 65536, true)
  if (wide) view.setUint16(high.freeBlocksHigh.offset, Math.floor(now / 65536), true)
  if (checksums.ofMetadata) {
    const checksum = checksums.ofBitmap(bitmap)
    view.setUint16(low.blockBitmapChecksumLow.offset, checksum % 65536, true)
    if (wide) view.setUint16(high.blockBitmapChecksumHigh.offset, Math.floor(checksum / 65536), true)
  }
  const changed = [...set, ...cleared].map((bit) => Math.floor(bit / 8))
  const first = changed.reduce((one, other) => Math.min(one, other))
  const last = changed.reduce((one, other) => Math.max(one, other))
  return [
    { position: group.blockBitmap * layout.blockSize + first, bytes: bitmap.subarray(first, last + 1) },
    { position, bytes: checksums.sealedDescriptor(number, descriptor) },
  ]
}

function hasBit(bitmap: Uint8Array, bit: number): boolean {
  return Math.floor((bitmap[Math.floor(bit / 8)] ?? 0) / 2 ** (bit % 8)) % 2 === 1
}
