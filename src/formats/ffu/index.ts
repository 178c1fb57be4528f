import { beginsWith } from '../../binary/begins-with.js'
import type { FormatDriver } from '../driver.js'
import { FfuImage } from './reader.js'
import { securityMark } from './structs.js'

/** Full flash updates: disks of Windows devices, as they are flashed. */
export const ffu: FormatDriver = {
  apiVersion: 1,
  id: 'ffu',
  title: 'Full flash update (FFU)',
  extensions: ['ffu'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512, 4096] },
  options: [],
  severalDisks: true,
  probe: (head) => (beginsWith(head.subarray(4), securityMark) ? 'certain' : 'no'),
  open: (store, context) => new FfuImage(store, context),
}
