import type { Work } from '../../../block/work.js'
import type { Finding } from '../../driver.js'
import type { BlockTable } from '../format/bat.js'
import { checkBlocks } from './check-blocks.js'
import { checkHeaders, checkRegionTables } from './check-headers.js'
import { checkMetadata } from './check-metadata.js'
import type { ImageStore, Structures } from '../format/structures.js'

/**
 * Everything that is wrong with an opened VHDX, as its log leaves it: headers, region tables, log, metadata, BAT, and
 * who owns what of the file.
 */
export function* checkVhdx(store: ImageStore, table: BlockTable, structures: Structures): Work<void, Finding> {
  const { header, regions, metadata, geometry, replay } = structures
  yield* checkHeaders(store.base, header)
  if (replay !== undefined) {
    yield {
      severity: 'warning',
      code: 'W_LOG_REPLAYED',
      structure: 'log',
      position: header.logOffset,
      message:
        `the image was not closed cleanly: what its log holds (entries: ${replay.entries}, sectors of 4 ` +
        (`KiB: ${replay.dataSectors}, zero ranges: ${replay.zeroRanges}) is not in the file yet. Programs that ` +
          'cannot replay it read another disk, or refuse it'),
    }
  }
  yield* checkRegionTables(store)
  yield* checkMetadata(store, regions.metadata, metadata)
  const log = { name: 'log', position: header.logOffset, length: header.logLength }
  yield* checkBlocks(store, table, { geometry, bat: regions.bat, areas: [log, ...regions.regions] })
}
