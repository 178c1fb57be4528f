import { beginsWith } from '../../binary/begins-with.js'
import type { FormatDriver } from '../driver.js'
import { AppleSparseImage } from './reader.js'
import { magic } from './structs.js'

/** Apple's sparse images of one file. */
export const sparseimage: FormatDriver = {
  apiVersion: 1,
  id: 'sparseimage',
  title: 'Apple sparse image',
  extensions: ['sparseimage'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512] },
  options: [],
  // Four letters are too few; the version, a number of 32 bits, has been 3 for ever.
  probe: (head) => (beginsWith(head, magic) && head[4] === 0 && head[5] === 0 && head[6] === 0 ? 'certain' : 'no'),
  open: (store) => new AppleSparseImage(store),
}
