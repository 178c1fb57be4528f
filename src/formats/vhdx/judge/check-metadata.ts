import type { ByteStore } from '../../../block/types.js'
import { printable } from '../../../errors.js'
import type { Finding } from '../../driver.js'
import { reservedFinding } from './check-headers.js'
import type { Metadata } from '../format/metadata.js'
import type { Area } from '../format/regions.js'
import { itemGuids, locatorHeader, metadataEntry, metadataTableHeader, nilUuid, tableSize } from '../format/structs.js'

/**
 * What each item of the specification is, how many bytes it has (the parent locator: any number), and its IsVirtualDisk
 * and IsRequired (MS-VHDX 2.6.2).
 */
const known: ReadonlyMap<string, { readonly name: string; readonly length?: number; readonly flags: bigint }> = new Map(
  [
    [itemGuids.fileParameters, { name: 'file parameters', length: 8, flags: 4n }],
    [itemGuids.virtualDiskSize, { name: 'virtual disk size', length: 8, flags: 6n }],
    [itemGuids.virtualDiskId, { name: 'virtual disk id', length: 16, flags: 6n }],
    [itemGuids.logicalSectorSize, { name: 'logical sector size', length: 4, flags: 6n }],
    [itemGuids.physicalSectorSize, { name: 'physical sector size', length: 4, flags: 6n }],
    [itemGuids.parentLocator, { name: 'parent locator', flags: 4n }],
  ],
)
const locatorKeys: readonly string[] = [
  'parent_linkage',
  'parent_linkage2',
  'relative_path',
  'volume_path',
  'absolute_win32_path',
]

/** The metadata table and what its items say; what makes a disk unreadable was refused when the image was opened. */
export function* checkMetadata(store: ByteStore, region: Area, metadata: Metadata): Generator<Finding> {
  const table = new Uint8Array(tableSize)
  store.read(region.position, table)
  const { reserved, entryCount } = metadataTableHeader.read(table)
  if (reserved !== 0) yield reservedFinding('metadata table', region.position + 8)
  const strayHeader = table.subarray(12, metadataTableHeader.size).findIndex((byte) => byte !== 0)
  if (strayHeader >= 0) yield reservedFinding('metadata table', region.position + 12 + strayHeader)
  for (let index = 0; index < entryCount; index++) {
    const at = metadataTableHeader.size + index * metadataEntry.size
    const entry = metadataEntry.read(table, at)
    const position = region.position + at
    const item = entry.flags % 2n === 1n ? undefined : known.get(entry.itemId)
    const structure = `metadata entry ${index} (${item?.name ?? entry.itemId})`
    if (entry.flags >= 8n) yield reservedFinding(structure, position + 24)
    if (entry.reserved !== 0) yield reservedFinding(structure, position + 28)
    if (item === undefined) continue
    if (entry.flags % 8n !== item.flags)
      yield {
        severity: 'warning',
        code: 'W_META_FLAGS',
        structure,
        position: position + 24,
        message:
          `its flags are 0x${entry.flags.toString(16)}, by the specification they are ` +
          `0x${item.flags.toString(16)}`,
      }
    if (item.length !== undefined && entry.length !== item.length)
      yield {
        severity: 'warning',
        code: 'W_META_LENGTH',
        structure,
        position: position + 20,
        message: `it has ${entry.length} bytes, by the specification ${item.length}`,
      }
    if (entry.itemId === itemGuids.parentLocator) yield* checkLocator(store, region.position + entry.offset, metadata)
  }
  // Behind the last entry Windows leaves what stood there before.
  if (metadata.virtualDiskId === nilUuid)
    yield {
      severity: 'warning',
      code: 'W_DISK_ID_ZERO',
      structure: 'virtual disk id',
      message: 'it is all zero: guests cannot recognise the disk',
    }
  if (metadata.physicalSectorSize < metadata.logicalSectorSize) {
    yield {
      severity: 'warning',
      code: 'W_SECTOR_SIZES',
      structure: 'physical sector size',
      message:
        `it is ${metadata.physicalSectorSize}, less than the logical sector size of ` + `${metadata.logicalSectorSize}`,
    }
  }
}

function* checkLocator(store: ByteStore, position: number, { parentLocator: locator }: Metadata): Generator<Finding> {
  if (locator === undefined) return
  const bytes = new Uint8Array(locatorHeader.size)
  store.read(position, bytes)
  const structure = 'parent locator'
  if (locatorHeader.read(bytes).reserved !== 0) yield reservedFinding(structure, position + 16)
  for (const key of locator.entries.keys()) {
    if (!locatorKeys.includes(key))
      yield {
        severity: 'warning',
        code: 'W_PARENT_LOCATOR_KEY',
        structure,
        position,
        message: `the key "${printable(key)}" is unknown`,
      }
  }
  if (locator.linkages[0] === nilUuid)
    yield {
      severity: 'error',
      code: 'E_PARENT_ID',
      structure,
      position,
      message: 'parent_linkage is all zero: no file can be verified as the parent',
    }
  if (locator.linkages.length > 1)
    yield {
      severity: 'warning',
      code: 'W_PARENT_LINKAGE2',
      structure,
      position,
      message:
        `there is a second parent_linkage (${locator.linkages[1] ?? ''}): a merge into the parent was ` +
        'begun and not finished',
    }
}
