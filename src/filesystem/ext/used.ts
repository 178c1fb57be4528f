import { damaged } from '../damage.js'
import { RunSet, unionRuns } from '../run-union.js'
import type { UnitRun } from '../unit-runs.js'
import type { ExtGroups } from './groups.js'

/** How far the counts of free blocks may be apart before the bitmaps are not believed. */
const allowedDifference = 0.001

/**
 * Blocks in use: what the bitmaps say, and all metadata, wherever it lies (the sheet's section 3).
 * @param exact whether the superblock's number of free blocks is to be trusted: it is of a filesystem that was left in
 * order.
 * @throws ImageError corrupt E_FS_CORRUPT, at the end when the numbers do not agree.
 */
export function* extUsedBlocks(groups: ExtGroups, exact: boolean): Generator<UnitRun> {
  const { layout } = groups
  let used = 0
  for (const run of unionRuns([bootBlock(layout.firstDataBlock), data(groups), leading(groups), ...tables(groups)])) {
    used += run.count
    yield run
  }
  const free = layout.blocks - used
  if (exact && Math.abs(free - layout.freeBlocks) > layout.blocks * allowedDifference) {
    throw damaged(layout.title, `its bitmaps have ${free} free blocks, and its superblock says ${layout.freeBlocks}`)
  }
}

/** Where blocks have 1 KiB, the first one belongs to no group. */
function bootBlock(count: number): UnitRun[] {
  return count === 0 ? [] : [{ first: 0, count }]
}

function* data(groups: ExtGroups): Generator<UnitRun> {
  for (let number = 0; number < groups.layout.groups; number++) yield* groups.used(number, groups.group(number))
}

function* leading({ layout }: ExtGroups): Generator<UnitRun> {
  for (let number = 0; number < layout.groups; number++) {
    const count = Math.min(layout.leadingBlocks(number), layout.groupLength(number))
    if (count > 0) yield wholeClusters(layout, layout.groupStart(number), count)
  }
}

/** Bitmaps and tables of inodes, which may lie in any group. Each kind by itself ascends nearly always. */
function tables(groups: ExtGroups): RunSet[] {
  const { layout } = groups
  const blockBitmaps = new RunSet()
  const inodeBitmaps = new RunSet()
  const inodeTables = new RunSet()
  const add = (set: RunSet, first: number, count: number): void => {
    const run = wholeClusters(layout, first, count)
    set.add(run.first, run.count)
  }
  for (let number = 0; number < layout.groups; number++) {
    const { blockBitmap, inodeBitmap, inodeTable } = groups.group(number)
    add(blockBitmaps, blockBitmap, 1)
    add(inodeBitmaps, inodeBitmap, 1)
    add(inodeTables, inodeTable, layout.inodeTableLength)
  }
  return [blockBitmaps, inodeBitmaps, inodeTables]
}

function wholeClusters({ ratio, blocks }: ExtGroups['layout'], first: number, count: number): UnitRun {
  const start = first - (first % ratio)
  const end = Math.min(blocks, Math.ceil((first + count) / ratio) * ratio)
  return { first: start, count: end - start }
}
