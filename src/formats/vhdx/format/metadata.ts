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

/** The items of a region, by what they are. */
class Items {
  readonly list: readonly Item[]
  readonly #store: ByteStore
  readonly #region: Area

  constructor(store: ByteStore, region: Area, table: Uint8Array) {
    this.#store = store
    this.#region = region
    this.list = readItems(store, region, table)
  }

  /** The system's item of that id. */
  find(guid: string): Item | undefined {
    return this.list.find((item) => item.guid === guid && !item.user)
  }

  /** Where an item stands in the file; the region's start where it is missing. */
  position(guid: string): number {
    return this.#region.position + (this.find(guid)?.offset ?? 0)
  }

  /** The bytes of an item that must be there. @throws ImageError corrupt E_META_MISSING, E_META_RANGE */
  payload(guid: string, length: number, what: string): Uint8Array {
    const { name } = this.#store
    const { position } = this.#region
    const item = this.find(guid)
    if (item === undefined)
      throw corrupt('E_META_MISSING', `${name}: the metadata at byte ${position} has no ${what} (${guid})`, {
        details: { position, guid },
      })
    if (item.length < length)
      throw corrupt(
        'E_META_RANGE',
        `${name}: the ${what} item is ${item.length} bytes long (entry at byte ` +
          `${position + item.at}), ${length} were expected`,
        { details: { position: position + item.at } },
      )
    return contents(this.#store, this.#region, item)
  }
}

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
  const items = new Items(store, region, table)
  const parameters = readParameters(store, items, notes)
  const { hasParent } = parameters
  const sizeBytes = items.payload(itemGuids.virtualDiskSize, virtualDiskSize.size, 'virtual disk size')
  const idBytes = items.payload(itemGuids.virtualDiskId, virtualDiskId.size, 'virtual disk id')
  const logical = readSectorSize(store, items, 'logicalSectorSize')
  const physical = readSectorSize(store, items, 'physicalSectorSize')
  const capacityPosition = items.position(itemGuids.virtualDiskSize)
  const capacity = safeNumber(
    virtualDiskSize.read(sizeBytes).size,
    `${store.name}: the virtual disk size at byte ${capacityPosition}`,
  )
  if (capacity > maximumCapacity || capacity % logical.size !== 0) {
    throw corrupt(
      'E_DISK_SIZE',
      `${store.name}: virtual disk size ${capacity} at byte ${capacityPosition}: a multiple ` +
        `of the logical sector (${logical.size}) up to 64 TiB was expected`,
      { details: { position: capacityPosition, capacity } },
    )
  }
  const parentLocator = readLocator(store, region, items, hasParent, notes)
  const rows = (): FieldRow[] => [
    ...prefixed('', metadataTableHeader.rows(table, region.position)),
    ...items.list.flatMap((item, index) =>
      prefixed(`entry${index}`, metadataEntry.rows(table.subarray(item.at), region.position + item.at)),
    ),
    ...prefixed('fileParameters', fileParameters.rows(parameters.bytes, items.position(itemGuids.fileParameters))),
    ...prefixed('virtualDiskSize', virtualDiskSize.rows(sizeBytes, capacityPosition)),
    ...prefixed('virtualDiskId', virtualDiskId.rows(idBytes, items.position(itemGuids.virtualDiskId))),
    ...[logical, physical].flatMap(({ name, bytes }) =>
      prefixed(name, sectorSizeItem.rows(bytes, items.position(itemGuids[name]))),
    ),
    ...(parentLocator?.rows() ?? []),
  ]
  return {
    blockSize: parameters.blockSize,
    leaveBlocksAllocated: parameters.leaveBlocksAllocated,
    hasParent,
    capacity,
    capacityPosition,
    virtualDiskId: virtualDiskId.read(idBytes).id,
    logicalSectorSize: logical.size,
    physicalSectorSize: physical.size,
    parentLocator,
    rows,
  }
}

type Parameters = Pick<Metadata, 'blockSize' | 'leaveBlocksAllocated' | 'hasParent'> & { readonly bytes: Uint8Array }

function readParameters(store: ByteStore, items: Items, notes: Note[]): Parameters {
  const bytes = items.payload(itemGuids.fileParameters, fileParameters.size, 'file parameters')
  const { blockSize, flags } = fileParameters.read(bytes)
  const position = items.position(itemGuids.fileParameters)
  if (!isBlockSize(blockSize)) {
    throw corrupt(
      'E_BLOCK_SIZE',
      `${store.name}: block size ${blockSize} at byte ${position}: a power ` + 'of two from 1 to 256 MiB was expected',
      { details: { position, blockSize } },
    )
  }
  if (flags >= 4n)
    notes.push({
      code: 'W_RESERVED_BITS',
      message:
        `reserved bits of the file parameters at byte ${position} are set ` + `(0x${flags.toString(16)}); ignored`,
    })
  return { bytes, blockSize, leaveBlocksAllocated: flags % 2n === 1n, hasParent: (flags / 2n) % 2n === 1n }
}

const sectorSizeNames = {
  logicalSectorSize: 'logical sector size',
  physicalSectorSize: 'physical sector size',
} as const

function readSectorSize<Name extends keyof typeof sectorSizeNames>(
  store: ByteStore,
  items: Items,
  name: Name,
): { readonly name: Name; readonly bytes: Uint8Array; readonly size: 512 | 4096 } {
  const bytes = items.payload(itemGuids[name], sectorSizeItem.size, sectorSizeNames[name])
  const size = sectorSizeItem.read(bytes).sectorSize
  const position = items.position(itemGuids[name])
  if (size !== 512 && size !== 4096)
    throw corrupt('E_SECTOR', `${store.name}: ${name} ${size} at byte ${position}: 512 or 4096 was expected`, {
      details: { position, value: size },
    })
  return { name, bytes, size }
}

/** The parent locator of a disk that has a parent; one that no parent goes with is noted. */
function readLocator(
  store: ByteStore,
  region: Area,
  items: Items,
  hasParent: boolean,
  notes: Note[],
): ParentLocator | undefined {
  const item = items.find(itemGuids.parentLocator)
  if (item === undefined) {
    if (!hasParent) return undefined
    throw corrupt(
      'E_PARENT_LOCATOR',
      `${store.name}: the disk has a parent (flag at byte ${items.position(itemGuids.fileParameters) + 4}) but no ` +
        'parent locator says which',
      { details: { position: region.position } },
    )
  }
  const position = region.position + item.offset
  if (hasParent)
    return parseParentLocator(
      contents(store, region, item),
      `${store.name}: parent locator at byte ${position}`,
      position,
    )
  notes.push({
    code: 'W_PARENT_LOCATOR_UNUSED',
    message:
      `there is a parent locator at byte ${position}, but the disk has no ` + 'parent by its file parameters; ignored',
  })
  return undefined
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
    items.push(readItem(store, region, table, at, seen))
  }
  if (items.filter((item) => item.user).length > maximumUserItems) {
    throw corrupt(
      'E_META_TABLE',
      `${store.name}: more than ${maximumUserItems} user metadata items at byte ${region.position}`,
      { details: { position: region.position } },
    )
  }
  refuseOverlaps(store, region, items)
  return items
}

/** The entry at byte `at` of the table. @param seen takes what it is, and has that of those before it. */
function readItem(store: ByteStore, region: Area, table: Uint8Array, at: number, seen: Set<string>): Item {
  const { itemId: guid, flags, offset, length } = metadataEntry.read(table, at)
  const user = flags % 2n === 1n
  const details = { position: region.position + at, guid }
  const what = `${store.name}: metadata item ${guid} (entry at byte ${region.position + at})`
  if ((flags / 4n) % 2n === 1n && (user || !knownItems.includes(guid))) {
    throw unsupported('E_UNSUPPORTED_FEATURE', `${what} is required to read the disk and unknown`, { details })
  }
  if (seen.has(`${guid} ${user}`)) throw corrupt('E_META_DUP', `${what} occurs twice`, { details })
  seen.add(`${guid} ${user}`)
  const empty = length === 0 && offset === 0
  if (!empty && (offset < tableSize || length > maximumItemLength || offset + length > region.length)) {
    throw corrupt(
      'E_META_RANGE',
      `${what} has offset ${offset} and length ${length}: from ${tableSize} on, ` +
        `at most 1 MiB, inside the region of ${region.length} bytes was expected`,
      { details },
    )
  }
  return { guid, user, offset, length, at }
}

function refuseOverlaps(store: ByteStore, region: Area, items: readonly Item[]): void {
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
