import { roundDown, roundUp } from '../../binary/integers.js'
import { ChangedOver } from '../../block/changed-over.js'
import { RunMap } from '../../block/run-map.js'
import type { BlockSource } from '../../block/types.js'
import { blockLength, partDigests } from '../../engine/tree-hash.js'
import { printable, refused } from '../../errors.js'
import type { DigestPart } from '../transfer/disk-digests.js'
import type { KnownBlocks } from './blocks-file.js'
import type { GuardAnswer } from './guards.js'
import type { SinceImage } from './since.js'
import { blocksPath } from './companions.js'

/** What a dirty bitmap says of a disk, against an earlier image of it. */
export interface ChangedBlocks {
  /** The disk, as the earlier image has it where nothing is to be read. */
  readonly disk: BlockSource
  /** What is read: whole blocks of what the bitmap lists, and what cannot be known otherwise. */
  readonly bytes: number
  readonly guard: GuardAnswer
}

interface Question {
  /** As given. */
  readonly bitmap: string
  /** The disk, and what the bitmap lists of it. */
  readonly disk: BlockSource
  readonly listed: Iterable<{ readonly offset: number; readonly length: number }>
  /** Of the disk as it is now. */
  readonly partitions: readonly DigestPart[]
  readonly since: Pick<SinceImage, 'path' | 'record' | 'base' | 'known'>
  /** Goes on although nothing shows that the bitmap was begun before the earlier image was made. */
  readonly allowUnproven: boolean
}

/** Blocks that the bitmap does not list and that are read nevertheless: some that held something, some that did not. */
const sampledData = 64
const sampledZeros = 16

/**
 * Takes a bitmap for what has changed since an earlier image. What shows that it is: the record of the image names it,
 * so it was there then, and it lists no less than it did; and a sample of blocks that it does not list are what they
 * were. @throws ImageError refused E_BITMAP_UNPROVEN, unless allowed; E_BITMAP_INCOMPLETE
 */
export function changedBlocks(question: Question): ChangedBlocks {
  const { bitmap, disk, allowUnproven } = question
  const { path: since, record, known, base } = question.since
  const name = `the bitmap ${printable(bitmap)}`
  if (known === undefined)
    throw unproven(`what ${name} does not list is compared with ${printable(blocksPath(since))}, which cannot be used`)
  if (record.usedOnly || record.parts !== undefined)
    throw unproven(
      `${printable(since)} does not hold all of the disk, and what ${name} does not list may be what is not there`,
    )
  const listed = new RunMap()
  for (const { offset, length } of question.listed) listed.add(offset, length)
  const doubt = doubtOf(name, question, listed.total)
  if (doubt !== undefined && !allowUnproven) throw unproven(doubt, true)
  const runs = wholeBlocks(listed, question, known)
  const sampled = assertSame(name, runs, question, known)
  const seen = `${listed.total} bytes of ${disk.capacity} are listed; ${sampled} blocks that are not are what they were`
  return {
    disk: new ChangedOver(disk, base, runs),
    bytes: runs.total,
    guard: {
      guard: 'bitmap',
      verdict: doubt === undefined ? 'passed' : 'overridden',
      why: `${doubt ?? `${name} was there when ${printable(since)} was made`}: ${seen}`,
    },
  }
}

function doubtOf(
  name: string,
  { bitmap, since: { path: since, record } }: Question,
  bytes: number,
): string | undefined {
  const then = record.bitmaps?.find((each) => each.name === bitmap)
  if (then === undefined)
    return `whether ${name} was begun before ${printable(since)} was made is not known: its record does not name it`
  if (bytes >= then.bytes) return undefined
  return `${name} lists ${bytes} bytes, and listed ${then.bytes} when ${printable(since)} was made: it was begun anew`
}

function unproven(why: string, canBeAllowed = false): Error {
  return refused('E_BITMAP_UNPROVEN', why, {
    hint:
      'Leave out --changed: all of the disk is read then, and compared by its digests.' +
      (canBeAllowed ? ' If the bitmap is known to be older than the image, --allow-unproven-bitmap goes on.' : ''),
  })
}

/**
 * The blocks to be read: what is listed, what the disk has grown by, and the blocks in which partitions end, whose
 * digests are of less than a block.
 */
function wholeBlocks(listed: RunMap, { disk: { capacity }, partitions }: Question, known: KnownBlocks): RunMap {
  const wanted = partitions
    .map(({ start, length }) => start + length)
    .filter((end) => end % blockLength !== 0)
    .map((end) => ({ start: end - 1, stop: end }))
  if (capacity !== known.diskSize) wanted.push({ start: Math.min(capacity, known.diskSize) - 1, stop: capacity })
  wanted.sort((one, other) => one.start - other.start)
  const runs = new RunMap()
  let end = 0
  const add = ({ start, stop }: Run): void => {
    const first = Math.max(end, roundDown(start, blockLength))
    end = Math.max(end, Math.min(capacity, roundUp(stop, blockLength)))
    if (end > first) runs.add(first, end - first)
  }
  for (const run of runsOf(listed, capacity)) {
    while (wanted[0] !== undefined && wanted[0].start < run.start) add(wanted.shift() ?? run)
    add(run)
  }
  for (const run of wanted) add(run)
  return runs
}

/** Of bytes. */
interface Run {
  readonly start: number
  readonly stop: number
}

function* runsOf(map: RunMap, capacity: number): Generator<Run> {
  for (let offset = 0; offset < capacity;) {
    const { inRun, end } = map.at(offset)
    const stop = Math.min(end, capacity)
    if (inRun) yield { start: offset, stop }
    offset = stop
  }
}

/**
 * Reads some blocks that are not listed. @returns how many. @throws ImageError refused E_BITMAP_INCOMPLETE where one is
 * not what it was.
 */
function assertSame(name: string, runs: RunMap, question: Question, known: KnownBlocks): number {
  const { disk, since, partitions } = question
  const { blockLength: length } = known
  // Where filesystems write whenever they are used.
  const places = [0, ...partitions.map(({ start }) => start)].filter((offset) => !runs.at(offset).inRun)
  const sample = new Set([...places.map((offset) => roundDown(offset, length)), ...sampleOf(runs, disk, known)])
  const block = new Uint8Array(length)
  for (const offset of [...sample].sort((one, other) => one - other)) {
    const bytes = block.subarray(0, Math.min(length, disk.capacity - offset))
    disk.read(offset, bytes)
    if (Buffer.compare(partDigests(bytes, length), known.digests(offset, 1, disk.capacity)) === 0) continue
    throw refused(
      'E_BITMAP_INCOMPLETE',
      `${name} does not list the block at offset ${offset}, which is not what it was in ${printable(since.path)}: ` +
        'the bitmap was begun later, or the disk is written to while it is read',
      {
        hint: 'Leave out --changed: all of the disk is read then, and compared by its digests.',
        details: { offset },
      },
    )
  }
  return sample.size
}

/** Blocks that are not listed, each as likely as the others of its kind. */
function sampleOf(runs: RunMap, { capacity }: BlockSource, known: KnownBlocks): number[] {
  const { blockLength: length } = known
  const [data, zeros] = [new Reservoir(sampledData, length), new Reservoir(sampledZeros, length)]
  for (let offset = 0; offset < Math.min(capacity, known.diskSize);) {
    const { inRun, end } = runs.at(offset)
    if (inRun) {
      offset = roundUp(end, length)
      continue
    }
    const run = known.runAt(offset)
    const stop = Math.min(run.end, end, capacity)
    const kind = run.zero ? zeros : data
    kind.add(offset, Math.ceil((stop - offset) / length))
    offset = roundUp(stop, length)
  }
  return [...data.offsets, ...zeros.offsets]
}

/** Chooses some of many blocks, whose number is not known beforehand. */
class Reservoir {
  readonly offsets: number[] = []
  readonly #size: number
  readonly #length: number
  #seen = 0

  /** @param length bytes of a block. */
  constructor(size: number, length: number) {
    this.#size = size
    this.#length = length
  }

  add(offset: number, count: number): void {
    for (let index = 0; index < count; index++) {
      const place = this.#seen++ < this.#size ? this.offsets.length : Math.floor(Math.random() * this.#seen)
      if (place < this.#size) this.offsets[place] = offset + index * this.#length
    }
  }
}
