import type { FormatDriver } from '../driver.js'
import { openParallels } from './opening.js'
import { folderFile, isDescriptor, isExpandable, isPartName } from './probe.js'

/** Disks of Parallels: an expandable image (.hds), ploop's too, and the folder of several files (.hdd). */
export const parallels: FormatDriver = {
  apiVersion: 1,
  id: 'parallels',
  title: 'Parallels disk',
  extensions: ['hds', 'hdd'],
  subformats: [],
  features: { parents: 'none', snapshots: true, compression: [], sectorSizes: [512] },
  options: [],
  openOptions: [
    { name: 'alone', type: 'boolean', default: false, summary: 'read one file of a disk of several as it is' },
  ],
  probe: (head) => (isExpandable(head) || isDescriptor(head) ? 'certain' : 'no'),
  isPartName,
  folderFile,
  open: openParallels,
}
