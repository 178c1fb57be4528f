import { roundUp, viewOf } from '../../binary/integers.js'
import type { FileMap } from '../file-map.js'
import { fixed } from '../rewrite.js'
import type { VolumeWrite } from '../types.js'
import type { UnitRun } from '../unit-runs.js'
import { sealedSuperblock } from './checksums.js'
import { claimWrites, freeBlocks, type Claim } from './free-blocks.js'
import type { ExtGroups } from './groups.js'
import { sealedInode, type Inode } from './inode.js'
import { requireChangeable, resizedExtInode, rewriteExtFile } from './rewrite.js'
import { extentHeader, extentIndex, extentLeaf, extInode, extSuperblock, superblockPosition } from './structs.js'

/** Counts that would have to be changed too, or units that are not blocks. */
const counting = ['bigalloc', 'quota', 'project']
const headLength = 12
const entryLength = 12
/** What there is room for in an inode. */
const rootEntries = 4
/** Blocks of an extent at most (fs/ext4/ext4_extents.h, EXT_INIT_MAX_LEN). */
const longestExtent = 32768

interface Extent {
  /** Block of the file. */
  readonly block: number
  readonly first: number
  readonly count: number
}

/**
 * What is to be written so that a file goes on with `bytes`, in free blocks where its own have no room. The filesystem
 * is marked as not left in order first, and as left in order last; the inode, which lies in one sector, is what makes
 * the file longer. A stop in between leaves the old file or the new one, and a filesystem that e2fsck puts right.
 * @throws ImageError unsupported E_FILE_FIXED; corrupt E_FS_CORRUPT.
 */
export function appendToExtFile(
  groups: ExtGroups,
  inode: Inode,
  map: () => FileMap,
  bytes: Uint8Array,
): VolumeWrite[][] {
  const { layout, reader } = groups
  const { blockSize } = layout
  const { title } = reader
  const size = inode.size + bytes.length
  if (size <= roundUp(inode.size, blockSize) || inode.flags.isInline)
    return rewriteExtFile(groups, inode, map, [{ offset: inode.size, bytes }], size)
  requireChangeable(groups, inode)
  const counted = counting.find((name) => layout.features.has(name))
  if (counted !== undefined) throw fixed(title, `the filesystem has the feature ${counted}`)
  if (!inode.flags.hasExtents) throw fixed(title, 'it lists its blocks one by one, as ext2 and ext3 do')
  const old = map()
  const end = roundUp(inode.size, blockSize)
  // A hole at the end of whole blocks stays one.
  if (old.length > end || (old.length < end && inode.size < end))
    throw fixed(title, `it has ${inode.size} bytes, and blocks for ${old.length}`)
  const firstBlock = end / blockSize
  const tail = inode.size % blockSize === 0 ? 0 : blockSize - (inode.size % blockSize)
  const data = bytes.subarray(tail)
  const growth = grownTree(groups, inode, firstBlock, Math.ceil(data.length / blockSize))
  const ownTail: VolumeWrite[] =
    tail === 0 ? [] : [{ position: positionOf(old, inode.size, title), bytes: bytes.subarray(0, tail) }]
  const { claim, root, node } = growth
  const [began, ended] = superblocks(groups, claim)
  return [
    began,
    [...ownTail, ...dataWrites(growth.extents, firstBlock, blockSize, data), ...node],
    claimWrites(groups, claim),
    [{ position: inode.position, bytes: grownInode(groups, inode, size, root, claim) }],
    ended,
  ]
}

function positionOf(map: FileMap, offset: number, title: string): number {
  const { position } = map.at(offset)
  if (position === undefined) throw fixed(title, `byte ${offset} lies in a hole, or was never written`)
  return position
}

interface Growth {
  readonly extents: readonly Extent[]
  readonly claim: Claim
  /** The tree's root, which lies in the inode. */
  readonly root: Uint8Array
  /** Its last leaf, where that is a block: a new one, so that the old tree stays until the inode is written. */
  readonly node: readonly VolumeWrite[]
}

/** The tree of extents with those of new blocks. @throws ImageError unsupported E_FILE_FIXED. */
function grownTree(groups: ExtGroups, inode: Inode, firstBlock: number, count: number): Growth {
  const { layout, reader } = groups
  const { title } = reader
  const root = Uint8Array.from(inode.values.block)
  const { depth, entries, maximum } = extentHeader.read(root)
  if (depth > 1) throw fixed(title, `its tree of extents is ${depth} nodes deep`)
  if (maximum !== rootEntries || (depth === 1 && entries === 0))
    throw fixed(title, `its tree of extents has ${entries} entries at its root, and room for ${maximum}`)
  const direct = freeBlocks(groups, count)
  const extents = extentsOf(direct, firstBlock)
  if (depth === 0 && entries + extents.length <= maximum) {
    const grown = withExtents(root, extents)
    return { extents, claim: { taken: direct, freed: [] }, root: grown, node: [] }
  }
  // The leaf is a block of its own, the first of the new ones.
  const all = freeBlocks(groups, count + 1)
  const leafBlock = all[0]?.first ?? 0
  const taken = all.map((run, index) => (index === 0 ? { first: run.first + 1, count: run.count - 1 } : run))
  const moved = extentsOf(
    taken.filter((run) => run.count > 0),
    firstBlock,
  )
  const position = leafBlock * layout.blockSize
  if (depth === 0) {
    const leaf = new Uint8Array(layout.blockSize)
    leaf.set(root.subarray(0, headLength + entries * entryLength))
    const sealed = sealedLeaf(groups, inode, leaf, moved)
    const index = { block: extentLeaf.read(root, headLength).block, node: leafBlock }
    const claim = { taken: all, freed: [] }
    return { extents: moved, claim, root: indexRoot(root, index), node: [{ position, bytes: sealed }] }
  }
  const at = headLength + (entries - 1) * entryLength
  const { block, leafLow, leafHigh } = extentIndex.read(root, at)
  const oldLeaf = leafLow + leafHigh * 2 ** 32
  const leaf = reader.bytes(oldLeaf * layout.blockSize, layout.blockSize)
  const sealed = sealedLeaf(groups, inode, leaf, moved)
  writeIndex(root, at, { block, node: leafBlock })
  return { extents: moved, claim: { taken: all, freed: [oldLeaf] }, root, node: [{ position, bytes: sealed }] }
}

function extentsOf(runs: readonly UnitRun[], firstBlock: number): Extent[] {
  const extents: Extent[] = []
  let block = firstBlock
  for (const run of runs)
    for (let done = 0; done < run.count; done += longestExtent) {
      const count = Math.min(longestExtent, run.count - done)
      extents.push({ block, first: run.first + done, count })
      block += count
    }
  return extents
}

/** A node of depth 0 with more extents at its end. */
function withExtents(node: Uint8Array, extents: readonly Extent[]): Uint8Array {
  const view = viewOf(node)
  const { entries } = extentHeader.read(node)
  for (const [index, { block, first, count }] of extents.entries()) {
    const at = headLength + (entries + index) * entryLength
    view.setUint32(at + extentLeaf.fields.block.offset, block, true)
    view.setUint16(at + extentLeaf.fields.length.offset, count, true)
    view.setUint16(at + extentLeaf.fields.startHigh.offset, Math.floor(first / 2 ** 32), true)
    view.setUint32(at + extentLeaf.fields.startLow.offset, first % 2 ** 32, true)
  }
  view.setUint16(extentHeader.fields.entries.offset, entries + extents.length, true)
  return node
}

/** A leaf in a block of its own, with its room and its checksum. @throws ImageError unsupported E_FILE_FIXED. */
function sealedLeaf(
  { layout, checksums, reader }: ExtGroups,
  { seed }: Inode,
  leaf: Uint8Array,
  extents: readonly Extent[],
): Uint8Array {
  const maximum = Math.floor((layout.blockSize - headLength) / entryLength)
  viewOf(leaf).setUint16(extentHeader.fields.maximum.offset, maximum, true)
  if (extentHeader.read(leaf).entries + extents.length > maximum)
    throw fixed(reader.title, 'the last leaf of its tree of extents is full')
  const grown = withExtents(leaf, extents)
  const end = headLength + maximum * entryLength
  if (checksums.ofMetadata) viewOf(grown).setUint32(end, checksums.ofInode(seed, grown.subarray(0, end)), true)
  return grown
}

interface IndexEntry {
  readonly block: number
  readonly node: number
}

/** A root with one leaf below it. */
function indexRoot(root: Uint8Array, entry: IndexEntry): Uint8Array {
  const grown = Uint8Array.from(root)
  grown.fill(0, headLength)
  const view = viewOf(grown)
  view.setUint16(extentHeader.fields.entries.offset, 1, true)
  view.setUint16(extentHeader.fields.depth.offset, 1, true)
  writeIndex(grown, headLength, entry)
  return grown
}

function writeIndex(root: Uint8Array, at: number, { block, node }: IndexEntry): void {
  const view = viewOf(root)
  view.setUint32(at + extentIndex.fields.block.offset, block, true)
  view.setUint32(at + extentIndex.fields.leafLow.offset, node % 2 ** 32, true)
  view.setUint16(at + extentIndex.fields.leafHigh.offset, Math.floor(node / 2 ** 32), true)
}

/** What follows in new blocks; the rest of the last one is zero. */
function dataWrites(
  extents: readonly Extent[],
  firstBlock: number,
  blockSize: number,
  data: Uint8Array,
): VolumeWrite[] {
  const padded = new Uint8Array(roundUp(data.length, blockSize))
  padded.set(data)
  return extents.map(({ block, first, count }) => {
    const start = (block - firstBlock) * blockSize
    return { position: first * blockSize, bytes: padded.subarray(start, start + count * blockSize) }
  })
}

function grownInode(groups: ExtGroups, inode: Inode, size: number, root: Uint8Array, claim: Claim): Uint8Array {
  const bytes = resizedExtInode(inode, size)
  bytes.set(root, extInode.fields.block.offset)
  const { sectorsLow, sectorsHigh } = inode.values
  const unit = inode.flags.countsBlocks ? 1 : groups.layout.blockSize / 512
  const sectors = sectorsLow + sectorsHigh * 2 ** 32 + blocksMore(claim) * unit
  const view = viewOf(bytes)
  view.setUint32(extInode.fields.sectorsLow.offset, sectors % 2 ** 32, true)
  view.setUint16(extInode.fields.sectorsHigh.offset, Math.floor(sectors / 2 ** 32), true)
  return sealedInode(groups, inode, bytes)
}

function blocksMore({ taken, freed }: Claim): number {
  return taken.reduce((sum, { count }) => sum + count, 0) - freed.length
}

/** The superblock while the filesystem is changed, and afterwards with its free blocks. */
function superblocks({ layout, reader }: ExtGroups, claim: Claim): [VolumeWrite[], VolumeWrite[]] {
  const { fields } = extSuperblock
  const bytes = reader.bytes(superblockPosition, extSuperblock.size)
  const began = Uint8Array.from(bytes)
  // Bit 0: left in order.
  viewOf(began).setUint16(fields.state.offset, layout.superblock.state - (layout.superblock.state % 2), true)
  const ended = Uint8Array.from(bytes)
  const free = layout.freeBlocks - blocksMore(claim)
  viewOf(ended).setUint32(fields.freeBlocksLow.offset, free % 2 ** 32, true)
  if (layout.features.has('64bit'))
    viewOf(ended).setUint32(fields.freeBlocksHigh.offset, Math.floor(free / 2 ** 32), true)
  return [
    [{ position: superblockPosition, bytes: sealedSuperblock(began, layout) }],
    [{ position: superblockPosition, bytes: sealedSuperblock(ended, layout) }],
  ]
}
