import type { FilesystemFamily } from '../types.js'
import { identifyFat } from './identify.js'

/** FAT12, FAT16 and FAT32 (the sheet's section 4). */
export const fat: FilesystemFamily = {
  id: 'fat',
  identify: (volume) => {
    const found = identifyFat(volume)
    return found === undefined ? [] : [found]
  },
}
