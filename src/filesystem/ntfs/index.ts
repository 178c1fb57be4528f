import type { FilesystemFamily } from '../types.js'
import { identifyNtfs } from './identify.js'

/** NTFS (the sheet's section 6). */
export const ntfs: FilesystemFamily = {
  id: 'ntfs',
  identify: (volume) => {
    const found = identifyNtfs(volume)
    return found === undefined ? [] : [found]
  },
}
