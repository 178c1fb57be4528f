import { hex32 } from '../binary/hex.js'
import { guidText, parseGuid } from '../binary/guid.js'
import { viewOf } from '../binary/integers.js'
import type { DiskPlace } from './disk-place.js'

const gptMark = 'DMIO:ID:'

/** A value of the key MountedDevices: which partition a drive letter means. Undefined: it is none of a disk's table. */
export function mountedDevice(bytes: Uint8Array): DiskPlace | undefined {
  const view = viewOf(bytes)
  if (bytes.length === 12) {
    const start = Number(view.getBigUint64(4, true))
    return { scheme: 'mbr', disk: hex32(view.getUint32(0, true)), start }
  }
  if (bytes.length !== 24 || Buffer.from(bytes.subarray(0, 8)).toString('latin1') !== gptMark) return undefined
  return { scheme: 'gpt', partition: guidText(bytes.subarray(8)) }
}

/** The value for a partition. */
export function mountedDeviceBytes(place: DiskPlace): Uint8Array {
  if (place.scheme === 'mbr') {
    const bytes = new Uint8Array(12)
    viewOf(bytes).setUint32(0, Number.parseInt(place.disk, 16), true)
    viewOf(bytes).setBigUint64(4, BigInt(place.start), true)
    return bytes
  }
  const bytes = new Uint8Array(24)
  bytes.set(Buffer.from(gptMark, 'latin1'))
  bytes.set(parseGuid(place.partition) ?? [], 8)
  return bytes
}
