import { PatchedStore } from '../../../block/patched-store.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt } from '../../../errors.js'
import type { OpenContext } from '../../driver.js'
import { BlockTable, type Survey } from './bat.js'
import { readHeader, type CurrentHeader } from './header.js'
import { geometryOf, type Geometry } from './layout.js'
import { replayLog, type Replay } from './log.js'
import { readMetadata, type Metadata } from './metadata.js'
import { readRegions, refuseOverlaps, type RegionTable } from './regions.js'
import { mebibyte } from './structs.js'

/** The file as the log leaves it: what the reader needs of it. */
export type ImageStore = ByteStore & Pick<PatchedStore, 'base' | 'runAt'>

/** The structures of an image that are read when it is opened. */
export interface Structures {
  readonly header: CurrentHeader
  readonly regions: RegionTable
  readonly metadata: Metadata
  readonly geometry: Geometry
  readonly survey: Survey
  readonly replay: Replay | undefined
}

/** The structures, and what they are read through. */
export interface ReadStructures {
  readonly store: ImageStore
  readonly table: BlockTable
  readonly structures: Structures
  readonly notes: Note[]
}

/**
 * Reads all structures of a file; a dirty log is replayed in memory.
 * @throws ImageError of the codes in docs: E_NOT_VHDX, E_HEADER, E_LOG_CORRUPT, E_REGION…, E_META…, E_BAT…
 */
export function readVhdxFile(file: ByteStore, context: OpenContext): ReadStructures {
  const notes: Note[] = []
  const header = readHeader(file, notes)
  const replay = header.dirty ? replayed(file, header, context.options['ignore-log'] === true, notes) : undefined
  const store = new PatchedStore(file, replay?.patches ?? [], replay?.size ?? file.size)
  return readStructures(store, header, replay, notes)
}

/** Reads all structures from a file as its log leaves it. @throws ImageError as {@link readVhdxFile}. */
export function readStructures(
  store: ImageStore,
  header: CurrentHeader,
  replay: Replay | undefined,
  notes: Note[],
): ReadStructures {
  const file = store.base
  const regions = readRegions(store, notes)
  const log = { name: 'log', position: header.logOffset, length: header.logLength }
  refuseOverlaps(store, [log, ...regions.regions])
  const metadata = readMetadata(store, regions.metadata, notes)
  const geometry = geometryOf(metadata.capacity, metadata.blockSize, metadata.logicalSectorSize, metadata.hasParent)
  const table = new BlockTable(store, regions.bat, geometry, [log, ...regions.regions])
  const survey = table.survey()
  if (survey.reservedBits > 0)
    notes.push({
      code: 'W_BAT_RESERVED_BITS',
      message: `reserved bits are set in ${survey.reservedBits} entries of the block allocation table; ignored`,
    })
  if (survey.stalePositions > 0)
    notes.push({
      code: 'W_BAT_STALE_POSITION',
      message:
        `${survey.stalePositions} entries of the block allocation table name a place in the file for a ` +
        'block that has none; ignored',
    })
  if (file.size % mebibyte !== 0)
    notes.push({
      code: 'W_TRAILING_PARTIAL_MIB',
      message: `the file's size ${file.size} is not a multiple of 1 MiB, as Hyper-V expects`,
    })
  for (const region of [regions.bat, regions.metadata]) {
    if (region.position + region.length > store.size)
      notes.push({
        code: 'W_REGION_BEYOND_END',
        message:
          `the ${region.name} at bytes ${region.position} to ${region.position + region.length} passes ` +
          `the end of the file at ${store.size}; the part in use is there`,
      })
  }
  return { store, table, structures: { header, regions, metadata, geometry, survey, replay }, notes }
}

/** The log's changes. @throws ImageError corrupt E_LOG_CORRUPT */
function replayed(file: ByteStore, header: CurrentHeader, ignore: boolean, notes: Note[]): Replay | undefined {
  const hint = 'To read the file as if its log were empty, with its last changes lost: --from-option ignore-log=true.'
  if (ignore) {
    notes.push({
      code: 'W_LOG_IGNORED',
      message: `the log at byte ${header.logOffset} may hold changes that are not in the file; it is ignored as asked`,
    })
    return undefined
  }
  const replay = replayLog(file, header.logOffset, header.logLength, header.values.logGuid)
  if (replay === undefined) {
    throw corrupt(
      'E_LOG_CORRUPT',
      `${file.name}: by the header at byte ${header.position} the log at byte ${header.logOffset} ` +
        (`(${header.logLength} bytes) holds changes that are not in the file, but it contains no complete ` +
          'sequence of entries'),
      { hint, details: { position: header.logOffset, logLength: header.logLength } },
    )
  }
  notes.push({
    code: 'W_LOG_REPLAYED',
    message:
      `the image was not closed cleanly: ${replay.entries} log entries (${replay.dataSectors} sectors of ` +
      `4 KiB, ${replay.zeroRanges} zero ranges) were applied in memory; the file is unchanged`,
  })
  return replay
}
