import { beginsWith } from '../../binary/begins-with.js'
import type { FormatDriver } from '../driver.js'
import { FixedIndexImage } from './reader.js'
import { dynamicIndexMark, fixedIndexMark } from './structs.js'

/** Disks in a datastore of Proxmox Backup Server: an index of chunks, which lie in the folder `.chunks`. */
export const pbs: FormatDriver = {
  apiVersion: 1,
  id: 'pbs',
  title: 'Proxmox Backup Server disk',
  extensions: ['fidx'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: ['zstd'], sectorSizes: [512] },
  options: [],
  probe: (head) => (beginsWith(head, fixedIndexMark) || beginsWith(head, dynamicIndexMark) ? 'certain' : 'no'),
  // A machine with one disk; of several, one is to be named.
  folderFile: (names) => {
    const [only, ...others] = [...names].filter((name) => name.endsWith('.img.fidx'))
    return others.length === 0 ? only : undefined
  },
  open: (store, context) => new FixedIndexImage(store, context),
}
