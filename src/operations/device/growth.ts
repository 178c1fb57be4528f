import { roundDown } from '../../binary/integers.js'
import type { BlockSource, Note } from '../../block/types.js'
import { SliceSource } from '../../block/slice.js'
import { identifyFilesystems, resizedSwap } from '../../filesystem/index.js'
import type { Filesystem } from '../../filesystem/types.js'
import { lastPartition, planGrowth, type PartitionTable, type TableWrite } from '../../partition/index.js'

/** The disk or partition that content is meant for. Bytes. */
export interface DeviceShape {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  /** Set when it is a partition. */
  readonly partition?: { readonly number: number; readonly start: number }
}

/** A partition, or what takes all of the target, that is given the room behind it. Bytes. */
export interface GrownPartition {
  /** Undefined where the target itself is one partition or volume. */
  readonly partition?: number
  readonly start: number
  readonly before: number
  readonly after: number
  readonly filesystem?: string
  /**
   * `later`: resize2fs enlarges the filesystem when the target is written. `done`: its head says the new size. `kept`:
   * it keeps its size.
   */
  readonly content: 'later' | 'done' | 'kept'
}

/**
 * How the owner enlarges what is not enlarged here. What is not listed may look for its own end at the partition's, and
 * is left alone.
 */
const byHand: Readonly<Record<string, string>> = {
  ntfs: 'Windows (Disk Management, or "extend filesystem" of diskpart) or ntfsresize',
  xfs: 'xfs_growfs, once it is mounted',
  btrfs: 'btrfs filesystem resize max, once it is mounted',
  vfat: 'fatresize',
  exfat: 'a copy to a new filesystem: exFAT has no tool for it',
  f2fs: 'resize.f2fs',
  LVM2_member: 'pvresize',
  crypto_LUKS: 'cryptsetup resize',
}

interface Growing {
  readonly shape: DeviceShape
  readonly before: number
  readonly notes: Note[]
}

/** What enlarging the last partition writes, and what becomes of its filesystem. Notes say what is not done. */
export function grownContent(
  disk: BlockSource,
  table: PartitionTable,
  growing: Growing,
): { readonly writes: readonly TableWrite[]; readonly grown?: GrownPartition } {
  const { shape, before, notes } = growing
  const kept = (why: string): { readonly writes: readonly TableWrite[] } => {
    notes.push({ code: 'W_NOT_GROWN', message: `nothing was enlarged: ${why}` })
    return { writes: [] }
  }
  if (shape.partition !== undefined || table.scheme === 'none') {
    if (before >= shape.capacity) return kept('the content fills the target already')
    return enlarged(disk, { start: 0, before, after: shape.capacity }, [], kept, notes)
  }
  const error = table.issues.find(({ severity }) => severity === 'error')
  if (error !== undefined) return kept(`the partition table is damaged: ${error.message}`)
  const last = lastPartition(table)
  const growth = planGrowth(disk, table)
  if ('why' in growth || last === undefined) return kept('why' in growth ? growth.why : 'there is no partition')
  const { number, start, writes } = growth
  return enlarged(
    disk,
    { partition: number, start, before: growth.before, after: growth.after },
    writes.flat(),
    kept,
    notes,
  )
}

function enlarged(
  disk: BlockSource,
  range: Pick<GrownPartition, 'partition' | 'start' | 'before' | 'after'>,
  table: readonly TableWrite[],
  kept: (why: string) => { readonly writes: readonly TableWrite[] },
  notes: Note[],
): { readonly writes: readonly TableWrite[]; readonly grown?: GrownPartition } {
  const { partition, start, before } = range
  const what = partition === undefined ? 'the target' : `partition ${partition}`
  const found = identifyFilesystems(new SliceSource(disk, start, before))
  const [filesystem] = found
  if (filesystem === undefined || found.length > 1) return kept(`what ${what} holds is not known`)
  const grown = (
    content: GrownPartition['content'],
    writes: readonly TableWrite[],
  ): { readonly writes: readonly TableWrite[]; readonly grown: GrownPartition } => ({
    writes: [...table, ...writes],
    grown: { ...range, filesystem: filesystem.title, content },
  })
  if (/^ext[234]$/.test(filesystem.type)) return grown('later', [])
  if (filesystem.type === 'swap' && filesystem.size !== undefined)
    return grown('done', swapHead(disk, filesystem, range))
  const how = byHand[filesystem.type]
  if (how === undefined) return kept(`${what} holds ${filesystem.title}, which may be bound to its end`)
  notes.push({
    code: 'W_FS_NOT_GROWN',
    message: `the ${filesystem.title} in ${what} keeps its size: enlarge it with ${how}`,
  })
  return grown('kept', [])
}

function swapHead(
  disk: BlockSource,
  { blockSize = 4096 }: Filesystem,
  { start, before, after }: Pick<GrownPartition, 'start' | 'before' | 'after'>,
): TableWrite[] {
  const { position, bytes } = resizedSwap(new SliceSource(disk, start, before), blockSize, roundDown(after, blockSize))
  return [{ position: start + position, bytes }]
}

/** What is enlarged, for people. */
export function nameOf({ partition }: Pick<GrownPartition, 'partition'>): string {
  return partition === undefined ? 'the content' : `partition ${partition}`
}
