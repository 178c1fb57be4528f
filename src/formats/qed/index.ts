import { beginsWith } from '../../binary/begins-with.js'
import type { FormatDriver } from '../driver.js'
import { QedImage } from './reader.js'
import { magic } from './structs.js'

/** QEMU's retired format QED. */
export const qed: FormatDriver = {
  apiVersion: 1,
  id: 'qed',
  title: 'QEMU QED',
  extensions: ['qed'],
  subformats: [],
  features: { parents: 'read', snapshots: false, compression: [], sectorSizes: [512] },
  options: [],
  probe: (head) => (beginsWith(head, magic) ? 'certain' : 'no'),
  open: (store) => new QedImage(store),
}
