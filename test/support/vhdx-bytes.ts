/**
 * VHDX images made byte by byte from the specification (MS-VHDX), for tests of the reader. Nothing here comes from
 * src/:
 * a mistake there must not be made twice.
 */
export const mib = 1024 * 1024

const crcTable = Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value >>> 0
})

/** CRC-32C, a byte at a time. */
export function referenceCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 0xff]!
  return ~crc >>> 0
}

/** Writes the CRC-32C of `bytes`, with its own four bytes zero, at byte 4. */
export function seal(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(0, 4)
  bytes.writeUInt32LE(referenceCrc(bytes), 4)
  return bytes
}

/** The 16 bytes of a GUID text: three little-endian groups, then bytes in order. */
export function guidBytes(text: string): Buffer {
  const [a = '', b = '', c = '', d = '', e = ''] = text.split('-')
  const swap = (hex: string) => Buffer.from(hex, 'hex').reverse()
  return Buffer.concat([swap(a), swap(b), swap(c), Buffer.from(d + e, 'hex')])
}

export const guids = {
  bat: Buffer.from('6677C22D23F600429D64115E9BFD4A08', 'hex'),
  metadata: Buffer.from('06A27C8B90479A4BB8FE575F050F886E', 'hex'),
  fileParameters: Buffer.from('3767A1CA36FA434DB3B633F0AA44E76B', 'hex'),
  virtualDiskSize: Buffer.from('2442A52F1BCD7648B2115DBED83BF4B8', 'hex'),
  virtualDiskId: Buffer.from('AB12CABEE6B2234593EFC309E000C746', 'hex'),
  logicalSectorSize: Buffer.from('1DBF41816FA90947BA47F233A8FAAB5F', 'hex'),
  physicalSectorSize: Buffer.from('C748A3CD5D4471449CC9E9885251C556', 'hex'),
  parentLocator: Buffer.from('2D5FD3A80BB34D45ABF7D3D84834AB0C', 'hex'),
  locatorType: Buffer.from('B7EF4AB09ED1814AB78925B8E9445913', 'hex'),
}

export const fileWriteGuid = '46464646-4646-4646-4646-464646464646'
export const dataWriteGuid = '44444444-4444-4444-4444-444444444444'
export const logGuid = '4c4c4c4c-4c4c-4c4c-4c4c-4c4c4c4c4c4c'

export interface HeaderFields {
  sequence?: bigint
  logGuid?: string
  logVersion?: number
  version?: number
  logLength?: number
  logOffset?: bigint
  dataWriteGuid?: string
}

export function headerBytes(fields: HeaderFields = {}): Buffer {
  const bytes = Buffer.alloc(4096)
  bytes.write('head', 0, 'latin1')
  bytes.writeBigUInt64LE(fields.sequence ?? 1n, 8)
  guidBytes(fileWriteGuid).copy(bytes, 16)
  guidBytes(fields.dataWriteGuid ?? dataWriteGuid).copy(bytes, 32)
  if (fields.logGuid !== undefined) guidBytes(fields.logGuid).copy(bytes, 48)
  bytes.writeUInt16LE(fields.logVersion ?? 0, 64)
  bytes.writeUInt16LE(fields.version ?? 1, 66)
  bytes.writeUInt32LE(fields.logLength ?? mib, 68)
  bytes.writeBigUInt64LE(fields.logOffset ?? BigInt(mib), 72)
  return seal(bytes)
}

export interface RegionFields {
  guid: Buffer
  position: bigint
  length: number
  required?: number
}

export function regionTableBytes(regions: readonly RegionFields[], count = regions.length): Buffer {
  const bytes = Buffer.alloc(65536)
  bytes.write('regi', 0, 'latin1')
  bytes.writeUInt32LE(count, 8)
  for (const [index, region] of regions.entries()) {
    const at = 16 + index * 32
    region.guid.copy(bytes, at)
    bytes.writeBigUInt64LE(region.position, at + 16)
    bytes.writeUInt32LE(region.length, at + 24)
    bytes.writeUInt32LE(region.required ?? 1, at + 28)
  }
  return seal(bytes)
}

export interface ItemFields {
  guid: Buffer
  flags: number
  bytes: Buffer
  offset?: number
  length?: number
}

export function metadataBytes(items: readonly ItemFields[], count = items.length): Buffer {
  const bytes = Buffer.alloc(mib)
  bytes.write('metadata', 0, 'latin1')
  bytes.writeUInt16LE(count, 10)
  let next = 65536
  for (const [index, item] of items.entries()) {
    const at = 32 + index * 32
    const offset = item.offset ?? next
    item.guid.copy(bytes, at)
    bytes.writeUInt32LE(offset, at + 16)
    bytes.writeUInt32LE(item.length ?? item.bytes.length, at + 20)
    bytes.writeUInt32LE(item.flags, at + 24)
    if (item.offset === undefined) {
      item.bytes.copy(bytes, next)
      next += item.bytes.length
    }
  }
  return bytes
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4)
  return bytes
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}

export interface LocatorFields {
  type?: Buffer
  entries: readonly (readonly [key: string, value: string])[]
}

export function locatorBytes(fields: LocatorFields): Buffer {
  const head = Buffer.alloc(20)
  const type = fields.type ?? guids.locatorType
  type.copy(head)
  head.writeUInt16LE(fields.entries.length, 18)
  const rows: Buffer[] = []
  const texts: Buffer[] = []
  let at = 20 + fields.entries.length * 12
  for (const [key, value] of fields.entries) {
    const [keyText, valueText] = [Buffer.from(key, 'utf16le'), Buffer.from(value, 'utf16le')]
    const row = Buffer.alloc(12)
    row.writeUInt32LE(at, 0)
    row.writeUInt32LE(at + keyText.length, 4)
    row.writeUInt16LE(keyText.length, 8)
    row.writeUInt16LE(valueText.length, 10)
    rows.push(row)
    texts.push(keyText, valueText)
    at += keyText.length + valueText.length
  }
  return Buffer.concat([head, ...rows, ...texts])
}

/** A BAT entry: state in the low bits, position in bytes (whole MiB). */
export function batEntry(state: number, position = 0): bigint {
  return BigInt(position) | BigInt(state)
}

export interface ImageFields {
  capacity: bigint
  blockSize?: number
  parameterFlags?: number
  logicalSector?: number
  physicalSector?: number
  header?: HeaderFields
  header2?: HeaderFields
  /** BAT entries by index. */
  bat?: Readonly<Record<number, bigint>>
  batLength?: number
  locator?: LocatorFields
  items?: (items: ItemFields[]) => ItemFields[]
  itemCount?: number
  regions?: (regions: RegionFields[]) => RegionFields[]
  regionCount?: number
  /** Log entries by place in the log. */
  log?: Readonly<Record<number, Buffer>>
  /** Any further bytes by position. */
  bytes?: Readonly<Record<number, Buffer>>
  size?: number
  creator?: string
}

/** Where things lie in an image of {@link imageBytes} with a BAT of one MiB. */
export const places = { log: mib, bat: 2 * mib, metadata: 3 * mib, payload: 4 * mib }

/** Log at 1 MiB, BAT at 2 MiB, metadata at 3 MiB, payload from 4 MiB on. */
export function imageBytes(fields: ImageFields): Buffer {
  const image = Buffer.alloc(fields.size ?? 8 * mib)
  image.write('vhdxfile', 0, 'latin1')
  image.write(fields.creator ?? 'by hand', 8, 'utf16le')
  headerBytes({ sequence: 1n, ...fields.header, ...fields.header2 }).copy(image, 65536)
  headerBytes({ sequence: 2n, ...fields.header }).copy(image, 131072)
  const regions: RegionFields[] = [
    { guid: guids.bat, position: BigInt(places.bat), length: fields.batLength ?? mib },
    { guid: guids.metadata, position: BigInt(places.metadata), length: mib },
  ]
  const table = regionTableBytes(fields.regions?.(regions) ?? regions, fields.regionCount)
  table.copy(image, 196608)
  table.copy(image, 262144)
  const items: ItemFields[] = [
    {
      guid: guids.fileParameters,
      flags: 4,
      bytes: u32(fields.blockSize ?? mib, fields.parameterFlags ?? (fields.locator ? 2 : 0)),
    },
    { guid: guids.virtualDiskSize, flags: 6, bytes: u64(fields.capacity) },
    { guid: guids.virtualDiskId, flags: 6, bytes: guidBytes('01020304-0506-0708-090a-0b0c0d0e0f10') },
    { guid: guids.logicalSectorSize, flags: 6, bytes: u32(fields.logicalSector ?? 512) },
    { guid: guids.physicalSectorSize, flags: 6, bytes: u32(fields.physicalSector ?? 4096) },
  ]
  if (fields.locator !== undefined)
    items.push({ guid: guids.parentLocator, flags: 4, bytes: locatorBytes(fields.locator) })
  metadataBytes(fields.items?.(items) ?? items, fields.itemCount).copy(image, places.metadata)
  for (const [index, entry] of Object.entries(fields.bat ?? {}))
    image.writeBigUInt64LE(entry, places.bat + Number(index) * 8)
  for (const [at, entry] of Object.entries(fields.log ?? {})) {
    // The log is a ring: what passes its end goes on at its start.
    const start = Number(at)
    entry.subarray(0, mib - start).copy(image, places.log + start)
    entry.subarray(mib - start).copy(image, places.log)
  }
  for (const [position, bytes] of Object.entries(fields.bytes ?? {})) bytes.copy(image, Number(position))
  return image
}

export type LogChange = { at: number; data: Buffer } | { at: number; zero: number }

export interface LogEntryFields {
  sequence: bigint
  /** Place in the log of the first entry of the sequence. */
  tail: number
  guid?: string
  changes?: readonly LogChange[]
  flushed?: number
  last?: number
}

/** A log entry: header, descriptors, data sectors. */
export function logEntryBytes(fields: LogEntryFields): Buffer {
  const changes = fields.changes ?? []
  const descriptorSectors = Math.ceil((64 + changes.length * 32) / 4096)
  const data = changes.filter((change) => 'data' in change)
  const entry = Buffer.alloc((descriptorSectors + data.length) * 4096)
  entry.write('loge', 0, 'latin1')
  entry.writeUInt32LE(entry.length, 8)
  entry.writeUInt32LE(fields.tail, 12)
  entry.writeBigUInt64LE(fields.sequence, 16)
  entry.writeUInt32LE(changes.length, 24)
  guidBytes(fields.guid ?? logGuid).copy(entry, 32)
  entry.writeBigUInt64LE(BigInt(fields.flushed ?? 8 * mib), 48)
  entry.writeBigUInt64LE(BigInt(fields.last ?? 8 * mib), 56)
  let sector = descriptorSectors * 4096
  for (const [index, change] of changes.entries()) {
    const at = 64 + index * 32
    entry.writeBigUInt64LE(BigInt(change.at), at + 16)
    entry.writeBigUInt64LE(fields.sequence, at + 24)
    if ('zero' in change) {
      entry.write('zero', at, 'latin1')
      entry.writeBigUInt64LE(BigInt(change.zero), at + 8)
      continue
    }
    entry.write('desc', at, 'latin1')
    change.data.copy(entry, at + 4, 4092, 4096)
    change.data.copy(entry, at + 8, 0, 8)
    entry.write('data', sector, 'latin1')
    entry.writeUInt32LE(Number(fields.sequence >> 32n), sector + 4)
    change.data.copy(entry, sector + 8, 8, 4092)
    entry.writeUInt32LE(Number(fields.sequence & 0xffffffffn), sector + 4092)
    sector += 4096
  }
  return seal(entry)
}
