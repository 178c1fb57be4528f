import { roundDown, roundUp } from '../../binary/integers.js'
import { encodeTarHeader, encodeTarNumber, tarBlock, type TarRun } from '../../binary/tar-header.js'
import { BytesSource } from '../../block/bytes-source.js'
import { ConcatenatedSource } from '../../block/concatenated.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, ByteStore, Extent } from '../../block/types.js'
import { ZeroSource } from '../../block/zero.js'
import { HostHoles } from '../../engine/index.js'

/** A file, or a folder, of an archive. */
export interface ArchiveMember {
  /** ASCII, at most 100 characters; a folder's ends with `/`. */
  readonly name: string
  /** Permission bits. */
  readonly mode: number
  readonly owner: number
  readonly group: number
  /** Undefined: a folder. Its capacity is the file's size. */
  readonly content?: BlockSource
  /** Leaves out what is not stored, by GNU's map of data (type S). */
  readonly sparse?: boolean
}

/** What GNU tar fills archives up to. */
const recordLength = 10240
/** Data of sparse members begins and ends at multiples of it, as GNU tar finds it. */
const sparseUnit = 4096
/** Runs of data in the map of one member; with more, the shortest holes are stored. */
const mostRuns = 65536
const headerEntries = 4
const extensionEntries = 21

/**
 * An archive of GNU format as one run of bytes, which can be read at any place: headers are made, content is read where
 * it lies. The members' content belongs to the caller.
 * @param time of the members, in seconds since 1970.
 */
export function tarSource(members: readonly ArchiveMember[], time: number): BlockSource {
  const pieces: BlockSource[] = []
  let length = 0
  const add = (piece: BlockSource): void => {
    pieces.push(piece)
    length += piece.capacity
  }
  const pad = (unit: number): void => {
    if (length % unit !== 0) add(new ZeroSource(unit - (length % unit), 512))
  }
  for (const member of members) {
    const { content, sparse = false } = member
    const runs = content === undefined ? [] : sparse ? dataRuns(content) : [{ offset: 0, length: content.capacity }]
    add(new BytesSource(headersOf(member, runs, time), 'the archive'))
    if (content === undefined) continue
    for (const run of runs) add(new SliceSource(content, run.offset, run.length))
    pad(tarBlock)
  }
  add(new ZeroSource(2 * tarBlock, 512))
  pad(recordLength)
  return new ConcatenatedSource(pieces, 512)
}

/** Where a disk stores something, in runs of whole units. */
function dataRuns(disk: BlockSource): readonly TarRun[] {
  for (let shortest = sparseUnit; ; shortest *= 4) {
    const runs = runsApart(disk, shortest)
    if (runs !== undefined) return runs
  }
}

/** @returns undefined where there are too many that lie so far apart. */
function runsApart(disk: BlockSource, shortest: number): readonly TarRun[] | undefined {
  const runs: { offset: number; length: number }[] = []
  const holes = new Map<ByteStore, HostHoles>()
  for (let offset = 0; offset < disk.capacity;) {
    const extent = disk.extentAt(offset, disk.capacity - offset)
    const { empty, length } = stored(extent, holes)
    const start = roundDown(offset, sparseUnit)
    const end = Math.min(roundUp(offset + length, sparseUnit), disk.capacity)
    offset += length
    if (empty) continue
    const last = runs.at(-1)
    if (last !== undefined && start - (last.offset + last.length) < shortest) last.length = end - last.offset
    else if (runs.push({ offset: start, length: end - start }) > mostRuns) return undefined
  }
  return runs
}

/** Whether a run reads as zero without being read: holes of the host's file do. */
function stored(
  extent: Extent,
  holes: Map<ByteStore, HostHoles>,
): { readonly empty: boolean; readonly length: number } {
  const { kind, length } = extent
  if (kind !== 'data') return { empty: kind !== 'packed', length }
  let known = holes.get(extent.store)
  if (known === undefined) holes.set(extent.store, (known = new HostHoles(extent.store)))
  const run = known.runAt(extent.position, length)
  return { empty: run.hole, length: run.length }
}

function headersOf(member: ArchiveMember, runs: readonly TarRun[], time: number): Uint8Array {
  const { name, mode, owner, group, content, sparse = false } = member
  const size = content?.capacity ?? 0
  const last = runs.at(-1)
  // A file that ends in a hole says so by an entry without length.
  const entries =
    sparse && (last === undefined || last.offset + last.length < size) ? [...runs, { offset: size, length: 0 }] : runs
  const header = encodeTarHeader({
    name: Buffer.from(name, 'latin1'),
    size: runs.reduce((sum, { length }) => sum + length, 0),
    time,
    mode,
    owner,
    group,
    type: content === undefined ? '5' : sparse ? 'S' : '0',
    gnu: true,
    more: (block) => {
      if (!sparse) return
      entries.slice(0, headerEntries).forEach((entry, index) => mapEntry(block, 386 + index * 24, entry))
      if (entries.length > headerEntries) block[482] = 1
      encodeTarNumber(block, 483, 12, size)
    },
  })
  const blocks = [header]
  for (let at = headerEntries; sparse && at < entries.length; at += extensionEntries) {
    const block = Buffer.alloc(tarBlock)
    entries.slice(at, at + extensionEntries).forEach((entry, index) => mapEntry(block, index * 24, entry))
    if (at + extensionEntries < entries.length) block[504] = 1
    blocks.push(block)
  }
  return Buffer.concat(blocks)
}

function mapEntry(block: Buffer, at: number, { offset, length }: TarRun): void {
  encodeTarNumber(block, at, 12, offset)
  encodeTarNumber(block, at + 12, 12, length)
}
