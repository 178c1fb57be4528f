import type { FormatDriver } from '../driver.js'
import { bundleType } from './info.js'
import { SparseBundle } from './reader.js'

/** Apple's sparse bundles: folders with a file for each band of the disk. */
export const sparsebundle: FormatDriver = {
  apiVersion: 1,
  id: 'sparsebundle',
  title: 'Apple sparse bundle',
  extensions: ['sparsebundle'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512] },
  options: [],
  probe: (head) => {
    const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 4096)).toString('latin1')
    return /^(?:\xef\xbb\xbf)?\s*</.test(text) && text.includes(bundleType) ? 'certain' : 'no'
  },
  folderFile: (names) =>
    names.has('bands') ? ['Info.plist', 'Info.bckup'].find((name) => names.has(name)) : undefined,
  open: (store, context) => new SparseBundle(store, context),
}
