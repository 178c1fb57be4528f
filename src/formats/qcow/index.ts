import { viewOf } from '../../binary/integers.js'
import type { FormatDriver } from '../driver.js'
import { QcowImage } from './reader.js'
import { magic } from './structs.js'

/** QCOW version 1: read only, nobody should make new ones. */
export const qcow: FormatDriver = {
  apiVersion: 1,
  id: 'qcow',
  title: 'QEMU copy-on-write image, version 1',
  extensions: ['qcow'],
  subformats: [],
  features: { parents: 'read', snapshots: false, compression: ['zlib'], sectorSizes: [512] },
  options: [],
  probe: (head) =>
    head.length >= 8 && viewOf(head).getUint32(0) === magic && viewOf(head).getUint32(4) === 1 ? 'certain' : 'no',
  open: (store) => new QcowImage(store),
}
