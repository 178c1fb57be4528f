import type { Work } from '../../../block/work.js'
import { randomUuid } from '../../../sys/random-uuid.js'
import { PatchedStore } from '../../../block/patched-store.js'
import type { ByteStore } from '../../../block/types.js'
import type { OpenContext, RepairAction } from '../../driver.js'
import { BlockTable } from '../format/bat.js'
import { EntryTable, payloadState } from '../format/entries.js'
import { readCandidate, readHeader } from '../format/header.js'
import { HeaderWriter } from '../format/header-writer.js'
import { geometryOf, payloadIndex, type Geometry } from '../format/layout.js'
import { replayLog } from '../format/log.js'
import { readMetadata } from '../format/metadata.js'
import { readCopy, readRegions, type Area } from '../format/regions.js'
import { replayIntoFile } from '../format/replay.js'
import { headerPositions, mebibyte, nilUuid, regionTablePositions } from '../format/structs.js'
import { readVhdxFile } from '../format/structures.js'

/**
 * Mends a VHDX where something else proves what is right: a header from the other one, the log replayed into the file,
 * a region table from
 * its copy, places named for blocks that have none, a file that does not end at a whole MiB. Places of blocks are never
 * guessed. With the
 * option `ignore-log` a log that cannot be replayed is emptied, its changes lost.
 * @throws ImageError as opening does, where nothing can be made of the file.
 */
export function* repairVhdx(file: ByteStore, context: OpenContext): Work<void, RepairAction> {
  // Nothing is touched unless the image opens.
  refuseUnusable(file, context)
  yield* repairHeaders(file)
  yield* repairLog(file, context.options['ignore-log'] === true)
  yield* repairRegionTables(file)
  const session = new Session(file)
  yield* clearPlaces(file, session)
  yield* completeMebibyte(file, session)
}

function refuseUnusable(file: ByteStore, context: OpenContext): void {
  // The image is not closed: the store stays the caller's. It cannot be written through this one.
  readVhdxFile(new PatchedStore(file, [], file.size), context)
}

/** Marks the file as changed before the first change (MS-VHDX 2.2.2: FileWriteGuid). */
class Session {
  readonly #file: ByteStore
  #begun = false

  constructor(file: ByteStore) {
    this.#file = file
  }

  begin(): void {
    if (this.#begun) return
    this.#begun = true
    new HeaderWriter(this.#file, readHeader(this.#file, [])).update({ fileWriteGuid: randomUuid() })
  }
}

function* repairHeaders(file: ByteStore): Generator<RepairAction> {
  const damaged = headerPositions.findIndex((position) => readCandidate(file, position).fault !== undefined)
  if (damaged < 0) return
  // Written over first; the good one follows when this one is durable.
  new HeaderWriter(file, readHeader(file, [])).update({ fileWriteGuid: randomUuid() })
  const position = headerPositions[damaged] ?? 0
  yield {
    code: 'E_HEADER_INVALID',
    structure: `header ${damaged + 1}`,
    position,
    message: `write the header from the other one, at byte ${headerPositions[1 - damaged] ?? 0}`,
  }
}

function* repairLog(file: ByteStore, ignore: boolean): Generator<RepairAction> {
  const header = readHeader(file, [])
  if (!header.dirty) return
  const at = { structure: 'log', position: header.logOffset }
  if (ignore) {
    new HeaderWriter(file, header).update({ fileWriteGuid: randomUuid(), logGuid: nilUuid })
    yield { code: 'W_LOG_IGNORED', ...at, message: 'empty the log; the changes in it are lost, as was asked for' }
    return
  }
  const replay = replayLog(file, header.logOffset, header.logLength, header.values.logGuid)
  if (replay === undefined) return
  replayIntoFile(file, header, replay)
  yield {
    code: 'W_LOG_REPLAYED',
    ...at,
    message:
      `bring what the log holds into the file and empty it (entries: ${replay.entries}, sectors of 4 ` +
      `KiB: ${replay.dataSectors}, zero ranges: ${replay.zeroRanges})`,
  }
}

function* repairRegionTables(file: ByteStore): Generator<RepairAction> {
  const copies = regionTablePositions.map((position) => readCopy(file, position))
  const good = copies.find(({ fault }) => fault === undefined)
  const bad = copies.findIndex(({ fault }) => fault !== undefined)
  const damaged = copies[bad]
  if (good === undefined || damaged === undefined) return
  new Session(file).begin()
  file.write(damaged.position, good.bytes)
  file.flush()
  yield {
    code: bad === 0 ? 'E_REGION_TABLE_COPY_USED' : 'E_REGION_TABLE_INVALID',
    structure: `region table ${bad + 1}`,
    position: damaged.position,
    message: `write the region table from the other one, at byte ${good.position}`,
  }
}

/**
 * Entries of blocks that are zero or not present must name no place: Hyper-V refuses the disk. What such a block reads
 * as stays.
 */
function* clearPlaces(file: ByteStore, session: Session): Work<void, RepairAction> {
  const { table, geometry, position } = openTable(file)
  let done = 0
  for (const { kind, piece, slot: start, count, first } of table.runs()) {
    done += count
    if (kind === 'bitmap' || piece.empty) continue
    let cleared = 0
    for (let at = 0; at < count; at++) {
      const state = piece.state(start + at)
      if ((state !== payloadState.notPresent && state !== payloadState.zero) || piece.position(start + at) === 0)
        continue
      session.begin()
      const entry = new Uint8Array(8)
      new EntryTable(entry).set(0, state, 0)
      file.write(position + payloadIndex(geometry, first + at) * 8, entry)
      cleared++
    }
    if (cleared > 0) {
      file.flush()
      yield {
        code: 'W_BAT_STALE_POSITION',
        structure: `BAT entries ${payloadIndex(geometry, first)} to ${payloadIndex(geometry, first + count - 1)}`,
        position: position + payloadIndex(geometry, first) * 8,
        message: `clear the places named by entries of blocks that have none: ${cleared}`,
      }
    }
    yield { done, total: geometry.tableEntries }
  }
}

function openTable(file: ByteStore): {
  table: BlockTable
  geometry: Geometry
  position: number
  areas: readonly Area[]
} {
  const { bat, metadata: region, regions } = readRegions(file, [])
  const { logOffset, logLength } = readHeader(file, [])
  const metadata = readMetadata(file, region, [])
  const geometry = geometryOf(metadata.capacity, metadata.blockSize, metadata.logicalSectorSize, metadata.hasParent)
  return {
    table: new BlockTable(file, bat, geometry, []),
    geometry,
    position: bat.position,
    areas: [...regions, { name: 'log', position: logOffset, length: logLength }],
  }
}

/**
 * Makes the file end at a whole MiB: a longer one where the end of a block or structure is missing that the disk does
 * not show (what it
 * shows is not made up), a shorter one where the rest belongs to nothing.
 */
function* completeMebibyte(file: ByteStore, session: Session): Generator<RepairAction> {
  const { size } = file
  const start = size - (size % mebibyte)
  if (start === size) return
  const { table, geometry, areas } = openTable(file)
  let used = areas.some(({ position, length }) => position + length > start && position < size)
  for (const { kind, piece, slot, count, first } of table.runs()) {
    if (piece.empty) continue
    for (let at = 0; at < count; at++) {
      if (piece.state(slot + at) < payloadState.fullyPresent) continue
      const position = piece.position(slot + at)
      if (position >= size || position + (kind === 'payload' ? geometry.blockSize : mebibyte) <= start) continue
      if ((kind === 'payload' ? table.placeProblem(first + at, position) : table.bitmapProblem(position)) !== undefined)
        return
      used = true
    }
  }
  session.begin()
  file.truncate(used ? start + mebibyte : start)
  file.flush()
  yield {
    code: 'W_TRAILING_PARTIAL_MIB',
    structure: 'file',
    position: size,
    message: used
      ? `make the file ${start + mebibyte - size} bytes longer, up to a whole MiB`
      : `cut off the last ${size - start} bytes, which are no whole MiB and belong to nothing`,
  }
}
