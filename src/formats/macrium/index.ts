import { endsWith } from '../../binary/begins-with.js'
import type { FormatDriver } from '../driver.js'
import { MacriumImage } from './reader.js'
import { footerMark } from './structs.js'

/** Images of Macrium Reflect X: disks and partitions, in sets of full, differential and incremental files. */
export const macrium: FormatDriver = {
  apiVersion: 1,
  id: 'macrium',
  title: 'Macrium Reflect image',
  extensions: ['mrimgx', 'mrimg'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: ['zstd'], sectorSizes: [512, 4096] },
  options: [],
  severalDisks: true,
  probe: (_head, tail) => (endsWith(tail, footerMark) ? 'certain' : 'no'),
  open: (store, context) => new MacriumImage(store, context),
}
