import { beginsWith } from '../../binary/begins-with.js'
import { codecFor } from '../../codec/registry.js'
import type { FormatDriver } from '../driver.js'
import { CloopImage } from './reader.js'

const magic = '#!/bin/sh\n#V2.0 Format\n'

/** Compressed loop images of Knoppix, version 2. */
export const cloop: FormatDriver = {
  apiVersion: 1,
  id: 'cloop',
  title: 'compressed loop (cloop)',
  extensions: ['cloop'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: ['zlib'], sectorSizes: [512] },
  options: [],
  probe: (head) => (beginsWith(head, magic) ? 'certain' : 'no'),
  open: (store) => new CloopImage(store, codecFor('zlib')),
}
