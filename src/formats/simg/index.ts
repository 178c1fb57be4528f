import type { FormatDriver } from '../driver.js'
import { SparseImage } from './reader.js'

const magic = [0x3a, 0xff, 0x26, 0xed]

/** Android sparse images, as fastboot sends them. */
export const simg: FormatDriver = {
  apiVersion: 1,
  id: 'simg',
  title: 'Android sparse image',
  extensions: ['simg'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512] },
  options: [],
  probe: (head) => (magic.every((byte, index) => head[index] === byte) && head[4] === 1 ? 'certain' : 'no'),
  open: (store) => new SparseImage(store),
}
