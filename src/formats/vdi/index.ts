import type { FormatDriver } from '../driver.js'
import { isKnownVersion } from './format/entries.js'
import { hasSignature, wordAt } from './format/header.js'
import { repairVdi } from './judge/repair.js'
import { openVdi } from './read/reader.js'
import { blockSizeNotes, createOptions, openOptions } from './write/options.js'
import { openWritableVdi } from './write/writable.js'
import { createVdi } from './write/writer.js'

/** VirtualBox's VDI, versions 0 and 1.x. */
export const vdi: FormatDriver = {
  apiVersion: 1,
  id: 'vdi',
  title: 'VirtualBox VDI',
  extensions: ['vdi'],
  subformats: [
    { id: 'dynamic', summary: 'grows with what is written' },
    { id: 'fixed', summary: 'every block of the disk in the file from the start' },
  ],
  features: { parents: 'create', snapshots: false, compression: [], sectorSizes: [512] },
  options: createOptions,
  openOptions,
  probe: (head) => {
    // The signature alone is four bytes in the middle of what may be boot code; the version behind it decides.
    const version = wordAt(head, 68)
    return hasSignature(head) && version !== undefined && isKnownVersion(version) ? 'certain' : 'no'
  },
  open: (store, context) => openVdi(store, context),
  openWritable: (store, context, parent) => openWritableVdi(store, context, parent),
  create: (store, shape, options) => createVdi(store, shape, options),
  createNotes: blockSizeNotes,
  repair: (store) => repairVdi(store),
}
