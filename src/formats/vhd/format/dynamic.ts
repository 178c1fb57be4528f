import { hex32 } from '../../../binary/hex.js'
import { ceilDivide, safeNumber } from '../../../binary/integers.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, printable, unsupported } from '../../../errors.js'
import { ignoreChecksumsHint } from '../../driver.js'
import type { FoundFooter } from './footer.js'
import { isBlockSize, maximumDynamicCapacity } from './layout.js'
import {
  dynamicCookie,
  dynamicHeader,
  dynamicHeaderChecksum,
  sectorLength,
  version1,
  type DynamicHeaderValues,
} from './structs.js'

/** A range of the file that a structure occupies; no block may lie on it. */
export interface Structure {
  readonly what: string
  readonly position: number
  readonly length: number
}

/** The dynamic header, checked, and where everything is. */
export interface DynamicLayout {
  readonly position: number
  readonly bytes: Uint8Array
  readonly values: DynamicHeaderValues
  readonly intact: boolean
  readonly tablePosition: number
  readonly entries: number
  readonly blockSize: number
  /** Blocks that the capacity needs. */
  readonly blocks: number
  readonly structures: readonly Structure[]
  readonly notes: readonly Note[]
}

/**
 * Reads and checks the dynamic header (no table entry yet). `end`: the footer that was found after the blocks, if any.
 * @throws ImageError corrupt E_DATA_OFFSET, E_DYN_MAGIC, E_CHECKSUM, E_BLOCK_SIZE, E_TABLE_OFFSET, E_BAT_SMALL,
 * E_BAT_LARGE, E_OVERLAP,
 * E_TRUNCATED; unsupported E_VERSION.
 */
export function readDynamicHeader(
  store: ByteStore,
  found: FoundFooter,
  end: FoundFooter | undefined,
  capacity: number,
  ignoreChecksums: boolean,
): DynamicLayout {
  const { name } = store
  const position = headerPosition(store, found)
  const bytes = new Uint8Array(dynamicHeader.size)
  store.read(position, bytes)
  const values = dynamicHeader.read(bytes)
  if (values.cookie !== dynamicCookie) {
    throw corrupt(
      'E_DYN_MAGIC',
      `${name}: a dynamic header ("${dynamicCookie}") was expected at byte ${position}, ` +
        `"${printable(values.cookie)}" was found`,
      { details: { position } },
    )
  }
  const notes = checkSum(name, position, bytes, values, ignoreChecksums)
  if (values.headerVersion !== version1) {
    throw unsupported(
      'E_VERSION',
      `${name}: the dynamic header at byte ${position} has version 0x${hex32(values.headerVersion)}, only ` +
        `0x${hex32(version1)} is known`,
      { details: { position: position + 24, found: values.headerVersion } },
    )
  }
  if (!isBlockSize(values.blockSize)) {
    throw corrupt(
      'E_BLOCK_SIZE',
      `${name}: the block size at byte ${position + 32} is ${values.blockSize}: a power of two, at least 512, ` +
        'was expected',
      { details: { position: position + 32, found: values.blockSize } },
    )
  }
  const blocks = ceilDivide(capacity, values.blockSize)
  checkEntries(name, position, values, blocks)
  const structures = placeTable(store, position, values, end)
  return {
    position,
    bytes,
    values,
    notes,
    structures,
    blocks,
    intact: notes.length === 0,
    tablePosition: Number(values.tableOffset),
    entries: values.maxTableEntries,
    blockSize: values.blockSize,
  }
}

/** A checksum that is wrong is refused, or noted. */
function checkSum(
  name: string,
  position: number,
  bytes: Uint8Array,
  values: DynamicLayout['values'],
  ignoreChecksums: boolean,
): readonly Note[] {
  const expected = dynamicHeaderChecksum(bytes)
  if (values.checksum === expected) return []
  const message =
    `${name}: the dynamic header at byte ${position} has the checksum 0x${hex32(values.checksum)}, ` +
    `its bytes give 0x${hex32(expected)}`
  // A block size that cannot be says more than the checksum over it.
  if (!ignoreChecksums && isBlockSize(values.blockSize)) {
    throw corrupt('E_CHECKSUM', message, {
      hint: ignoreChecksumsHint,
      details: { position, expected, found: values.checksum },
    })
  }
  return [{ code: 'W_CHECKSUM', message }]
}

function headerPosition({ name, size }: ByteStore, { values, position: at }: FoundFooter): number {
  const { dataOffset } = values
  const wrong = (why: string): Error =>
    corrupt(
      'E_DATA_OFFSET',
      `${name}: data_offset of the footer at byte ${at} is 0x${dataOffset.toString(16)}, ${why}`,
      { details: { position: at + 16, found: dataOffset } },
    )
  if (dataOffset === 0xffffffffffffffffn) throw wrong('as in a fixed disk, but the disk is not fixed')
  if (dataOffset % 512n !== 0n) throw wrong('no multiple of 512')
  if (dataOffset < 512n)
    throw corrupt(
      'E_OVERLAP',
      `${name}: by its footer at byte ${at} the dynamic header lies at byte ${dataOffset}, upon the copy of the footer`,
      { details: { position: at + 16 } },
    )
  if (dataOffset + BigInt(dynamicHeader.size) > BigInt(size)) {
    throw corrupt(
      'E_TRUNCATED',
      `${name}: the dynamic header should lie at byte ${dataOffset}, but the file ends at byte ${size}`,
      { details: { position: at + 16, found: dataOffset, size } },
    )
  }
  return Number(dataOffset)
}

function checkEntries(
  name: string,
  position: number,
  { maxTableEntries, blockSize }: DynamicHeaderValues,
  blocks: number,
): void {
  const details = { position: position + 28, expected: blocks, found: maxTableEntries }
  if (maxTableEntries < blocks)
    throw corrupt(
      'E_BAT_SMALL',
      `${name}: the BAT has ${maxTableEntries} entries (byte ${position + 28}), the disk needs ${blocks}`,
      { details },
    )
  if (maxTableEntries > Math.max(blocks, maximumDynamicCapacity / blockSize)) {
    throw corrupt(
      'E_BAT_LARGE',
      `${name}: the BAT has ${maxTableEntries} entries (byte ${position + 28}), with blocks of ${blockSize} ` +
        `bytes more than any disk needs; this one needs ${blocks}`,
      { details },
    )
  }
}

/**
 * Where copy, header, BAT and footer lie. @throws ImageError when the BAT lies upon one of the others or leaves the
 * file.
 */
function placeTable(
  { name, size }: ByteStore,
  headerAt: number,
  values: DynamicHeaderValues,
  end: FoundFooter | undefined,
): Structure[] {
  const position = safeNumber(values.tableOffset, `${name}: table_offset of the dynamic header`)
  const length = values.maxTableEntries * 4
  const details = { position: headerAt + 16, found: position }
  if (position % sectorLength !== 0)
    throw corrupt(
      'E_TABLE_OFFSET',
      `${name}: table_offset (byte ${headerAt + 16}) is ${position}, no multiple of 512`,
      { details },
    )
  const others: Structure[] = [
    { what: 'the copy of the footer', position: 0, length: sectorLength },
    { what: 'the dynamic header', position: headerAt, length: dynamicHeader.size },
    ...(end === undefined ? [] : [{ what: 'the footer', position: end.position, length: end.length }]),
  ]
  if (position + length > size) {
    throw corrupt(
      'E_TRUNCATED',
      `${name}: the BAT of ${values.maxTableEntries} entries takes bytes ${position} to ${position + length}, ` +
        `but the file ends at byte ${size}`,
      { details: { ...details, size } },
    )
  }
  const hit = others.find((other) => overlaps(other, position, length))
  if (hit !== undefined)
    throw corrupt(
      'E_OVERLAP',
      `${name}: the BAT (bytes ${position} to ${position + length}) lies upon ${hit.what} at byte ${hit.position}`,
      { details },
    )
  return [...others, { what: 'the BAT', position, length }]
}

export function overlaps(structure: Structure, position: number, length: number): boolean {
  return (
    length > 0 &&
    structure.length > 0 &&
    position < structure.position + structure.length &&
    structure.position < position + length
  )
}
