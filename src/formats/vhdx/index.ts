import { subformatOption, unitOption, parentCapacityNotes, type FormatDriver } from '../driver.js'
import { openVhdx } from './read/reader.js'
import { repairVhdx } from './judge/repair.js'
import { fileSignature } from './format/structs.js'
import { openWritableVhdx } from './write/writable.js'
import { VhdxWriter } from './write/writer.js'

/** Microsoft VHDX (Hyper-V, MS-VHDX). */
export const vhdx: FormatDriver = {
  apiVersion: 1,
  id: 'vhdx',
  title: 'Microsoft VHDX (Hyper-V)',
  extensions: ['vhdx', 'avhdx'],
  subformats: [
    { id: 'dynamic', summary: 'grows with what is written' },
    { id: 'fixed', summary: 'every block has its place from the start' },
  ],
  features: { parents: 'create', snapshots: false, compression: [], sectorSizes: [512, 4096] },
  options: [
    subformatOption({
      choices: ['dynamic', 'fixed'],
      default: 'dynamic',
      summary: 'dynamic grows with what is written; fixed has every block from the start',
    }),
    unitOption('block-size', {
      summary: 'unit of allocation, a power of two from 1M to 256M (default by capacity, 2M with a parent)',
    }),
    {
      name: 'physical-sector-size',
      type: 'choice',
      choices: ['512', '4096'],
      default: '4096',
      summary: 'physical sector size that guests see',
    },
  ],
  openOptions: [
    {
      name: 'ignore-log',
      type: 'boolean',
      default: false,
      summary: 'read the file as if its log were empty: changes logged last are lost',
    },
  ],
  createNotes: parentCapacityNotes,
  probe: (head) =>
    Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, fileSignature.length)).toString('latin1') ===
    fileSignature
      ? 'certain'
      : 'no',
  open: (store, context) => openVhdx(store, context),
  openWritable: (store, context, parent) => openWritableVhdx(store, context, parent),
  create: (store, shape, options) => new VhdxWriter(store, shape, options),
  repair: (store, context) => repairVhdx(store, context),
}
