import type { FormatDriver } from '../driver.js'
import { repairVmdk } from './judge/repair.js'
import { openVmdk } from './read/reader.js'
import { probeVmdk } from './read/probe.js'
import { isPartName } from './read/set.js'
import { createTypes, optionSpecs } from './write/options.js'
import { openWritableVmdk } from './write/writable.js'
import { createVmdk } from './write/writer.js'

/** VMware virtual disks, of one file or of several (Virtual Disk Format 5.0). */
export const vmdk: FormatDriver = {
  apiVersion: 1,
  id: 'vmdk',
  title: 'VMware virtual disk (VMDK)',
  extensions: ['vmdk'],
  subformats: createTypes,
  features: { parents: 'create', snapshots: false, compression: ['zlib'], sectorSizes: [512] },
  options: optionSpecs,
  openOptions: [
    {
      name: 'any-parent-cid',
      type: 'boolean',
      default: false,
      summary: 'take a parent although its content id is not the one recorded',
    },
    {
      name: 'markers',
      type: 'boolean',
      default: false,
      summary: 'read a stream whose footer is missing by its markers, as far as it goes',
    },
    { name: 'alone', type: 'boolean', default: false, summary: 'read one sparse extent of a split disk as it is' },
  ],
  probe: (head) => probeVmdk(head),
  isPartName,
  open: (store, context) => openVmdk(store, context),
  create: createVmdk,
  changesExtents: true,
  repair: repairVmdk,
  openWritable: openWritableVmdk,
}
