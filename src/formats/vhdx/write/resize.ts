import type { BlockSource } from '../../../block/types.js'
import type { BlockWriter } from './block-writer.js'
import { EntryTable, payloadState } from '../format/entries.js'
import { batLength, bitmapIndex, geometryOf, payloadIndex } from '../format/layout.js'
import type { Geometry } from '../format/layout.js'
import { moveBatRegion } from './region-writer.js'
import { mebibyte, virtualDiskSize } from '../format/structs.js'
import type { WriteSession } from './write-session.js'

/** Entries that are changed between two commits: 128 sectors of them. */
const entriesAtOnce = 65536

/**
 * Gives the disk another capacity, which is one log entry: a crash leaves the old one or the new one. What the disk
 * gains reads as zero;
 * what it loses is lost. The session has begun. @param capacity bytes, whole sectors.
 */
export function resizeDisk(
  session: WriteSession,
  blocks: BlockWriter,
  capacity: number,
  parent: BlockSource | undefined,
): void {
  session.commit()
  const { geometry } = session.layer.structures
  const next = geometryOf(capacity, geometry.blockSize, geometry.sectorSize, geometry.differencing)
  if (capacity > geometry.capacity) grow(session, blocks, next, parent)
  else shrink(session, next)
}

function grow(session: WriteSession, blocks: BlockWriter, next: Geometry, parent: BlockSource | undefined): void {
  const { geometry: before, regions, metadata } = session.layer.structures
  const needed = next.tableEntries * 8
  const length = needed > regions.bat.length ? batLength(next) : regions.bat.length
  const position = needed > regions.bat.length ? moveTable(session, before, length) : regions.bat.position
  // A table that was longer once, or is written by somebody else, may hold anything behind its end.
  clearEntries(session, position, next, before.payloadBlocks)
  fillEntries(session, position, before, next, parent)

  if (position !== regions.bat.position) moveBatRegion(session.journal, regions, position, length)
  session.journal.write(metadata.capacityPosition, virtualDiskSize.write({ size: BigInt(next.capacity) }))
  // Uncommitted, so visible only here: the rest of the block in which the disk ended.
  session.reload()
  const within = before.capacity % before.blockSize
  if (within > 0) {
    const block = before.payloadBlocks - 1
    blocks.zero(block, within, Math.min(before.blockSize, next.capacity - block * before.blockSize) - within)
  }
  session.commit()
  if (position === regions.bat.position) return
  session.settle()
  session.space.release(regions.bat.position, regions.bat.length)
  session.space.reuse()
}

function shrink(session: WriteSession, next: Geometry): void {
  const {
    table,
    structures: { geometry: before, regions, metadata },
  } = session.layer
  const bitmaps: number[] = []
  table.eachPlace((kind, index, position) => {
    if (kind === 'payload' && index >= next.payloadBlocks) session.space.release(position, before.blockSize)
    if (kind === 'bitmap' && index >= next.chunks) bitmaps.push(position)
  })
  // With the size, in one log entry, goes as much of the table as it takes; what is left of it for another means
  // nothing.
  session.journal.write(metadata.capacityPosition, virtualDiskSize.write({ size: BigInt(next.capacity) }))
  clearEntries(session, regions.bat.position, before, next.payloadBlocks)
  session.commit()
  session.reload()
  if (bitmaps.length === 0) return
  // They were in the log perhaps.
  session.settle()
  for (const position of bitmaps) session.space.release(position, mebibyte)
  session.space.reuse()
}

/** A copy of the table where there is room for a longer one. Nothing refers to it yet. @returns its position */
function moveTable(session: WriteSession, geometry: Geometry, length: number): number {
  const place = session.space.allocate(length)
  const old = session.layer.structures.regions.bat.position
  const used = geometry.tableEntries * 8
  for (let at = 0; at < used; at += mebibyte) {
    const piece = new Uint8Array(Math.min(mebibyte, used - at))
    session.journal.read(old + at, piece)
    session.file.write(place.position + at, piece)
  }
  session.space.clear(place, used, length)
  return place.position
}

/** Empties the entries of all blocks from `first` on, and of the sector bitmaps of chunks that begin there. */
function clearEntries(session: WriteSession, table: number, geometry: Geometry, first: number): void {
  const kept = first === 0 ? 0 : bitmapIndex(geometry, Math.floor((first - 1) / geometry.chunkRatio))
  const start = first === 0 ? 0 : payloadIndex(geometry, first - 1) + 1
  clear(session, table, start, Math.min(kept, geometry.tableEntries))
  clear(session, table, first === 0 ? 0 : kept + 1, geometry.tableEntries)
}

function clear(session: WriteSession, table: number, from: number, to: number): void {
  for (let at = from; at < to;) {
    const count = Math.min(to - at, entriesAtOnce)
    session.journal.write(table + at * 8, new Uint8Array(count * 8))
    at += count
    if (session.journal.pendingSectors >= 100) session.commit()
  }
}

/**
 * The entries of new blocks, where they are not empty: a fixed disk has a place for each; a child hides what its parent
 * has there.
 */
function fillEntries(
  session: WriteSession,
  table: number,
  before: Geometry,
  next: Geometry,
  parent: BlockSource | undefined,
): void {
  const fixed = session.layer.image.subformat === 'fixed'
  if (!fixed && !next.differencing) return
  const hidden = next.differencing
    ? Math.min(next.payloadBlocks, Math.ceil((parent?.capacity ?? Infinity) / next.blockSize))
    : next.payloadBlocks
  const bytes = new Uint8Array(8)
  const entry = new EntryTable(bytes)
  for (let block = before.payloadBlocks; block < hidden; block++) {
    if (fixed) {
      const place = session.space.allocate(next.blockSize)
      session.space.clear(place, 0, next.blockSize)
      entry.set(0, payloadState.fullyPresent, place.position)
    } else entry.set(0, payloadState.zero, 0)
    session.journal.write(table + payloadIndex(next, block) * 8, bytes)
    if (session.journal.pendingSectors > 128) session.commit()
  }
}
