import { beginsWith } from '../../binary/begins-with.js'
import { viewOf } from '../../binary/integers.js'

const partitionMapAt = 512
const volumeAt = 1024

/**
 * Whether a file named `.dmg` without a trailer is a raw disk (UDRW) that is whole: it begins with a partition table or
 * a volume of macOS that ends inside the file. A DMG that is cut off can begin with the same bytes, and is shorter than
 * the disk.
 */
export function isRawDisk(head: Uint8Array, size: number): boolean {
  const length = recordedLength(head)
  return length !== undefined && length > 0 && length <= size
}

/** Bytes that the disk or volume has by its own record; undefined where nothing is recognised. */
function recordedLength(head: Uint8Array): number | undefined {
  if (head.length < volumeAt + 512) return undefined
  const view = viewOf(head)
  const holds = (position: number, text: string): boolean => beginsWith(head.subarray(position), text)
  const sectors = (position: number): number => (Number(view.getBigUint64(position, true)) + 1) * 512
  // GPT: the place of its second header, the last sector.
  if (holds(partitionMapAt, 'EFI PART')) return sectors(partitionMapAt + 32)
  // Apple partition map: the driver descriptor has the disk's blocks.
  if (holds(0, 'ER') && holds(partitionMapAt, 'PM')) return view.getUint16(2) * view.getUint32(4)
  if (holds(volumeAt, 'H+') || holds(volumeAt, 'HX'))
    return view.getUint32(volumeAt + 40) * view.getUint32(volumeAt + 44)
  if (holds(volumeAt, 'BD')) return view.getUint32(volumeAt + 20) * view.getUint16(volumeAt + 18)
  if (holds(32, 'NXSB')) return view.getUint32(36, true) * Number(view.getBigUint64(40, true))
  return undefined
}
