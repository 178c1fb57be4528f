import { beginsWith } from '../../binary/begins-with.js'
import type { ByteStore } from '../../block/types.js'
import { ignoreChecksums, type DiskImage, type FormatDriver, type OpenContext } from '../driver.js'
import { readAcquisition } from './acquisition.js'
import { EwfImage } from './reader.js'
import { openSegments } from './segments.js'
import { signature1, signature2 } from './structs.js'

/** Expert Witness images of forensic tools: E01 (EnCase, FTK Imager, libewf), S01 (SMART), Ex01 (EnCase 7). */
export const ewf: FormatDriver = {
  apiVersion: 1,
  id: 'ewf',
  title: 'Expert Witness image (E01, Ex01, S01)',
  extensions: ['e01', 'ex01', 's01'],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: ['zlib', 'bzip2'], sectorSizes: [512, 4096] },
  options: [],
  openOptions: [ignoreChecksums],
  probe: (head) => (beginsWith(head, signature1) || beginsWith(head, signature2) ? 'certain' : 'no'),
  open,
}

function open(store: ByteStore, context: OpenContext): DiskImage {
  const others: ByteStore[] = []
  try {
    const { list, names, missing } = openSegments(store, context, others)
    const acquisition = readAcquisition(list)
    return new EwfImage(store, acquisition, { others, names, missing })
  } catch (error) {
    // The first store stays the caller's until the image exists.
    for (const other of others) other[Symbol.dispose]()
    throw error
  }
}
