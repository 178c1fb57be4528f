import { MemoryStore } from '../../src/block/memory-store.js'

/**
 * VHDs written byte by byte from the specification, without any code of src/formats/vhd: readers are tested against
 * these.
 */

export interface FooterParts {
  cookie?: string
  features?: number
  version?: number
  dataOffset?: bigint
  time?: number
  creator?: string
  creatorVersion?: number
  originalSize?: bigint
  currentSize?: bigint
  chs?: readonly [number, number, number]
  type?: number
  id?: Uint8Array
  savedState?: number
  /** Added to the right checksum. */
  checksumError?: number
}

export const noOffset = 0xffffffffffffffffn
export const idBytes = Uint8Array.from({ length: 16 }, (_, index) => index)

function sum(bytes: Uint8Array, field: number): number {
  let total = 0
  for (const [index, byte] of bytes.entries()) if (index < field || index >= field + 4) total += byte
  return ~total >>> 0
}

export function footerBytes(parts: FooterParts = {}): Uint8Array {
  const bytes = Buffer.alloc(512)
  const type = parts.type ?? 3
  const currentSize = parts.currentSize ?? 4194304n
  bytes.write(parts.cookie ?? 'conectix', 0, 'latin1')
  bytes.writeUInt32BE(parts.features ?? 2, 8)
  bytes.writeUInt32BE(parts.version ?? 0x00010000, 12)
  bytes.writeBigUInt64BE(parts.dataOffset ?? (type === 2 ? noOffset : 512n), 16)
  bytes.writeUInt32BE(parts.time ?? 0x30000000, 24)
  bytes.write(parts.creator ?? 'win ', 28, 'latin1')
  bytes.writeUInt32BE(parts.creatorVersion ?? 0x000a0000, 32)
  bytes.write('Wi2k', 36, 'latin1')
  bytes.writeBigUInt64BE(parts.originalSize ?? currentSize, 40)
  bytes.writeBigUInt64BE(currentSize, 48)
  const [cylinders, heads, sectors] = parts.chs ?? [240, 4, 17]
  bytes.writeUInt16BE(cylinders, 56)
  bytes[58] = heads
  bytes[59] = sectors
  bytes.writeUInt32BE(type, 60)
  bytes.set(parts.id ?? idBytes, 68)
  bytes[84] = parts.savedState ?? 0
  bytes.writeUInt32BE((sum(bytes, 64) + (parts.checksumError ?? 0)) >>> 0, 64)
  return bytes
}

export interface LocatorParts {
  code: string
  offset: bigint
  length: number
  space?: number
}

export interface HeaderParts {
  cookie?: string
  dataOffset?: bigint
  tableOffset?: bigint
  version?: number
  entries?: number
  blockSize?: number
  parentId?: Uint8Array
  parentTime?: number
  parentName?: string
  locators?: readonly LocatorParts[]
  checksumError?: number
}

export function headerBytes(parts: HeaderParts = {}): Uint8Array {
  const bytes = Buffer.alloc(1024)
  bytes.write(parts.cookie ?? 'cxsparse', 0, 'latin1')
  bytes.writeBigUInt64BE(parts.dataOffset ?? noOffset, 8)
  bytes.writeBigUInt64BE(parts.tableOffset ?? 1536n, 16)
  bytes.writeUInt32BE(parts.version ?? 0x00010000, 24)
  bytes.writeUInt32BE(parts.entries ?? 2, 28)
  bytes.writeUInt32BE(parts.blockSize ?? 2097152, 32)
  if (parts.parentId !== undefined) bytes.set(parts.parentId, 40)
  bytes.writeUInt32BE(parts.parentTime ?? 0, 56)
  Buffer.from(parts.parentName ?? '', 'utf16le')
    .swap16()
    .copy(bytes, 64)
  for (const [index, locator] of (parts.locators ?? []).entries()) {
    const at = 576 + index * 24
    bytes.write(locator.code, at, 'latin1')
    bytes.writeUInt32BE(locator.space ?? 512, at + 4)
    bytes.writeUInt32BE(locator.length, at + 8)
    bytes.writeBigUInt64BE(locator.offset, at + 16)
  }
  bytes.writeUInt32BE((sum(bytes, 36) + (parts.checksumError ?? 0)) >>> 0, 36)
  return bytes
}

export function tableBytes(words: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(Math.ceil((words.length * 4) / 512) * 512, 0xff)
  for (const [index, word] of words.entries()) bytes.writeUInt32BE(word, index * 4)
  return bytes
}

/** A store with the given pieces, and `size` bytes where that is more. */
export function assemble(
  pieces: readonly (readonly [position: number, bytes: Uint8Array])[],
  size = 0,
  name = 'test.vhd',
): MemoryStore {
  const store = new MemoryStore(undefined, name)
  for (const [position, bytes] of pieces) store.write(position, bytes)
  if (size > store.size) store.truncate(size)
  return store
}

export interface DynamicParts {
  footer?: FooterParts
  header?: HeaderParts
  /** Written instead of the footer at the start, the end; null: zeros. */
  copy?: FooterParts | null
  end?: FooterParts | null
  words?: readonly number[]
  /** Bitmap and data of blocks by the position at which they lie. */
  blocks?: readonly (readonly [position: number, bytes: Uint8Array])[]
  endPosition?: number
  /** Bytes behind the footer. */
  trailing?: Uint8Array
}

/** Copy at 0, header at 512, BAT at 1536, block data where the test says, footer at the end. */
export function dynamicVhd(parts: DynamicParts = {}): MemoryStore {
  const blocks = parts.blocks ?? []
  const words = parts.words ?? [0xffffffff, 0xffffffff]
  const table = Number(parts.header?.tableOffset ?? 1536n)
  const end =
    parts.endPosition ??
    Math.max(
      2048,
      table + Math.ceil((words.length * 4) / 512) * 512,
      ...blocks.map(([position, bytes]) => position + bytes.length),
    )
  const store = assemble(
    [[512, headerBytes({ entries: words.length, ...parts.header })], [table, tableBytes(words)], ...blocks],
    end,
  )
  if (parts.copy !== null) store.write(0, footerBytes({ ...parts.footer, ...parts.copy }))
  if (parts.end !== null) store.write(end, footerBytes({ ...parts.footer, ...parts.end }))
  if (parts.trailing !== undefined) store.write(store.size, parts.trailing)
  return store
}

/** Bitmap of one sector and 512 KiB of data; sector i is filled with i % 255 + 1, set or not. */
export function block512K(bits: (sector: number) => boolean, length = 524288): Uint8Array {
  const bytes = new Uint8Array(512 + length)
  for (let sector = 0; sector < 1024; sector++) if (bits(sector)) bytes[sector >> 3]! |= 0x80 >> (sector & 7)
  for (let sector = 0; sector * 512 < length; sector++)
    bytes.fill((sector % 255) + 1, 512 + sector * 512, 1024 + sector * 512)
  return bytes
}
