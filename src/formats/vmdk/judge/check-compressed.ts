import { extentFaults } from '../../../block/extent-faults.js'
import type { BlockSource } from '../../../block/types.js'
import type { Work } from '../../../block/work.js'
import type { Finding } from '../../driver.js'

/** Decodes every compressed grain. Entries that lead to no grain are reported by the walk over the tables. */
export function* checkCompressed(disk: Pick<BlockSource, 'capacity' | 'extentAt' | 'grain'>): Work<void, Finding> {
  for (const item of extentFaults(disk, disk.grain, true)) {
    if (!('error' in item)) yield item
    else if (item.error.code === 'E_COMPRESSED')
      yield {
        severity: 'error',
        code: 'E_COMPRESSED',
        structure: `grain of guest offset ${item.offset}`,
        message: item.error.message,
      }
  }
}
