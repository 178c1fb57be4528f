import { isPowerOfTwo, viewOf } from '../binary/integers.js'

/** Names that boot sectors of filesystems have at byte 3. */
const systemNames = ['EXFAT   ', 'NTFS    ', 'ReFS\0', '-FVE-FS-']

/**
 * Whether the first 512 bytes of a disk are the boot sector of a filesystem that has no table before it. Such sectors
 * end in 55 AA
 * too, and Windows' boot code stands where a table would.
 */
export function isFilesystemBootSector(sector: Uint8Array): boolean {
  const name = Buffer.from(sector.buffer, sector.byteOffset + 3, 8).toString('latin1')
  if (systemNames.some((known) => name.startsWith(known))) return true
  return hasFatParameters(sector)
}

/** A BIOS parameter block of FAT12, FAT16 or FAT32 with a jump before it. */
function hasFatParameters(sector: Uint8Array): boolean {
  const view = viewOf(sector)
  const jump = view.getUint8(0)
  const bytesPerSector = view.getUint16(11, true)
  const sectorsPerCluster = view.getUint8(13)
  const media = view.getUint8(21)
  return (
    (jump === 0xeb || jump === 0xe9) &&
    bytesPerSector >= 512 &&
    bytesPerSector <= 4096 &&
    isPowerOfTwo(bytesPerSector) &&
    sectorsPerCluster > 0 &&
    isPowerOfTwo(sectorsPerCluster) &&
    view.getUint16(14, true) > 0 &&
    [1, 2].includes(view.getUint8(16)) &&
    (media === 0xf0 || media >= 0xf8)
  )
}
