import { safeNumber } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { unionRuns } from '../run-union.js'
import type { UnitRun } from '../unit-runs.js'
import type { VolumeReader } from '../volume-reader.js'
import type { Stripe } from './chunks.js'
import { openTrees } from './open.js'
import { extentTree, itemTypes, rootItem, superblockPositions, superblockSize } from './structs.js'
import type { BtrfsSuperblock, TreeWalker } from './trees.js'

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
  const { chunks, walker } = openTrees(reader, superblock, raw)
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
