import { roundDown, roundUp } from '../binary/integers.js'
import { isZero } from '../binary/zero.js'
import type { Packing } from '../block/image-writer.js'
import { codecFor, compressorFor, type Compressor } from '../codec/registry.js'
import { differingRuns, firstDifference, scanChunk, scanRanges, type ChunkPiece, type ScannedRun } from './chunk.js'
import { blockDigest, blockLength, treeDigestLength, digestOfParts, partDigests } from './tree-hash.js'
import { partTags, tagLength } from './part-tags.js'
import { clearGaps, fillAsync, fillSync, type UnitBuffers } from './fill.js'

/** What is to be in the buffer of a chunk; zeros are between. */
export interface TaskContent {
  readonly pieces: readonly ChunkPiece[]
  /** Ranges already in the buffer, which must not be cleared. */
  readonly present: readonly { readonly at: number; readonly length: number }[]
}

/** The work on one chunk, as plain data: the same in the main thread and in a worker. */
export interface Task extends TaskContent {
  readonly length: number
  /** Set when the chunk is held against a second disk, in the second half of the buffer. */
  readonly base?: TaskContent
  /**
   * `scan`: find the runs worth writing, in units of `unit` bytes; `compare`: find the first difference to the base,
   * and with a `unit` all units that differ;
   * `hash`: the digest of a block of the tree; `fill`: only fetch the content;
   * `pack`: compress all of it as one unit, even where it gets no smaller; the buffer has room for that.
   */
  readonly mode: 'scan' | 'compare' | 'hash' | 'fill' | 'pack'
  readonly unit: number
  readonly packing?: Packing
  /** Ranges of the buffer whose digests are wanted as blocks of the tree, before anything is compressed. */
  readonly digests?: readonly { readonly at: number; readonly length: number }[]
  /** The parts of the chunk whose digests are wanted. */
  readonly parts?: ChunkParts
}

/** The parts of a chunk: the first `bytes` of its buffer, in parts of `length`. */
export interface ChunkParts {
  readonly bytes: number
  readonly length: number
  /** Digests that the parts had: those that have them still are left out, and zeros count in the others. */
  readonly known?: Uint8Array
  /** Their tags are wanted as well. */
  readonly tags?: ChunkTags
}

/** How parts of a chunk are tagged (part-tags.ts). */
export interface ChunkTags {
  readonly key: Uint8Array
  /** Where on the disk the chunk begins. */
  readonly offset: number
  /** Tags that the parts had, zeros where that is not known: a part that has it still has its digest, too. */
  readonly known?: Uint8Array
  /** Those that the parts have, where they were made already. */
  readonly made?: Uint8Array
}

export interface TaskResult {
  readonly runs: readonly ScannedRun[]
  /** In mode `compare`: where the two differ first. */
  readonly difference?: number
  /** In mode `hash`. */
  readonly digest?: Uint8Array
  /** Those that were asked for, in their order. */
  readonly digests?: readonly Uint8Array[]
  /** Those of the parts, as {@link partDigests} has them. */
  readonly parts?: Uint8Array
  /** Those of the parts, as {@link partTags} has them. */
  readonly tags?: Uint8Array
}

/** Compresses a whole chunk, however long that gets. */
function packWhole(buffer: Uint8Array, length: number, packing: Packing | undefined): TaskResult {
  const codec = packing === undefined ? undefined : codecFor(packing.codec)
  if (codec?.encode === undefined) throw new TypeError('there is nothing to compress with')
  const packed = codec.encode(buffer.subarray(0, length), packing?.level)
  buffer.set(packed, 0)
  return { runs: [{ kind: 'packed', at: 0, length, storedAt: 0, storedLength: packed.length }] }
}

/** Compressors made once a thread. */
const compressors = new Map<string, Compressor>()

/**
 * Does the task with blocking reads. `buffer` holds the chunk, and behind `half` bytes the base's. @throws ImageError
 */
export function runTaskSync(task: Task, buffer: Uint8Array, half: number, buffers: UnitBuffers): TaskResult {
  const bytes = buffer.subarray(0, task.length)
  clear(bytes, task)
  fillSync(task.pieces, bytes, buffers)
  let base: Uint8Array | undefined
  if (task.base !== undefined) {
    base = buffer.subarray(half, half + task.length)
    clear(base, { length: task.length, ...task.base })
    fillSync(task.base.pieces, base, buffers)
  }
  return task.mode === 'pack' ? packWhole(buffer, task.length, task.packing) : judgeChunk(task, bytes, base, buffer)
}

/** Does the task with reads that do not block this thread. @throws ImageError */
export async function runTaskAsync(
  task: Task,
  buffer: Uint8Array,
  half: number,
  buffers: UnitBuffers,
): Promise<TaskResult> {
  const bytes = buffer.subarray(0, task.length)
  clear(bytes, task)
  await fillAsync(task.pieces, bytes, buffers)
  let base: Uint8Array | undefined
  if (task.base !== undefined) {
    base = buffer.subarray(half, half + task.length)
    clear(base, { length: task.length, ...task.base })
    await fillAsync(task.base.pieces, base, buffers)
  }
  return task.mode === 'pack' ? packWhole(buffer, task.length, task.packing) : judgeChunk(task, bytes, base, buffer)
}

/** Zeroes what no piece covers. */
export function clear(bytes: Uint8Array, content: Pick<Task, 'length' | 'pieces' | 'present'>): void {
  const covered =
    content.present.length === 0 ? content.pieces : [...content.pieces, ...content.present].sort((a, b) => a.at - b.at)
  clearGaps(bytes, content.length, covered)
}

/** What a chunk that was filled turned out to be; compressed, where that is wanted. */
export function judgeChunk(
  task: Task,
  bytes: Uint8Array,
  base: Uint8Array | undefined,
  buffer: Uint8Array,
): TaskResult {
  if (task.mode === 'fill') return { runs: [] }
  if (task.mode === 'hash') return { runs: [], digest: blockDigest(bytes) }
  if (task.mode === 'compare') {
    const difference = base === undefined ? undefined : firstDifference(bytes, base, task.length)
    if (difference === undefined || base === undefined) return { runs: [] }
    return { difference, runs: task.unit === 0 ? [] : differingRuns(bytes, base, task.length, task.unit, difference) }
  }
  // Before packing, which puts the compressed bytes in place of the plain ones.
  const { parts: wanted } = task
  const tags = tagsOf(wanted, bytes)
  const parts = wanted === undefined ? undefined : digestsOf(wanted, bytes, tags)
  const digests = task.digests?.map(({ at, length }) => rangeDigest(bytes, at, length, wanted, parts))
  const runs =
    wanted?.known === undefined || parts === undefined
      ? scanChunk(bytes, task.length, task.unit, base)
      : scanRanges(bytes, task.unit, changedParts(wanted, parts, wanted.known, task))
  return {
    runs: task.packing === undefined ? runs : packed(runs, bytes, task.packing, buffer),
    digests,
    parts,
    tags,
  }
}

function tagsOf(wanted: ChunkParts | undefined, bytes: Uint8Array): Uint8Array | undefined {
  if (wanted?.tags === undefined) return undefined
  const { offset, key, made } = wanted.tags
  return made ?? partTags(bytes.subarray(0, wanted.bytes), offset, wanted.length, key)
}

/** The digests of the parts: what they were, of those whose tags are what they were. */
function digestsOf(wanted: ChunkParts, bytes: Uint8Array, tags: Uint8Array | undefined): Uint8Array {
  const own = bytes.subarray(0, wanted.bytes)
  const { known, length } = wanted
  const count = Math.ceil(wanted.bytes / length)
  const same = new Set(tags === undefined || known === undefined ? [] : taggedSame(wanted, tags))
  if (known === undefined || same.size === 0) return partDigests(own, length)
  const digests = new Uint8Array(count * treeDigestLength)
  for (let index = 0; index < count; index++) {
    const place = index * treeDigestLength
    const digest = same.has(index)
      ? known.subarray(place, place + treeDigestLength)
      : partDigests(own.subarray(index * length, (index + 1) * length), length)
    digests.set(digest, place)
  }
  return digests
}

/** The parts, by their numbers, that a chunk has the tags of that it had. */
function taggedSame({ tags: wanted }: ChunkParts, tags: Uint8Array): number[] {
  const same: number[] = []
  for (let at = 0; at < tags.length; at += tagLength) {
    const now = tags.subarray(at, at + tagLength)
    const then = wanted?.known?.subarray(at, at + tagLength)
    if (then !== undefined && !isZero(now) && Buffer.compare(now, then) === 0) same.push(at / tagLength)
  }
  return same
}

/** Parts that are digested in this thread: less than sending word of them to another takes. */
const fewParts = 2

/**
 * A chunk of which (nearly) all parts have the tags that they had, done in this thread; otherwise its tags, for who
 * does the rest. Undefined where tags say nothing. All its bytes are in the buffer.
 */
export function doneByTags(task: Task, buffer: Uint8Array): { readonly result?: TaskResult; readonly task: Task } {
  const { parts, pieces, packing } = task
  if (parts?.known === undefined || parts.tags?.known === undefined || pieces.length > 0) return { task }
  const bytes = buffer.subarray(0, task.length)
  clear(bytes, task)
  const made = tagsOf(parts, bytes)
  if (made === undefined) return { task }
  const tagged: Task = { ...task, parts: { ...parts, tags: { ...parts.tags, made } } }
  let others = -taggedSame(parts, made).length
  for (let at = 0; at < made.length; at += tagLength) if (!isZero(made, at, tagLength)) others++
  const isQuick = others === 0 || (others <= fewParts && packing === undefined)
  return isQuick ? { task: tagged, result: judgeChunk(tagged, bytes, undefined, buffer) } : { task: tagged }
}

/** The digest of a block, or of less, within a chunk: by those of its parts, where they are known. */
function rangeDigest(
  bytes: Uint8Array,
  at: number,
  length: number,
  wanted: ChunkParts | undefined,
  parts: Uint8Array | undefined,
): Uint8Array {
  if (wanted === undefined || parts === undefined || length !== Math.min(blockLength, wanted.bytes - at))
    return blockDigest(bytes.subarray(at, at + length))
  const first = at / wanted.length
  const count = Math.ceil(length / wanted.length)
  return digestOfParts(
    parts.subarray(first * treeDigestLength, (first + count) * treeDigestLength),
    wanted.length,
    length,
  )
}

/** The parts whose digests are not what they were, in whole units; the last reaches to the end of the chunk. */
function changedParts(
  { bytes, length }: ChunkParts,
  now: Uint8Array,
  known: Uint8Array,
  task: Pick<Task, 'unit' | 'length'>,
): { readonly at: number; readonly length: number }[] {
  const unit = task.unit === 0 ? task.length : task.unit
  const changed: { at: number; length: number }[] = []
  for (let at = 0, place = 0; at < bytes; at += length, place += treeDigestLength) {
    const same = Buffer.compare(
      now.subarray(place, place + treeDigestLength),
      known.subarray(place, place + treeDigestLength),
    )
    if (same === 0) continue
    const start = roundDown(at, unit)
    const end = at + length < bytes ? Math.min(task.length, roundUp(at + length, unit)) : task.length
    const last = changed.at(-1)
    if (last !== undefined && start <= last.at + last.length) last.length = end - last.at
    else changed.push({ at: start, length: end - start })
  }
  return changed
}

function packed(runs: readonly ScannedRun[], bytes: Uint8Array, packing: Packing, buffer: Uint8Array): ScannedRun[] {
  return packing.always === true ? packAll(runs, bytes, packing, buffer) : pack(runs, bytes, packing)
}

/** Compresses every unit of the data runs, however long that gets; the buffer has room for it behind the chunk. */
function packAll(
  runs: readonly ScannedRun[],
  bytes: Uint8Array,
  { codec, level, length, wholeEnd = false }: Packing,
  buffer: Uint8Array,
): ScannedRun[] {
  const encode = codecFor(codec).encode?.bind(codecFor(codec))
  if (encode === undefined) throw new TypeError(`${codec} only decompresses`)
  const units: { readonly at: number; readonly length: number; readonly packed: Uint8Array }[] = []
  for (const run of runs) {
    if (run.kind !== 'data') throw new TypeError('a format without plain units has no parent')
    for (let at = run.at; at < run.at + run.length; at += length) {
      const plain = bytes.subarray(at, Math.min(at + length, run.at + run.length))
      let unit = plain
      // What ends with the disk is filled up.
      if (plain.length < length && !wholeEnd) {
        unit = new Uint8Array(length)
        unit.set(plain)
      }
      if (!isZero(unit)) units.push({ at, length: plain.length, packed: encode(unit, level) })
    }
  }
  let free = 0
  return units.map(({ at, length: plain, packed: stored }) => {
    buffer.set(stored, free)
    free += stored.length
    return { kind: 'packed', at, length: plain, storedAt: free - stored.length, storedLength: stored.length }
  })
}

/**
 * Compresses the units of the data runs in place. The stored bytes are put one behind the other from the start of the
 * buffer, where
 * the units they came from stood: neighbours can then be written at once. A unit that does not get smaller stays as it
 * is.
 */
function pack(runs: readonly ScannedRun[], bytes: Uint8Array, packing: Packing): ScannedRun[] {
  const key = `${packing.codec}:${packing.level ?? ''}`
  let compress = compressors.get(key)
  if (compress === undefined) compressors.set(key, (compress = compressorFor(packing.codec, packing.level)))
  return packEach(runs, bytes, packing.length, compress)
}

/** @param compress is asked for each whole unit in turn; undefined: it stays as it is. */
export function packEach(
  runs: readonly ScannedRun[],
  bytes: Uint8Array,
  unit: number,
  compress: (bytes: Uint8Array, at: number) => Uint8Array | undefined,
): ScannedRun[] {
  const result: ScannedRun[] = []
  let free = 0
  for (const run of runs) {
    if (run.kind !== 'data') {
      result.push(run)
      continue
    }
    for (let at = run.at; at < run.at + run.length; at += unit) {
      const length = Math.min(unit, run.at + run.length - at)
      // A unit cut short by the end of the disk is compressed with the zeros that follow it in the format: the caller
      // pads chunks.
      const packed = length === unit ? compress(bytes.subarray(at, at + length), at) : undefined
      if (packed === undefined) {
        const last = result.at(-1)
        if (last?.kind === 'data' && last.at + last.length === at)
          result[result.length - 1] = { kind: 'data', at: last.at, length: last.length + length }
        else result.push({ kind: 'data', at, length })
        free = at + length
      } else {
        bytes.set(packed, free)
        result.push({ kind: 'packed', at, length, storedAt: free, storedLength: packed.length })
        free += packed.length
      }
    }
  }
  return result
}
