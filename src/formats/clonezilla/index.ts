import { beginsWith } from '../../binary/begins-with.js'
import type { FormatDriver } from '../driver.js'
import { ClonezillaImage } from './reader.js'

/** How the log (clonezilla-img) begins. */
const logMark = 'This image was saved by Clonezilla'

/** Folders of Clonezilla, and of Rescuezilla, which writes the same: disks, partitions, logical volumes. */
export const clonezilla: FormatDriver = {
  apiVersion: 1,
  id: 'clonezilla',
  title: 'Clonezilla backup',
  extensions: [],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512, 4096] },
  options: [],
  severalDisks: true,
  probe: (head) => (beginsWith(head, logMark) ? 'certain' : 'no'),
  folderFile: (names) => {
    const isSaved = names.has('parts') || names.has('disk') || [...names].some((name) => name.endsWith('-pt.sf'))
    if (!isSaved) return undefined
    const image = [...names].some((name) => /\.[a-z0-9+_-]+-img(?:\.|$)/.test(name))
    return ['clonezilla-img', ...(image ? ['parts', 'disk'] : [])].find((name) => names.has(name))
  },
  open: (store, context) => new ClonezillaImage(store, context),
}
