import { hex32 } from '../../../binary/hex.js'
import { crc32c } from '../../../binary/checksum.js'
import { safeNumber } from '../../../binary/integers.js'
import type { FieldRow } from '../../../binary/struct.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, unsupported } from '../../../errors.js'
import {
  maximumTableEntries,
  mebibyte,
  prefixed,
  regionEntry,
  regionGuids,
  regionSignature,
  regionTableHeader,
  regionTablePositions,
  tableSize,
} from './structs.js'

/** A range of the file that something other than payload occupies. Bytes. */
export interface Area {
  readonly name: string
  readonly position: number
  readonly length: number
}

export interface RegionTable {
  readonly bat: Area
  readonly metadata: Area
  /** All regions, those of unknown GUID too: payload may lie in none of them. */
  readonly regions: readonly Area[]
  /** Which copy was read: the position of the table. */
  readonly position: number
  readonly rows: () => FieldRow[]
}

/**
 * Reads the region table, from the second copy when the first is damaged (MS-VHDX 2.2.3). @throws ImageError E_REGION…,
 * E_UNSUPPORTED_FEATURE
 */
export function readRegions(store: ByteStore, notes: Note[]): RegionTable {
  const copies = regionTablePositions.map((position) => readCopy(store, position))
  const used = copies.find((copy) => copy.fault === undefined)
  if (used === undefined) {
    throw corrupt(
      'E_REGION_CRC',
      `${store.name}: neither region table is usable ` +
        `(${copies.map((copy) => `byte ${copy.position}: ${copy.fault ?? ''}`).join('; ')})`,
      { details: { position: regionTablePositions[0] } },
    )
  }
  for (const copy of copies) {
    if (copy.fault !== undefined) {
      notes.push({
        code: copy.position < used.position ? 'W_REGION_TABLE_COPY_USED' : 'W_REGION_TABLE_INVALID',
        message:
          `the region table at byte ${copy.position} is unusable (${copy.fault}); the one at byte ` +
          `${used.position} is used`,
      })
    } else if (Buffer.compare(copy.bytes, used.bytes) !== 0) {
      notes.push({
        code: 'W_REGION_TABLES_DIFFER',
        message: `the region tables at bytes ${used.position} and ${copy.position} differ; the first is used`,
      })
    }
  }
  return interpret(store, used.bytes, used.position)
}

/** One of the two region tables; `fault` says why it is unusable. */
export function readCopy(
  store: ByteStore,
  position: number,
): { position: number; bytes: Uint8Array; fault: string | undefined } {
  const bytes = new Uint8Array(tableSize)
  store.read(position, bytes)
  const { signature, checksum, entryCount } = regionTableHeader.read(bytes)
  let fault: string | undefined
  if (signature !== regionSignature) fault = `no "${regionSignature}" signature`
  else {
    const computed = crc32c(regionTableHeader.without('checksum', bytes, tableSize))
    if (computed !== checksum) fault = `checksum 0x${hex32(checksum)}, computed 0x${hex32(computed)}`
    else if (entryCount > maximumTableEntries)
      fault = `${entryCount} entries, at most ${maximumTableEntries} are possible`
  }
  return { position, bytes, fault }
}

function interpret(store: ByteStore, table: Uint8Array, tablePosition: number): RegionTable {
  const { entryCount } = regionTableHeader.read(table)
  const regions: Area[] = []
  let bat: Area | undefined
  let metadata: Area | undefined
  for (let index = 0; index < entryCount; index++) {
    const at = regionTableHeader.size + index * regionEntry.size
    const entry = regionEntry.read(table, at)
    const where = `region ${index} (${entry.guid}) of the table at byte ${tablePosition}`
    const details = { position: tablePosition + at, guid: entry.guid }
    const known = entry.guid === regionGuids.bat ? 'BAT' : entry.guid === regionGuids.metadata ? 'metadata' : undefined
    // QEMU leaves Required clear for the two known regions, so it is only asked of unknown ones.
    if (known === undefined && entry.required % 2n === 1n) {
      throw unsupported('E_UNSUPPORTED_FEATURE', `${store.name}: ${where} is required to read the disk and unknown`, {
        details,
      })
    }
    const position = safeNumber(entry.fileOffset, `${store.name}: FileOffset of ${where}`)
    if (position % mebibyte !== 0 || position < mebibyte || entry.length % mebibyte !== 0 || entry.length === 0) {
      throw corrupt(
        'E_ALIGN',
        `${store.name}: ${where} lies at byte ${position} with length ${entry.length}: whole MiB, from 1 MiB ` +
          'on, were expected',
        { details },
      )
    }
    const area = {
      name: known === undefined ? `region ${entry.guid}` : `${known} region`,
      position,
      length: entry.length,
    }
    if (known === 'BAT') bat = bat === undefined ? area : twice(store, where, details)
    if (known === 'metadata') metadata = metadata === undefined ? area : twice(store, where, details)
    regions.push(area)
  }
  if (bat === undefined || metadata === undefined) {
    throw corrupt(
      'E_REGION',
      `${store.name}: the region table at byte ${tablePosition} has no ` +
        `${bat === undefined ? 'BAT' : 'metadata'} region`,
      { details: { position: tablePosition } },
    )
  }
  const rows = (): FieldRow[] => [
    ...prefixed('', regionTableHeader.rows(table, tablePosition)),
    ...regions.flatMap((_, index) => {
      const at = regionTableHeader.size + index * regionEntry.size
      return prefixed(`entry${index}`, regionEntry.rows(table.subarray(at), tablePosition + at))
    }),
  ]
  return { bat, metadata, regions, position: tablePosition, rows }
}

function twice(store: ByteStore, where: string, details: { position: number; guid: string }): never {
  throw corrupt('E_REGION', `${store.name}: ${where} is the second of its kind`, { details })
}

/** @throws ImageError corrupt E_OVERLAP where two areas share bytes. */
export function refuseOverlaps(store: ByteStore, areas: readonly Area[]): void {
  const sorted = areas.filter((area) => area.length > 0).sort((left, right) => left.position - right.position)
  for (const [index, area] of sorted.entries()) {
    const next = sorted[index + 1]
    if (next !== undefined && area.position + area.length > next.position) {
      throw corrupt(
        'E_OVERLAP',
        `${store.name}: the ${area.name} at bytes ${area.position} to ${area.position + area.length} overlaps ` +
          `the ${next.name} at byte ${next.position}`,
        { details: { position: next.position } },
      )
    }
  }
}
