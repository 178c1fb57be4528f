import type { FormatDriver } from '../driver.js'
import { createOptions, openOptions, sizeNotes } from './write/options.js'
import { probeVhd } from './read/probe.js'
import { openVhd } from './read/reader.js'
import { repairVhd } from './judge/repair.js'
import { openWritableVhd } from './write/writable.js'
import { createVhd } from './write/writer.js'

/** Microsoft VHD (Virtual PC, "vpc" to QEMU), specification 1.0. */
export const vhd: FormatDriver = {
  apiVersion: 1,
  id: 'vhd',
  title: 'Microsoft VHD (Virtual PC)',
  extensions: ['vhd', 'avhd', 'vpc', 'vud'],
  subformats: [
    { id: 'dynamic', summary: 'grows with what is written' },
    { id: 'fixed', summary: 'every byte of the disk in order, a footer behind' },
  ],
  features: { parents: 'create', snapshots: false, compression: [], sectorSizes: [512] },
  options: createOptions,
  openOptions,
  probe: (head, tail, size) => probeVhd(head, tail, size),
  open: (store, context) => openVhd(store, context),
  openWritable: (store, context, parent) => openWritableVhd(store, context, parent),
  create: (store, shape, options) => createVhd(store, shape, options),
  createNotes: sizeNotes,
  repair: (store, context) => repairVhd(store, context),
}
