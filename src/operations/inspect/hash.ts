import type { Note } from '../../block/types.js'
import { SliceSource } from '../../block/slice.js'
import { hashSource, type HashAlgorithm, type Progress, type Range } from '../../engine/index.js'
import { corrupt, usage } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import { openPartition, readPartitionTable } from '../../partition/index.js'
import {
  openReadableLater,
  prepared,
  sourceInfo,
  verifyStored,
  verifyWhileRead,
  type Forward,
  type ReadOptions,
  type SourceInfo,
} from '../open/opening.js'
import { readingForward } from '../open/reading-forward.js'
import { milliseconds } from '../../sys/clock.js'

export interface HashOptions extends ReadOptions {
  /** Default `sha256`. */
  readonly algorithm?: HashAlgorithm
  /** Parts of the disk, each with a digest of its own as if it were a disk; the whole disk when left out. */
  readonly ranges?: readonly Range[]
  /** Each partition of the disk, instead of `ranges`. */
  readonly perPartition?: boolean
  /** Worker threads for hashing and decompression; 0: none. */
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface HashResult {
  readonly source: SourceInfo
  /** `tree1`: the first version of `tree` (docs/tree-hash.md). */
  readonly algorithm: 'sha256' | 'tree1'
  /** One for each range or partition, in order; else one for the whole disk. Hexadecimal, lower case. */
  readonly digests: readonly (HashedPart & { readonly digest: string })[]
  readonly notes: readonly Note[]
  readonly seconds: number
}

/** A part of a disk; `partition` is its number, where it is one. */
export interface HashedPart extends Range {
  readonly partition?: number
  /** The partition table's own name of it. */
  readonly label?: string
}

/**
 * A digest of the content of a disk: the same whatever format it is stored in.
 * @throws ImageError; usage E_RANGE for a range outside the disk; aborted E_ABORTED.
 */
export async function hash(path: string, options: HashOptions = {}): Promise<HashResult> {
  return await readingForward(async (forward) => await hashOnce(path, { ...options, forward }))
}

async function hashOnce(path: string, options: HashOptions & Forward): Promise<HashResult> {
  const started = milliseconds()
  using opened = await prepared(await openReadableLater(path, options), options)
  const verify = options.perPartition === true ? verifyStored : verifyWhileRead
  const proof = options.ranges === undefined ? await verify(opened, options) : undefined
  const { capacity } = opened
  const ranges: readonly HashedPart[] =
    options.perPartition === true ? partitionsOf(opened) : (options.ranges ?? [{ offset: 0, length: capacity }])
  for (const range of ranges) checkRange(range, capacity, opened.top.name)
  const algorithm = options.algorithm ?? 'sha256'
  const total = ranges.reduce((sum, { length }) => sum + length, 0)
  const digests: (HashedPart & { digest: string })[] = []
  let before = 0
  for (const part of ranges) {
    const { offset, length } = part
    const done = before
    const onProgress =
      options.onProgress === undefined
        ? undefined
        : (progress: Progress): void => options.onProgress?.({ phase: 'hash', done: done + progress.done, total })
    const digest = await hashSource(new SliceSource(opened, offset, length), {
      algorithm,
      threads: options.threads,
      signal: options.signal,
      onProgress,
      content: proof,
    })
    digests.push({ ...part, digest: Buffer.from(digest).toString('hex') })
    before += length
  }
  opened.assertUnchanged()
  proof?.assert()
  return {
    source: sourceInfo(path, opened),
    algorithm: algorithm === 'tree' ? 'tree1' : algorithm,
    digests,
    notes: opened.notes,
    seconds: (milliseconds() - started) / 1000,
  }
}

/** Every partition that holds data. @throws ImageError corrupt where the table is damaged; usage E_NO_PARTITIONS */
function partitionsOf(opened: OpenedImage): HashedPart[] {
  const { partitions, issues } = readPartitionTable(opened)
  const found = partitions.filter(({ role }) => role !== 'extended')
  if (found.length === 0) {
    const broken = issues.find(({ severity }) => severity === 'error')
    if (broken !== undefined) throw corrupt(broken.code, `${opened.name}: ${broken.message}`)
    throw usage('E_NO_PARTITIONS', `${opened.name} has no partitions`)
  }
  for (const partition of found) openPartition(opened, partition, opened.name)
  return found.map(({ number, start, length, label }) => ({
    offset: start,
    length,
    partition: number,
    label,
  }))
}

/** @throws ImageError usage E_RANGE */
export function checkRange({ offset, length }: Range, capacity: number, name: string): void {
  if (![offset, length].every((value) => Number.isSafeInteger(value) && value >= 0) || offset + length > capacity) {
    throw usage(
      'E_RANGE',
      `${length} bytes from offset ${offset} leave the disk of ${name}, which has ${capacity} bytes`,
      { details: { offset, length, capacity } },
    )
  }
}
