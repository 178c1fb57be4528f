import { hex32 } from '../../../binary/hex.js'
import { ceilDivide, isPowerOfTwo } from '../../../binary/integers.js'
import { nilUuid, type FieldRow } from '../../../binary/struct.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, hints, unsupported } from '../../../errors.js'
import { badField } from '../../../block/header-bytes.js'
import { hasUnknownFlags, isKnownVersion } from './entries.js'
import {
  header as layout,
  header0 as layout0,
  imageType,
  lengthFrom,
  plusLength,
  sectorLength,
  shortLength,
  signature,
  signaturePosition,
  version0,
  version11,
  type HeaderValues,
} from './structs.js'

export type Subformat = keyof typeof imageType

/** A judged header. Positions and sizes in bytes. */
export interface Header {
  readonly version: number
  /** Of version 1.x: all fields, as they stand; those of version 0 with what that lacks filled in. */
  readonly values: HeaderValues
  /** Bytes of the header, from the start of the file. */
  readonly length: number
  readonly subformat: Subformat
  /** Whether free blocks are the parent's. */
  readonly isChild: boolean
  readonly capacity: number
  readonly mapPosition: number
  readonly dataPosition: number
  readonly blockSize: number
  /** Bytes before the content of each block. */
  readonly extra: number
  /** Map entries there are, and those that the disk needs. */
  readonly blocks: number
  readonly needed: number
  /** Blocks in the file; entries of the map are below it. */
  readonly allocated: number
  readonly notes: readonly Note[]
  readonly rows: readonly FieldRow[]
}

/** Whether the header's signature and version are there. Pure and total. */
export function hasSignature(head: Uint8Array): boolean {
  return wordAt(head, signaturePosition) === signature
}

export function wordAt(bytes: Uint8Array, position: number): number | undefined {
  return position + 4 > bytes.length
    ? undefined
    : new DataView(bytes.buffer, bytes.byteOffset).getUint32(position, true)
}

/**
 * Reads and judges the header; the map is not read.
 * @throws ImageError corrupt E_NOT_VDI, E_TRUNCATED, E_HEADER, E_BLOCK_SIZE, E_DISK_SIZE, E_OVERLAP, E_TOO_LARGE;
 * unsupported E_VERSION, E_TYPE, E_UNSUPPORTED_FEATURE.
 */
export function readHeader(store: ByteStore): Header {
  const bytes = new Uint8Array(layout.size)
  const present = Math.min(store.size, layout.size)
  store.read(0, bytes.subarray(0, present))
  const bad = badField(store.name)
  if (!hasSignature(bytes.subarray(0, present))) {
    throw corrupt('E_NOT_VDI', `${store.name}: no VDI signature at byte ${signaturePosition}`, {
      details: { position: signaturePosition },
    })
  }
  const version = wordAt(bytes, 68) ?? 0
  if (!isKnownVersion(version)) {
    throw unsupported(
      'E_VERSION',
      `${store.name}: the header has version 0x${hex32(version)}; versions 0 and 1.x are known (header byte 68)`,
      { details: { position: 68, found: version } },
    )
  }
  const needed = version === version0 ? layout0.size : lengthFrom + shortLength
  if (present < needed) {
    throw corrupt('E_TRUNCATED', `${store.name}: a VDI header has ${needed} bytes, the file only ${present}`, {
      details: { position: 0, size: store.size },
      hint: hints.incomplete,
    })
  }
  const notes: Note[] = []
  const read = version === version0 ? fields0(bytes) : fields1(bytes, bad)
  const { values } = read
  const subformat = subformatOf(store.name, values.type, version)
  checkFields(store, values, version, notes)
  checkPlaces(store, values, read.length, version === version0 ? 364 : 340)
  const { mapOffset, dataOffset, blocks } = values
  return {
    version,
    values,
    length: read.length,
    subformat,
    isChild: values.type === imageType.differencing || values.type === imageType.undo,
    capacity: values.diskSize,
    mapPosition: mapOffset,
    dataPosition: dataOffset,
    blockSize: values.blockSize,
    extra: values.blockExtra,
    blocks,
    needed: ceilDivide(values.diskSize, values.blockSize),
    allocated: values.blocksAllocated,
    notes,
    rows: read.rows,
  }
}

/** Header, map and data follow each other. `at`: the header byte of the map's offset. @throws ImageError corrupt. */
function checkPlaces(
  store: ByteStore,
  { mapOffset, dataOffset, blocks }: Header['values'],
  headerLength: number,
  at: number,
): void {
  const mapEnd = mapOffset + blocks * 4
  if (mapOffset < headerLength) throw overlap(store.name, `the block map at byte ${mapOffset} lies on the header`, at)
  if (dataOffset < mapEnd)
    throw overlap(store.name, `the data at byte ${dataOffset} begins before the map ends at byte ${mapEnd}`, 344)
  if (mapEnd > store.size) {
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: the map of ${blocks} blocks takes bytes ${mapOffset} to ${mapEnd}, but the file ends at byte ` +
        `${store.size}`,
      { details: { position: mapOffset, size: store.size }, hint: hints.incomplete },
    )
  }
}

type Bad = ReturnType<typeof badField>

interface Fields {
  readonly values: HeaderValues
  readonly length: number
  readonly rows: readonly FieldRow[]
}

function fields1(bytes: Uint8Array, bad: Bad): Fields {
  const values = layout.read(bytes)
  const { headerSize, mapOffset, dataOffset } = values
  if (headerSize < shortLength)
    throw bad(`the header size is ${headerSize}, expected ${shortLength} or more`, lengthFrom)
  if (headerSize > mapOffset - lengthFrom)
    throw bad(`the header of ${headerSize} bytes passes the block map at byte ${mapOffset}`, lengthFrom)
  if (mapOffset % sectorLength !== 0) throw bad(`the block map is at byte ${mapOffset}, which begins no sector`, 340)
  if (dataOffset % sectorLength !== 0) throw bad(`the data is at byte ${dataOffset}, which begins no sector`, 344)
  const isPlus = headerSize >= plusLength
  const length = lengthFrom + headerSize
  const rows = layout.rows(bytes, 0).filter(({ position }) => isPlus || position < lengthFrom + shortLength)
  if (isPlus) return { values, length, rows }
  return { values: { ...values, lchsCylinders: 0, lchsHeads: 0, lchsSectors: 0, lchsSectorSize: 0 }, length, rows }
}

/** Version 0 has no offsets: the map follows the header, the data follows the map. */
function fields0(bytes: Uint8Array): Fields {
  const values = layout0.read(bytes)
  return {
    values: {
      ...values,
      headerSize: 0,
      unused: 0,
      mapOffset: layout0.size,
      dataOffset: layout0.size + values.blocks * 4,
      blockExtra: 0,
      parentModificationUuid: nilUuid,
      lchsCylinders: 0,
      lchsHeads: 0,
      lchsSectors: 0,
      lchsSectorSize: 0,
    },
    length: layout0.size,
    rows: layout0.rows(bytes, 0),
  }
}

function subformatOf(name: string, type: number, version: number): Subformat {
  const found = (Object.keys(imageType) as Subformat[]).find((each) => imageType[each] === type)
  if (found !== undefined) return found
  const position = version === version0 ? 72 : 76
  throw unsupported('E_TYPE', `${name}: the image type is ${type}, expected 1 to 4 (header byte ${position})`, {
    details: { position, found: type },
  })
}

function checkFields(store: ByteStore, values: HeaderValues, version: number, notes: Note[]): void {
  const { name } = store
  const isOld = version === version0
  const at = (position: number, position0: number): number => (isOld ? position0 : position)
  const { flags, sectorSize, diskSize, blockSize, blockExtra, blocks } = values
  if (hasUnknownFlags(flags)) {
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${name}: the image flags are 0x${hex32(flags)}; only bit 0 is known, and VirtualBox refuses others too ` +
        `(header byte ${at(80, 76)})`,
      { details: { position: at(80, 76), found: flags } },
    )
  }
  if (sectorSize !== 0 && sectorSize !== sectorLength)
    throw badField(name)(`the sector size is ${sectorSize}, expected 512`, at(360, 348))
  if (!isPowerOfTwo(blockSize) || blockSize < sectorLength) {
    throw corrupt(
      'E_BLOCK_SIZE',
      `${name}: the block size is ${blockSize}, expected a power of two of at least 512 (header byte ${at(376, 360)})`,
      { details: { position: at(376, 360), found: blockSize } },
    )
  }
  if (blockExtra !== 0 && !isPowerOfTwo(blockExtra))
    throw badField(name)(`${blockExtra} extra bytes before each block, expected 0 or a power of two`, 380)
  if (diskSize === 0 || blocks * blockSize < diskSize) {
    throw corrupt(
      'E_DISK_SIZE',
      diskSize === 0
        ? `${name}: the disk size is 0 (header byte ${at(368, 352)})`
        : `${name}: the disk has ${diskSize} bytes, but its ${blocks} blocks of ${blockSize} bytes hold only ` +
            `${blocks * blockSize} (header byte ${at(384, 364)})`,
      { details: { position: at(368, 352), capacity: diskSize } },
    )
  }
  if (version !== version0 && version !== version11)
    notes.push({
      code: 'W_MINOR_VERSION',
      message: `${name}: the header has version 0x${hex32(version)}; it is read as 0x${hex32(version11)}`,
    })
  if (values.type <= imageType.fixed && values.linkUuid !== nilUuid)
    notes.push({
      code: 'W_PARENT_UNUSED',
      message: `${name}: the header names the parent ${values.linkUuid}, but an image of this type has none`,
    })
}

function overlap(name: string, what: string, position: number): Error {
  return corrupt('E_OVERLAP', `${name}: ${what} (header byte ${position})`, { details: { position } })
}

/** The text up to the first NUL. What is not UTF-8 is replaced. */
export function commentText({ comment }: HeaderValues): string {
  const end = comment.indexOf(0)
  return new TextDecoder().decode(end < 0 ? comment : comment.subarray(0, end))
}
