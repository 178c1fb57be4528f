import { beginsWith } from '../../binary/begins-with.js'
import type { FormatDriver } from '../driver.js'
import { BochsImage } from './reader.js'
import { magic } from './structs.js'

/** The growing disks of Bochs. */
export const bochs: FormatDriver = {
  apiVersion: 1,
  id: 'bochs',
  title: 'Bochs growing disk',
  extensions: ['bochs'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512] },
  options: [],
  probe: (head) => (beginsWith(head, magic) ? 'certain' : 'no'),
  open: (store) => new BochsImage(store),
}
