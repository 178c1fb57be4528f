import { crc32 } from 'node:zlib'
import { beginsWith } from '../../binary/begins-with.js'
import type { FieldRow } from '../../binary/struct.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, printable, unsupported } from '../../errors.js'
import { checksums, noChecksum, type ChecksumKind } from './checksums.js'
import { withoutInversion } from './entries.js'
import { bitmapMode, bitmapOfOne, headerOne, headerTwo, littleMark, magic, versions } from './structs.js'

const sectorLength = 512
const mostBlockSize = 64 * 1024 * 1024
/** A filesystem of 64 TiB in blocks of 4 KiB: its bitmap has 2 GiB. */
const mostBlocks = 2 ** 34

/** What the header says, checked. Sizes and positions are bytes. */
export interface Header {
  readonly version: 1 | 2
  readonly filesystem: string
  /** The version of partclone that wrote it; version 1 does not record it. */
  readonly program: string | undefined
  readonly deviceSize: number
  readonly blockSize: number
  readonly blocks: number
  readonly used: number
  readonly bitmap: 'none' | 'bits' | 'bytes'
  readonly bitmapStart: number
  readonly checksum: ChecksumKind
  /** Stored blocks that one checksum covers. */
  readonly blocksPerChecksum: number
  /** Whether each checksum is of its blocks alone, and not of all before as well. */
  readonly reseed: boolean
  readonly littleEndian: boolean
  readonly rows: readonly FieldRow[]
}

/**
 * @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_CHECKSUM, E_TOO_LARGE; unsupported E_VERSION,
 * E_UNSUPPORTED_FEATURE.
 */
export function readHeader(store: ByteStore): Header {
  const start = headerBytes(store, headerOne.size, 'a partclone header')
  if (!beginsWith(start, magic)) throw badField(store.name)('this is no partclone image, or its start is damaged', 0)
  const version = Buffer.from(start.subarray(30, 34)).toString('latin1')
  const header =
    version === versions.two ? readTwo(store) : version === versions.one ? readOne(store, start) : undefined
  if (header === undefined)
    throw unsupported('E_VERSION', `${store.name}: version ${printable(version)} of partclone images is not known`, {
      details: { position: 30 },
    })
  checkNumbers(store.name, header)
  return header
}

function checkNumbers(name: string, { version, blockSize, blocks, used, deviceSize }: Header): void {
  const bad = badField(name)
  const at =
    version === 1 ? { size: 36, device: 40, blocks: 48, used: 56 } : { size: 84, device: 52, blocks: 60, used: 76 }
  if (blockSize === 0 || blockSize % sectorLength !== 0 || blockSize > mostBlockSize)
    throw bad(`the block size is ${blockSize}, expected whole sectors up to 64 MiB`, at.size)
  if (blocks === 0 || blocks > mostBlocks || !Number.isSafeInteger(blocks * blockSize))
    throw bad(`there are ${blocks} blocks, expected 1 to ${mostBlocks}`, at.blocks)
  if (used > blocks) throw bad(`${used} blocks of ${blocks} are used`, at.used)
  if (deviceSize === 0) throw bad('the device has no bytes', at.device)
}

function readOne({ name }: ByteStore, bytes: Uint8Array): Header {
  const values = headerOne.read(bytes)
  if (values.blockSize > mostBlockSize)
    throw badField(name)(`the block size is ${values.blockSize}, expected whole sectors up to 64 MiB`, 36)
  return {
    version: 1,
    filesystem: values.filesystem,
    program: undefined,
    deviceSize: values.deviceSize,
    blockSize: values.blockSize,
    blocks: values.totalBlocks,
    used: values.usedBlocks,
    bitmap: 'bytes',
    bitmapStart: bitmapOfOne,
    checksum: checksums.first,
    blocksPerChecksum: 1,
    reseed: false,
    littleEndian: true,
    rows: headerOne.rows(bytes, 0),
  }
}

function readTwo(store: ByteStore): Header {
  const { name } = store
  const { size } = headerTwo('little')
  const bytes = headerBytes(store, size, 'a partclone header')
  const littleEndian = bytes[34] === littleMark
  if (!littleEndian && bytes[35] !== littleMark)
    throw badField(name)('the byte order is neither little-endian nor big-endian', 34)
  const layout = headerTwo(littleEndian ? 'little' : 'big')
  const view = new DataView(bytes.buffer)
  const sum = withoutInversion(crc32(bytes.subarray(0, size - 4)))
  const stored = view.getUint32(size - 4, littleEndian)
  if (sum !== stored)
    throw corrupt(
      'E_CHECKSUM',
      `${name}: the checksum of the header is 0x${sum.toString(16)}, but 0x${stored.toString(16)} is stored`,
      { details: { position: size - 4 } },
    )
  const values = layout.read(bytes)
  const bad = badField(name)
  const bitmap = Object.entries(bitmapMode).find(([, mode]) => mode === values.bitmapMode)?.[0]
  if (bitmap === undefined) throw bad(`the bitmap has the unknown kind ${values.bitmapMode}`, 105)
  const checksum = [noChecksum, checksums.crc32, checksums.xxh64, checksums.xxh128].find(
    ({ mode }) => mode === values.checksumMode,
  )
  if (checksum === undefined)
    throw unsupported('E_UNSUPPORTED_FEATURE', `${name}: checksums of kind ${values.checksumMode} are not known`, {
      details: { position: 96 },
    })
  if (values.checksumSize !== checksum.length)
    throw bad(`a checksum of kind ${checksum.title} has ${values.checksumSize} bytes, expected ${checksum.length}`, 98)
  if (checksum !== noChecksum && values.blocksPerChecksum === 0) throw bad('a checksum covers no block', 100)
  return {
    version: 2,
    filesystem: values.filesystem,
    program: values.program,
    deviceSize: values.deviceSize,
    blockSize: values.blockSize,
    blocks: values.totalBlocks,
    used: values.usedBlocks,
    bitmap: bitmap as keyof typeof bitmapMode,
    bitmapStart: size,
    checksum,
    blocksPerChecksum: checksum === noChecksum ? 0 : values.blocksPerChecksum,
    reseed: values.reseed !== 0,
    littleEndian,
    rows: layout.rows(bytes, 0),
  }
}
