import { createHash } from 'node:crypto'
import { safeNumber, viewOf } from '../../binary/integers.js'
import { headerBytes } from '../../block/header-bytes.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, printable, unsupported, type ImageError } from '../../errors.js'
import { blobStart, configData, configNames, deviceLength, devices, header, mostDevices } from './structs.js'

/** A disk of the archive, or the memory of the machine. */
export interface Device {
  readonly id: number
  /** `drive-scsi0`; `vmstate` is memory. */
  readonly name: string
  readonly size: number
}

export interface VmaHeader {
  readonly uuid: string
  /** Seconds since 1970. */
  readonly created: number
  readonly devices: readonly Device[]
  /** Files of text by name: `qemu-server.conf`. */
  readonly configs: ReadonlyMap<string, string>
  /** Where the extents begin. */
  readonly end: number
}

/** The blob buffer holds names and configurations only. */
const longestHeader = 64 * 1024 * 1024

/** @throws ImageError corrupt E_HEADER, E_CHECKSUM, E_TRUNCATED; unsupported E_UNSUPPORTED_VERSION. */
export function readVmaHeader(store: ByteStore): VmaHeader {
  const { name } = store
  const bad = (message: string, position: number): ImageError =>
    corrupt('E_HEADER', `${name}: ${message} (header byte ${position})`, { details: { position } })
  const { version, headerSize: length } = header.read(headerBytes(store, blobStart, 'the header of a VMA archive'))
  if (version !== 1)
    throw unsupported('E_UNSUPPORTED_VERSION', `${name} is a VMA archive of version ${version}; 1 is read`)
  if (length < blobStart || length % 512 !== 0 || length > longestHeader)
    throw bad(`the header has ${length} bytes, expected whole sectors from ${blobStart} to ${longestHeader}`, 56)
  const bytes = headerBytes(store, length, 'the header of a VMA archive')
  const { md5, uuid, created, blobOffset, blobSize } = header.read(bytes)
  const sum = createHash('md5')
    .update(header.without('md5', bytes, length))
    .digest()
  if (!sum.equals(md5)) throw damagedSum(store, 0, 'its header')
  if (blobOffset < blobStart || blobOffset + blobSize > length)
    throw bad(`the blob buffer takes bytes ${blobOffset} to ${blobOffset + blobSize} of ${length}`, 48)
  const blob = bytes.subarray(blobOffset, blobOffset + blobSize)
  const view = viewOf(bytes)
  const found: Device[] = []
  for (let id = 1; id < mostDevices; id++) {
    const at = devices + id * deviceLength
    const place = view.getUint32(at)
    if (place === 0) continue
    const size = safeNumber(view.getBigUint64(at + 8), `${name}: the size of device ${id}`)
    found.push({ id, name: textAt(blob, place, () => bad(`device ${id} has no name`, at)), size })
  }
  const configs = new Map<string, string>()
  for (let index = 0; index < 256; index++) {
    const place = view.getUint32(configNames + index * 4)
    if (place === 0) continue
    const missing = (): ImageError => bad(`configuration ${index} is not there`, configNames + index * 4)
    configs.set(textAt(blob, place, missing), textAt(blob, view.getUint32(configData + index * 4), missing))
  }
  return { uuid, created: Number(created), devices: found, configs, end: length }
}

/** {u16 length, little-endian; bytes}, up to the first NUL. */
function textAt(blob: Uint8Array, place: number, missing: () => ImageError): string {
  if (place === 0 || place + 2 > blob.length) throw missing()
  const length = viewOf(blob).getUint16(place, true)
  if (place + 2 + length > blob.length) throw missing()
  return Buffer.from(blob.subarray(place + 2, place + 2 + length))
    .toString('utf8')
    .replace(/\0[^]*$/, '')
}

/** What has another MD5 than it records. */
export function damagedSum({ name }: ByteStore, position: number, what: string): ImageError {
  return corrupt('E_CHECKSUM', `${name}: the MD5 of ${printable(what)} is not the one that is recorded in it`, {
    details: { position },
    hint: 'Copy the archive again.',
  })
}
