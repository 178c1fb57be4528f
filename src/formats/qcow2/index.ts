import { viewOf } from '../../binary/integers.js'
import type { FormatDriver } from '../driver.js'
import { optionSpecs } from './write/options.js'
import { Qcow2Image } from './read/reader.js'
import { repairQcow2 } from './judge/repair.js'
import { magic } from './format/structs.js'
import { openWritableQcow2 } from './write/writable.js'
import { Qcow2Writer } from './write/writer.js'

/**
 * QCOW2, versions 2 and 3. A file with the magic and an unknown version is ours to refuse; version 1 is another format.
 */
export const qcow2: FormatDriver = {
  apiVersion: 1,
  id: 'qcow2',
  title: 'QEMU copy-on-write image, version 2 and 3',
  extensions: ['qcow2'],
  subformats: [
    { id: 'v3', summary: 'zero clusters and later features (QEMU 1.1 and newer)' },
    { id: 'v2', summary: 'for programs that do not know version 3' },
  ],
  features: {
    parents: 'create',
    snapshots: true,
    compression: ['zlib', 'zstd'],
    sectorSizes: [512, 4096],
    childSize: 'any',
    bitmaps: true,
  },
  options: optionSpecs,
  probe(head) {
    if (head.length < 4 || viewOf(head).getUint32(0) !== magic) return 'no'
    return head.length >= 8 && viewOf(head).getUint32(4) === 1 ? 'no' : 'certain'
  },
  open: (store, context) => new Qcow2Image(store, context),
  repair: (store) => repairQcow2(store),
  create: (store, shape, options, context) => new Qcow2Writer(store, shape, options, context),
  openWritable: openWritableQcow2,
}
