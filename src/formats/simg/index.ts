import { ignoreChecksums, type FormatDriver } from '../driver.js'
import { openSparse } from './opening.js'

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
  openOptions: [
    {
      name: 'parts',
      type: 'boolean',
      default: true,
      summary: 'join the numbered parts (super_1.img super_2.img …) that lie beside the one given',
    },
    ignoreChecksums,
  ],
  probe: (head) => (magic.every((byte, index) => head[index] === byte) && head[4] === 1 ? 'certain' : 'no'),
  open: openSparse,
}
