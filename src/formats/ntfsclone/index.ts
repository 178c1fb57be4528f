import { beginsWith } from '../../binary/begins-with.js'
import { codecFor } from '../../codec/registry.js'
import type { FormatDriver } from '../driver.js'
import { NtfscloneImage } from './reader.js'
import { magic } from './structs.js'

/** Special images of ntfsclone (`ntfsclone --save-image`), which old Clonezilla made of NTFS partitions. */
export const ntfsclone: FormatDriver = {
  apiVersion: 1,
  id: 'ntfsclone',
  title: 'ntfsclone image',
  extensions: ['ntfsclone'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512] },
  options: [],
  probe: (head) => (beginsWith(head, magic) ? 'certain' : 'no'),
  open: (store) => new NtfscloneImage(store, codecFor('ntfsclone')),
}
