import type { FormatDriver } from '../driver.js'
import { openRaw } from './reader.js'
import { openWritableRaw } from './writable.js'
import { RawWriter } from './writer.js'

/** Raw disk images: every byte of the disk in order, in one file, in numbered parts, or on a block device. */
export const raw: FormatDriver = {
  apiVersion: 1,
  id: 'raw',
  title: 'Raw disk image',
  plain: true,
  extensions: ['raw', 'img', 'image', 'bin', 'dd', '001', '000'],
  subformats: [{ id: 'flat', summary: 'every byte of the disk in order; zeros become holes' }],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512, 4096] },
  options: [
    {
      name: 'preallocation',
      type: 'choice',
      choices: ['off', 'full'],
      default: 'off',
      summary: 'off: zeros become holes; full: every byte is written',
      flag: { value: 'MODE', summary: 'how much of the target is allocated from the start' },
    },
  ],
  openOptions: [
    {
      name: 'parts',
      type: 'boolean',
      default: true,
      summary: 'join the parts (.001 .002 …, .aa .ab …) that lie beside the first one',
    },
  ],
  // Anything can be raw: it is the answer when nothing else is recognised, never a find.
  probe: () => 'possible',
  open: openRaw,
  openWritable: openWritableRaw,
  create: (store, shape, options) => new RawWriter(store, shape, options),
}
