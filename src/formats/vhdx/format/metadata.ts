import { safeNumber } from '../../../binary/integers.js'
import type { FieldRow } from '../../../binary/struct.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, unsupported } from '../../../errors.js'
import { isBlockSize } from './layout.js'
import { parseParentLocator } from './parent-locator.js'
import type { ParentLocator } from './parent-locator.js'
import type { Area } from './regions.js'
import {
  fileParameters,
  itemGuids,
  maximumCapacity,
  maximumTableEntries,
  mebibyte,
  metadataEntry,
  metadataSignature,
  metadataTableHeader,
  prefixed,
  sectorSizeItem,
  tableSize,
  virtualDiskId,
  virtualDiskSize,
} from './structs.js'

/** What the metadata region says of the disk (MS-VHDX 2.6). Sizes are bytes. */
export interface Metadata {
  readonly blockSize: number
  readonly leaveBlocksAllocated: boolean
  readonly hasParent: boolean
  readonly capacity: number
  /** The byte of the file where the virtual disk size stands. */
  readonly capacityPosition: number
  readonly virtualDiskId: string
  readonly logicalSectorSize: 512 | 4096
  readonly physicalSectorSize: 512 | 4096
  readonly parentLocator: ParentLocator | undefined
  readonly rows: () => FieldRow[]
}

interface Item {
  readonly guid: string
  readonly user: boolean
  readonly offset: number
  readonly length: number
  readonly at: number
}

const maximumItemLength = mebibyte
const maximumUserItems = 1024
const knownItems: readonly string[] = Object.values(itemGuids)

/**
 * Reads the metadata table and every item this reader knows. @throws ImageError E_META_…, E_BLOCK_SIZE, E_SECTOR,
 * E_SIZE, E_PARENT_LOCATOR, E_UNSUPPORTED_FEATURE
 */
export function readMetadata(store: ByteStore, region: Area, notes: Note[]): Metadata {
  const table = new Uint8Array(tableSize)
  if (region.position + tableSize > store.size) {
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: the metadata region at byte ${region.position} passes the end of the file at ${store.size}`,
      { details: { position: region.position, size: store.size } },
    )
  }
  store.read(region.position, table)
  const items = readItems(store, region, table)
  const payload = (guid: string, length: number, what: string): Uint8Array => {
    const item = items.find((candidate) => candidate.guid === guid && !candidate.user)
    if (item === undefined)
      throw corrupt(
        'E_META_MISSING',
        `${store.name}: the metadata at byte ${region.position} has no ${what} (${guid})`,
        { details: { position: region.position, guid } },
      )
    if (item.length < length)
      throw corrupt(
        'E_META_RANGE',
        `${store.name}: the ${what} item is ${item.length} bytes long (entry at byte ` +
          `${region.position + item.at}), ${length} were expected`,
        { details: { position: region.position + item.at } },
      )
    return contents(store, region, item)
  }
  const where = (guid: string): number =>
    region.position + (items.find((item) => item.guid === guid && !item.user)?.offset ?? 0)

  const parameterBytes = payload(itemGuids.fileParameters, fileParameters.size, 'file parameters')
  const parameters = fileParameters.read(parameterBytes)
  if (!isBlockSize(parameters.blockSize)) {
    throw corrupt(
      'E_BLOCK_SIZE',
      `${store.name}: block size ${parameters.blockSize} at byte ${where(itemGuids.fileParameters)}: a power ` +
        'of two from 1 to 256 MiB was expected',
      { details: { position: where(itemGuids.fileParameters), blockSize: parameters.blockSize } },
    )
  }
  if (parameters.flags >= 4n)
    notes.push({
      code: 'W_RESERVED_BITS',
      message:
        `reserved bits of the file parameters at byte ${where(itemGuids.fileParameters)} are set ` +
        `(0x${parameters.flags.toString(16)}); ignored`,
    })
  const hasParent = (parameters.flags / 2n) % 2n === 1n

  const sizeBytes = payload(itemGuids.virtualDiskSize, virtualDiskSize.size, 'virtual disk size')
  const idBytes = payload(itemGuids.virtualDiskId, virtualDiskId.size, 'virtual disk id')
  const sectorSizes = (['logicalSectorSize', 'physicalSectorSize'] as const).map((name) => {
    const bytes = payload(
      itemGuids[name],
      sectorSizeItem.size,
      name === 'logicalSectorSize' ? 'logical sector size' : 'physical sector size',
    )
    return {
      name,
      bytes,
      size: sectorSizeOf(store, sectorSizeItem.read(bytes).sectorSize, where(itemGuids[name]), name),
    }
  })
  const [logical, physical] = sectorSizes as [(typeof sectorSizes)[0], (typeof sectorSizes)[0]]
  const capacity = safeNumber(
    virtualDiskSize.read(sizeBytes).size,
    `${store.name}: the virtual disk size at byte ${where(itemGuids.virtualDiskSize)}`,
  )
  if (capacity > maximumCapacity || capacity % logical.size !== 0) {
    throw corrupt(
      'E_DISK_SIZE',
      `${store.name}: virtual disk size ${capacity} at byte ${where(itemGuids.virtualDiskSize)}: a multiple ` +
        `of the logical sector (${logical.size}) up to 64 TiB was expected`,
      { details: { position: where(itemGuids.virtualDiskSize), capacity } },
    )
  }

  const locatorItem = items.find((item) => item.guid === itemGuids.parentLocator && !item.user)
  if (hasParent && locatorItem === undefined) {
    throw corrupt(
      'E_PARENT_LOCATOR',
      `${store.name}: the disk has a parent (flag at byte ${where(itemGuids.fileParameters) + 4}) but no ` +
        'parent locator says which',
      { details: { position: region.position } },
    )
  }
  if (!hasParent && locatorItem !== undefined)
    notes.push({
      code: 'W_PARENT_LOCATOR_UNUSED',
      message:
        `there is a parent locator at byte ${region.position + locatorItem.offset}, but the disk has no ` +
        'parent by its file parameters; ignored',
    })
  const parentLocator =
    hasParent && locatorItem !== undefined
      ? parseParentLocator(
          contents(store, region, locatorItem),
          `${store.name}: parent locator at byte ${region.position + locatorItem.offset}`,
          region.position + locatorItem.offset,
        )
      : undefined

  const rows = (): FieldRow[] => [
    ...prefixed('', metadataTableHeader.rows(table, region.position)),
    ...items.flatMap((item, index) =>
      prefixed(`entry${index}`, metadataEntry.rows(table.subarray(item.at), region.position + item.at)),
    ),
    ...prefixed('fileParameters', fileParameters.rows(parameterBytes, where(itemGuids.fileParameters))),
    ...prefixed('virtualDiskSize', virtualDiskSize.rows(sizeBytes, where(itemGuids.virtualDiskSize))),
    ...prefixed('virtualDiskId', virtualDiskId.rows(idBytes, where(itemGuids.virtualDiskId))),
    ...sectorSizes.flatMap(({ name, bytes }) => prefixed(name, sectorSizeItem.rows(bytes, where(itemGuids[name])))),
    ...(parentLocator?.rows() ?? []),
  ]
  return {
    blockSize: parameters.blockSize,
    leaveBlocksAllocated: parameters.flags % 2n === 1n,
    hasParent,
    capacity,
    capacityPosition: where(itemGuids.virtualDiskSize),
    virtualDiskId: virtualDiskId.read(idBytes).id,
    logicalSectorSize: logical.size,
    physicalSectorSize: physical.size,
    parentLocator,
    rows,
  }
}

function sectorSizeOf(store: ByteStore, value: number, position: number, name: string): 512 | 4096 {
  if (value !== 512 && value !== 4096)
    throw corrupt('E_SECTOR', `${store.name}: ${name} ${value} at byte ${position}: 512 or 4096 was expected`, {
      details: { position, value },
    })
  return value
}

/** The table's entries, each checked; those of unknown GUID that may be ignored are among them. */
function readItems(store: ByteStore, region: Area, table: Uint8Array): Item[] {
  const { signature, entryCount } = metadataTableHeader.read(table)
  if (signature !== metadataSignature)
    throw corrupt(
      'E_META_TABLE',
      `${store.name}: "${metadataSignature}" was expected at byte ${region.position}, where the metadata region begins`,
      { details: { position: region.position } },
    )
  if (entryCount > maximumTableEntries)
    throw corrupt(
      'E_META_TABLE',
      `${store.name}: ${entryCount} metadata entries at byte ${region.position}, at most ` +
        `${maximumTableEntries} are possible`,
      { details: { position: region.position, entryCount } },
    )
  const items: Item[] = []
  const seen = new Set<string>()
  for (let index = 0; index < entryCount; index++) {
    const at = metadataTableHeader.size + index * metadataEntry.size
    const entry = metadataEntry.read(table, at)
    const user = entry.flags % 2n === 1n
    const details = { position: region.position + at, guid: entry.itemId }
    const what = `metadata item ${entry.itemId} (entry at byte ${region.position + at})`
    if ((entry.flags / 4n) % 2n === 1n && (user || !knownItems.includes(entry.itemId))) {
      throw unsupported('E_UNSUPPORTED_FEATURE', `${store.name}: ${what} is required to read the disk and unknown`, {
        details,
      })
    }
    const key = `${entry.itemId} ${user}`
    if (seen.has(key)) throw corrupt('E_META_DUP', `${store.name}: ${what} occurs twice`, { details })
    seen.add(key)
    const empty = entry.length === 0 && entry.offset === 0
    if (
      !empty &&
      (entry.offset < tableSize || entry.length > maximumItemLength || entry.offset + entry.length > region.length)
    ) {
      throw corrupt(
        'E_META_RANGE',
        `${store.name}: ${what} has offset ${entry.offset} and length ${entry.length}: from ${tableSize} on, ` +
          `at most 1 MiB, inside the region of ${region.length} bytes was expected`,
        { details },
      )
    }
    items.push({ guid: entry.itemId, user, offset: entry.offset, length: entry.length, at })
  }
  if (items.filter((item) => item.user).length > maximumUserItems) {
    throw corrupt(
      'E_META_TABLE',
      `${store.name}: more than ${maximumUserItems} user metadata items at byte ${region.position}`,
      { details: { position: region.position } },
    )
  }
  const sorted = items.filter((item) => item.length > 0).sort((left, right) => left.offset - right.offset)
  for (const [index, item] of sorted.entries()) {
    const next = sorted[index + 1]
    if (next !== undefined && item.offset + item.length > next.offset) {
      throw corrupt(
        'E_META_RANGE',
        `${store.name}: metadata items ${item.guid} and ${next.guid} overlap at byte ${region.position + next.offset}`,
        { details: { position: region.position + next.offset } },
      )
    }
  }
  return items
}

function contents(store: ByteStore, region: Area, item: Item): Uint8Array {
  const position = region.position + item.offset
  if (position + item.length > store.size)
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: metadata item ${item.guid} at byte ${position} passes the end of the file at ${store.size}`,
      { details: { position, size: store.size } },
    )
  const bytes = new Uint8Array(item.length)
  store.read(position, bytes)
  return bytes
}
