import { ignoreChecksums, type FormatDriver } from '../driver.js'
import { isRawDisk } from './raw-disk.js'
import { openDmg } from './segments.js'
import { isTrailer, trailerFromEnd } from './trailer.js'

/** Apple disk images (UDIF). */
export const dmg: FormatDriver = {
  apiVersion: 1,
  id: 'dmg',
  title: 'Apple disk image (DMG)',
  extensions: ['dmg', 'dmgpart'],
  subformats: [],
  features: {
    parents: 'none',
    snapshots: false,
    compression: ['zlib', 'bzip2', 'adc', 'lzfse', 'lzma'],
    sectorSizes: [512],
  },
  options: [],
  openOptions: [ignoreChecksums],
  probe: (head, tail) => {
    const fromEnd = trailerFromEnd(tail)
    if (fromEnd === 512) return 'certain'
    return fromEnd !== undefined || isTrailer(head.subarray(0, 12)) ? 'possible' : 'no'
  },
  mayBeRaw: isRawDisk,
  open: openDmg,
}
