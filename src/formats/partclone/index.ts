import { beginsWith } from '../../binary/begins-with.js'
import type { FormatDriver } from '../driver.js'
import { PartcloneImage } from './reader.js'
import { magic } from './structs.js'

/** Images of partclone, which Clonezilla and Rescuezilla make of partitions. */
export const partclone: FormatDriver = {
  apiVersion: 1,
  id: 'partclone',
  title: 'partclone image',
  extensions: ['pcl'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512] },
  options: [],
  probe: (head) => (beginsWith(head, magic) ? 'certain' : 'no'),
  open: (store) => new PartcloneImage(store),
}
