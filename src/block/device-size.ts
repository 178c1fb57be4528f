import { deviceNumberText } from '../binary/device-number.js'
import fs, { isWindows } from '../sys/host-fs.js'
import { textOfFile } from '../sys/readable.js'

/** /sys counts in sectors of 512 bytes, whatever the device has. */
const systemSector = 512

/**
 * Bytes of an open block device, whose status says 0. A sector that cannot be read is one of it: a disk with a bad
 * sector is not a smaller disk.
 */
export function deviceSize(descriptor: number): number {
  return recordedSize(descriptor) ?? searchedSize(descriptor)
}

/** As Linux records it. */
function recordedSize(descriptor: number): number | undefined {
  const { rdev } = fs.fstatSync(descriptor, { bigint: true })
  const text = (textOfFile(`/sys/dev/block/${deviceNumberText(rdev)}/size`) ?? '').trim()
  return /^\d{1,13}$/.test(text) ? Number(text) * systemSector : undefined
}

/** By reading single sectors, on any system (about 60 reads). */
function searchedSize(descriptor: number): number {
  const sector = new Uint8Array(4096)
  const isThere = (position: number): boolean => {
    try {
      return fs.readSync(descriptor, sector, 0, 512, position) === 512
    } catch (cause) {
      // Past the end Linux gives no bytes and no error; Windows, and some drivers of it, give one.
      return !isWindows && (cause as NodeJS.ErrnoException).code === 'EIO'
    }
  }
  if (!isThere(0)) return 0
  let low = 0
  let high = 512
  while (isThere(high) && high < 2 ** 52) {
    low = high
    high *= 2
  }
  while (high - low > 512) {
    const middle = low + Math.floor((high - low) / 1024) * 512
    if (isThere(middle)) low = middle
    else high = middle
  }
  return low + 512
}
