import { safeNumber } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { unionRuns } from '../run-union.js'
import type { UnitRun } from '../unit-runs.js'
import type { VolumeReader } from '../volume-reader.js'
import { ChunkMap, type Stripe } from './chunks.js'
import {
  chunkItem,
  chunkStripe,
  extentTree,
  itemTypes,
  rootItem,
  superblockPositions,
  superblockSize,
  systemChunksStart,
  treeKey,
} from './structs.js'
import { TreeWalker, type BtrfsSuperblock } from './trees.js'

/** Before it no chunk begins: systems keep their loaders there. */
const reservedStart = 1024 * 1024

/**
 * Bytes in use on the one device of a filesystem: what the extent tree has, through the chunks, the superblocks, and
 * the first mebibyte
 * (the sheet's section 8).
 * @param raw the superblock's bytes. @param exact whether the sum has to be that of the superblock. @throws ImageError
 * corrupt E_FS_CORRUPT; unsupported E_FS_FEATURE.
 */
export function btrfsUsedBytes(
  reader: VolumeReader,
  superblock: BtrfsSuperblock,
  raw: Uint8Array,
  exact: boolean,
): Iterable<UnitRun> {
  const chunks = new ChunkMap(reader.title, superblock.deviceId, reader.size)
  const walker = new TreeWalker(reader, superblock, chunks)
  // The chunks that hold the tree of chunks stand in the superblock.
  addSystemChunks(chunks, superblock, raw, reader.title)
  for (const { type, offset, data } of walker.items(superblock.chunkRoot, superblock.chunkRootLevel))
    if (type === itemTypes.chunk) chunks.add(offset, data)
  const root = extentRoot(walker, superblock, reader.title)
  const fixed = superblockPositions
    .filter((position) => position + superblockSize <= reader.size)
    .map((position) => ({ first: position, count: superblockSize }))
  return unionRuns([
    [{ first: 0, count: Math.min(reservedStart, reader.size) }],
    fixed,
    extents(walker, root, chunks.byPosition(), { superblock, title: reader.title, exact }),
  ])
}

function addSystemChunks(
  chunks: ChunkMap,
  { systemChunksLength }: BtrfsSuperblock,
  raw: Uint8Array,
  title: string,
): void {
  const end = systemChunksStart + systemChunksLength
  if (systemChunksLength > 2048)
    throw damaged(title, `the superblock is said to have ${systemChunksLength} bytes of chunks`)
  for (let at = systemChunksStart; at < end;) {
    if (at + treeKey.size + chunkItem.size > end) throw damaged(title, "the superblock's chunks are cut short")
    const { type, offset } = treeKey.read(raw, at)
    const length = chunkItem.size + chunkItem.read(raw, at + treeKey.size).stripes * chunkStripe.size
    if (type !== itemTypes.chunk || at + treeKey.size + length > end)
      throw damaged(title, "the superblock's chunks are cut short")
    chunks.add(offset, raw.subarray(at + treeKey.size, at + treeKey.size + length))
    at += treeKey.size + length
  }
}

function extentRoot(
  walker: TreeWalker,
  { root, rootLevel }: BtrfsSuperblock,
  title: string,
): { readonly block: bigint; readonly level: number } {
  for (const { type, data } of walker.items(root, rootLevel, extentTree, extentTree + 1n)) {
    if (type === itemTypes.root && data.length >= rootItem.size) return rootItem.read(data)
  }
  throw damaged(title, 'it has no tree of extents')
}

interface Known {
  readonly superblock: BtrfsSuperblock
  readonly title: string
  readonly exact: boolean
}

/** Extents by their place in the volume: chunk by chunk, and within one by logical address. */
function* extents(
  walker: TreeWalker,
  root: { readonly block: bigint; readonly level: number },
  stripes: readonly Stripe[],
  { superblock, title, exact }: Known,
): Generator<UnitRun> {
  let sum = 0
  for (const stripe of stripes) {
    const { logical, length, position, isSystem, isCopy } = stripe
    if (isSystem) yield { first: position, count: length }
    let end = logical
    for (const { object, type, offset } of walker.items(
      root.block,
      root.level,
      BigInt(logical),
      BigInt(logical + length),
    )) {
      if (type !== itemTypes.extent && type !== itemTypes.metadata) continue
      const first = Number(object)
      const count = type === itemTypes.metadata ? superblock.nodeSize : safeNumber(offset, 'the length of an extent')
      if (first < end || first + count > logical + length)
        throw damaged(title, `the extent at logical address ${first} overlaps another or leaves its chunk`)
      end = first + count
      if (!isCopy) sum += count
      if (!isSystem) yield { first: position + first - logical, count }
    }
  }
  if (exact && BigInt(sum) !== superblock.bytesUsed)
    throw damaged(title, `its extents have ${sum} bytes, and its superblock says ${superblock.bytesUsed}`)
}
