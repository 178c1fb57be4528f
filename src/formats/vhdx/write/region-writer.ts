import { crc32c } from '../../../binary/checksum.js'
import type { ByteStore } from '../../../block/types.js'
import type { RegionTable } from '../format/regions.js'
import { regionEntry, regionGuids, regionTableHeader, regionTablePositions, tableSize } from '../format/structs.js'

/**
 * Gives the BAT region another place, in both region tables (MS-VHDX 2.2.3). @param store the journal: both change at
 * once.
 */
export function moveBatRegion(store: ByteStore, regions: RegionTable, position: number, length: number): void {
  const table = new Uint8Array(tableSize)
  store.read(regions.position, table)
  const values = regionTableHeader.read(table)
  for (let index = 0; index < values.entryCount; index++) {
    const at = regionTableHeader.size + index * regionEntry.size
    const entry = regionEntry.read(table, at)
    if (entry.guid === regionGuids.bat)
      table.set(
        regionEntry.write({ ...entry, fileOffset: BigInt(position), length }, table.slice(at, at + regionEntry.size)),
        at,
      )
  }
  table.set(regionTableHeader.write({ ...values, checksum: 0 }))
  table.set(regionTableHeader.write({ ...values, checksum: crc32c(table) }))
  for (const copy of regionTablePositions) store.write(copy, table)
}
