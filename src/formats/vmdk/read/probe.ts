import type { Certainty } from '../../driver.js'
import { beginningOf } from '../format/beginning.js'
import { looksLikeDescriptor } from '../format/descriptor.js'

/** Whether a file is a VMDK: a sparse extent, or a descriptor. */
export function probeVmdk(head: Uint8Array): Certainty {
  return beginningOf(head) === 'other' ? looksLikeDescriptor(head) : 'certain'
}
