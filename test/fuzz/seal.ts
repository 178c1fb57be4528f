/** Puts right checksums over changed structures, so that what they guard is reached. Independent of src/. */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { referenceCrc } from '../support/vhdx-bytes.js'
import type { BufferStore } from './buffer-store.js'
import { filesystemSubject } from './filesystems.js'
import { sealPhysicalVolume } from '../support/lvm-bytes.js'
import { hiveSubject, sealHive } from './hives.js'

/** VHD: the ones' complement of the sum of all bytes but the sum's own. */
function sealVhd(store: BufferStore): void {
  const seal = (position: number, length: number, field: number): void => {
    const bytes = Buffer.from(store.bytes.subarray(position, position + length))
    if (bytes.length < length) return
    bytes.writeUInt32BE(0, field)
    let sum = 0
    for (const byte of bytes) sum += byte
    bytes.writeUInt32BE(~sum >>> 0, field)
    store.write(position, bytes)
  }
  const { bytes, size } = store
  for (const position of [0, size - 512]) {
    if (position < 0 || bytes.toString('latin1', position, position + 8) !== 'conectix') continue
    seal(position, 512, 64)
  }
  const header = bytes.indexOf('cxsparse', 0, 'latin1')
  if (header >= 0) seal(header, 1024, 36)
}

/** VHDX: CRC-32C over headers, region tables and log entries. */
function sealVhdx(store: BufferStore): void {
  const seal = (position: number, length: number): void => {
    const bytes = Buffer.from(store.bytes.subarray(position, position + length))
    if (bytes.length < length) return
    bytes.writeUInt32LE(0, 4)
    bytes.writeUInt32LE(referenceCrc(bytes), 4)
    store.write(position, bytes)
  }
  const signature = (position: number): string => store.bytes.toString('latin1', position, position + 4)
  for (const position of [0x10000, 0x20000]) if (signature(position) === 'head') seal(position, 4096)
  for (const position of [0x30000, 0x40000]) if (signature(position) === 'regi') seal(position, 65536)
  const { bytes, size } = store
  for (let position = 0x100000; position + 64 <= Math.min(size, 0x200000); position += 4096) {
    if (signature(position) !== 'loge') continue
    const length = bytes.readUInt32LE(position + 8)
    if (length >= 64 && length <= 0x100000) seal(position, length)
  }
}

/** partclone, version 2: CRC-32 without its last inversion, over the header and over the bitmap. */
function sealPartclone(store: BufferStore): void {
  const { bytes, size } = store
  if (size < 110 || bytes.toString('latin1', 30, 34) !== '0002') return
  const little = bytes[34] === 0xde
  const seal = (start: number, end: number): void => {
    if (start > end || end + 4 > size) return
    const sum = Buffer.alloc(4)
    const value = ~crc32(bytes.subarray(start, end)) >>> 0
    if (little) sum.writeUInt32LE(value)
    else sum.writeUInt32BE(value)
    store.write(end, sum)
  }
  seal(0, 106)
  const blocks = Number(little ? bytes.readBigUInt64LE(60) : bytes.readBigUInt64BE(60))
  if (bytes[105] === 1) seal(110, 110 + Math.ceil(blocks / 8))
}

/** Tar: the sum of the bytes of each header, its own field taken as blanks. */
function sealTar(store: BufferStore): void {
  for (let at = 0; at + 512 <= store.size; at += 512) {
    if (store.bytes.toString('latin1', at + 257, at + 262) !== 'ustar') continue
    const header = Buffer.from(store.bytes.subarray(at, at + 512))
    header.fill(0x20, 148, 156)
    let sum = 0
    for (const byte of header) sum += byte
    store.write(at + 148, Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `))
  }
}

/** VMA: MD5 of the header and of each extent's header, the sum's own bytes taken as zeros. */
function sealVma(store: BufferStore): void {
  const seal = (start: number, length: number, field: number): void => {
    if (length < field + 16 || start + length > store.size) return
    const bytes = Buffer.from(store.bytes.subarray(start, start + length))
    bytes.fill(0, field, field + 16)
    store.write(start + field, createHash('md5').update(bytes).digest())
  }
  if (store.size > 60) seal(0, store.bytes.readUInt32BE(56), 32)
  for (let at = store.bytes.indexOf('VMAE'); at >= 0; at = store.bytes.indexOf('VMAE', at + 512)) seal(at, 512, 24)
}

/** LVM2, where there is a physical volume: the text, the area and the label. */
function sealLvm(store: BufferStore): void {
  const sealed = Buffer.from(store.bytes)
  for (const position of sealPhysicalVolume(sealed)) store.write(position, sealed.subarray(position, position + 4))
}

export const seals: Readonly<Record<string, (store: BufferStore) => void>> = {
  vhd: sealVhd,
  vhdx: sealVhdx,
  partclone: sealPartclone,
  [hiveSubject]: sealHive,
  [filesystemSubject]: sealLvm,
  ova: sealTar,
  xva: sealTar,
  vma: sealVma,
}
