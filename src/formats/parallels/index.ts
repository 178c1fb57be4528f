import { beginsWith } from '../../binary/mark.js'
import type { FormatDriver } from '../driver.js'
import { ParallelsImage } from './reader.js'
import { newMagic, oldMagic } from './structs.js'

/** Parallels' expandable images (.hds, .hdd), and ploop's. */
export const parallels: FormatDriver = {
  apiVersion: 1,
  id: 'parallels',
  title: 'Parallels disk',
  extensions: ['hds', 'hdd'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512] },
  options: [],
  probe: (head) => (beginsWith(head, oldMagic) || beginsWith(head, newMagic) ? 'certain' : 'no'),
  open: (store) => new ParallelsImage(store),
}
