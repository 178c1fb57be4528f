import { ascii, bytes, struct, u16, u32, u8, type StructValues } from '../../binary/struct.js'
import { viewOf } from '../../binary/integers.js'
import type { BlockSource, Fact } from '../../block/types.js'
import { iso9660 } from '../iso9660/index.js'
import { readOnlyImage } from '../read-only.js'
import type { Filesystem, FilesystemFamily } from '../types.js'
import { bytesAt, VolumeReader } from '../volume-reader.js'
import { UdfTree } from './tree.js'

const recognitionStart = 32768
const blockSizes = [2048, 512, 1024, 4096]
const mostDescriptors = 64
/** ECMA-167, part 3. */
const tag = struct('little', 16, { id: u16(0), location: u32(12) })
const anchor = struct('little', 32, { length: u32(16), location: u32(20) })
const primary = struct('little', 512, { volumeId: bytes(24, 32), setId: bytes(72, 128) })
const logical = struct('little', 512, {
  volumeId: bytes(84, 128),
  blockSize: u32(212),
  revision: u16(240),
  integrityLocation: u32(436),
})
const partition = struct('little', 512, { start: u32(188), length: u32(192) })
const integrity = struct('little', 88, { type: u32(28), partitions: u32(72), free: u32(80) })
const ids = { primary: 1, anchor: 2, partition: 5, logical: 6, end: 8, integrity: 9 }
const anchorBlock = 256

/** UDF; where ISO 9660 lies beside it, as on many discs, both lead to the same files, and UDF is reported. */
export const opticalDiscs: FilesystemFamily = {
  id: 'optical discs',
  identify: (volume) => {
    for (const blockSize of blockSizes) {
      const found = isRecognised(volume, blockSize) ? describe(volume, blockSize) : undefined
      if (found !== undefined) return [found]
    }
    return iso9660.identify(volume)
  },
}

const recognition = struct('little', 7, { type: u8(0), mark: ascii(1, 5) })

/** ECMA-167, 2/8.3: descriptors of at least 2048 bytes, one of which names UDF. */
function isRecognised(volume: BlockSource, blockSize: number): boolean {
  const step = Math.max(2048, blockSize)
  for (let index = 0; index < mostDescriptors; index++) {
    const head = bytesAt(volume, recognitionStart + index * step, recognition.size)
    if (head === undefined) return false
    const { mark } = recognition.read(head)
    if (mark === 'NSR02' || mark === 'NSR03') return true
    if (!['BEA01', 'CD001', 'CDW02', 'BOOT2'].includes(mark)) return false
  }
  return false
}

/** A descriptor that says of itself where it lies. */
function descriptorAt(
  volume: BlockSource,
  blockSize: number,
  block: number,
  id?: number,
): { readonly id: number; readonly bytes: Uint8Array } | undefined {
  const content = bytesAt(volume, block * blockSize, 512)
  if (content === undefined) return undefined
  const head = tag.read(content)
  return head.location === block && checksumHolds(content) && (id === undefined || head.id === id)
    ? { id: head.id, bytes: content }
    : undefined
}

/** The fifth byte is the sum of the fifteen others. */
function checksumHolds(content: Uint8Array): boolean {
  let sum = 0
  for (let index = 0; index < 16; index++) if (index !== 4) sum += content[index] ?? 0
  return sum % 256 === content[4]
}

/** The descriptors of the volume, from the sequence that the anchor leads to. */
function descriptorsOf(volume: BlockSource, blockSize: number): ReadonlyMap<number, Uint8Array> | undefined {
  const found = descriptorAt(volume, blockSize, anchorBlock, ids.anchor)
  if (found === undefined) return undefined
  const main = anchor.read(found.bytes)
  const descriptors = new Map<number, Uint8Array>()
  for (let index = 0; index < Math.min(mostDescriptors, Math.floor(main.length / blockSize)); index++) {
    const next = descriptorAt(volume, blockSize, main.location + index)
    if (next === undefined || next.id === ids.end) break
    if (!descriptors.has(next.id)) descriptors.set(next.id, next.bytes)
  }
  return descriptors
}

function describe(volume: BlockSource, blockSize: number): Filesystem | undefined {
  const descriptors = descriptorsOf(volume, blockSize)
  if (descriptors === undefined) return undefined
  const read = <Values>(id: number, kind: { read(bytes: Uint8Array): Values }): Values | undefined => {
    const bytes = descriptors.get(id)
    return bytes === undefined ? undefined : kind.read(bytes)
  }
  const first = read(ids.primary, primary)
  const volumeValues = read(ids.logical, logical)
  const part = read(ids.partition, partition)
  const [beside] = iso9660.identify(volume)
  const facts: Fact[] = [{ name: 'sectorSize', value: blockSize, unit: 'bytes' }]
  if (beside !== undefined)
    facts.push({ name: 'beside', value: `ISO 9660${beside.label === undefined ? '' : ` ${beside.label}`}` })
  // What lies behind the partition (the second anchor) is the volume's end: UDF does not say where that is.
  const end = part === undefined ? 0 : (part.start + part.length) * blockSize
  const version = versionOf(volumeValues?.revision ?? 0)
  const logicalBytes = descriptors.get(ids.logical)
  const reader = new VolumeReader(volume, 'UDF')
  const image = readOnlyImage(volume, {
    ...(logicalBytes === undefined || part === undefined
      ? {}
      : { openTree: () => new UdfTree(reader, logicalBytes, part, blockSize) }),
    type: 'udf',
    title: 'UDF',
    blockSize: volumeValues?.blockSize ?? blockSize,
    size: BigInt(end),
    facts,
    ...(version === undefined ? {} : { version }),
    label: text(volumeValues?.volumeId) ?? text(first?.volumeId),
    uuid: first === undefined ? undefined : setIdentifier(first.setId),
  })
  if (volumeValues === undefined) return { ...image, state: 'unknown' }
  return { ...image, ...useOf(volume, blockSize, volumeValues, end) }
}

/** As 2.01 is stored: 0x0201. */
function versionOf(revision: number): string | undefined {
  const digits = revision.toString(16).padStart(3, '0')
  return revision === 0 ? undefined : `${digits.slice(0, -2)}.${digits.slice(-2)}`
}

/** What the integrity descriptor says: whether the volume was left in order, and what is free in it. */
function useOf(
  volume: BlockSource,
  sectorSize: number,
  { integrityLocation, blockSize }: StructValues<typeof logical>,
  end: number,
): Pick<Filesystem, 'state' | 'free' | 'used'> {
  const found = descriptorAt(volume, sectorSize, integrityLocation, ids.integrity)
  if (found === undefined) return { state: 'unknown' }
  const { type, partitions, free } = integrity.read(found.bytes)
  const state = type === 1 ? 'clean' : 'dirty'
  const freeBytes = partitions === 1 && free !== 0xffffffff ? free * blockSize : undefined
  return freeBytes === undefined || freeBytes > end ? { state } : { state, free: freeBytes, used: end - freeBytes }
}

/** OSTA compressed Unicode in a field whose last byte is the length (UDF, 2.1.1 and 2.1.3). */
function compressed(field: Uint8Array): Uint8Array {
  return field.subarray(0, Math.min(field.at(-1) ?? 0, field.length - 1))
}

function text(field: Uint8Array | undefined): string | undefined {
  if (field === undefined) return undefined
  const stored = compressed(field)
  const [kind] = stored
  if (kind !== 8 && kind !== 16) return undefined
  const view = viewOf(stored)
  let characters = ''
  for (let at = 1; at + (kind === 16 ? 2 : 1) <= stored.length; at += kind === 16 ? 2 : 1)
    characters += String.fromCharCode(kind === 16 ? view.getUint16(at) : view.getUint8(at))
  const value = characters.replace(/[\0 ]+$/, '')
  return value === '' ? undefined : value
}

/**
 * The first sixteen characters of the volume set's identifier, made to sixteen hexadecimal digits as libblkid and
 * udftools do.
 */
function setIdentifier(field: Uint8Array): string | undefined {
  const characters = text(field)
  if (characters === undefined || characters.length < 8) return undefined
  const utf8 = Buffer.from(characters).subarray(0, 16)
  const padded = Buffer.alloc(16)
  utf8.copy(padded)
  const digits = /^[0-9a-f]*/i.exec(padded.toString('latin1'))?.[0].length ?? 0
  if (digits < 8) return padded.subarray(0, 8).toString('hex')
  if (digits < 16)
    return padded.subarray(0, 8).toString('latin1').toLowerCase() + padded.subarray(8, 12).toString('hex')
  return padded.toString('latin1').toLowerCase()
}
