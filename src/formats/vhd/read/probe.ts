import type { Certainty } from '../../driver.js'
import { findFooters, isBehindItsData, isSparse, type Footers } from '../format/footer.js'
import { diskType, version1 } from '../format/structs.js'

/**
 * Whether a file is a VHD. The end decides: a disk whose guest data begins with `conectix` is none.
 *
 * - An intact footer at the end is certain when the rest agrees with it: a fixed disk's data reaches at least up to it,
 *   a dynamic
 *   disk's header is where it says (or out of sight). Otherwise it may be the last sector of a disk that contains a
 *   VHD: possible.
 * - Without one, an intact copy at byte 0 of a dynamic disk is certain when the dynamic header follows: a file whose
 *   end was lost.
 *   A copy that describes a fixed disk is guest data.
 * - A footer with bytes after it is certain when it fits its own place exactly (footer.ts).
 * - Damaged footers in the right place are taken when something else agrees, so that the damage is reported.
 */
export function probeVhd(head: Uint8Array, tail: Uint8Array, size: number): Certainty {
  const footers = findFooters(head, tail, size)
  const judged = [endCertainty(footers), copyCertainty(footers), insideCertainty(footers), cutCertainty(footers)]
  return judged.includes('certain') ? 'certain' : judged.includes('possible') ? 'possible' : 'no'
}

function endCertainty({ end, copy, header }: Footers): Certainty {
  if (end === undefined) return 'no'
  const { values, intact } = end
  if (values.diskType === diskType.fixed) {
    if (isBehindItsData(end)) return 'certain'
    return intact && Number(values.currentSize) > end.position ? 'certain' : 'possible'
  }
  if (isSparse(values))
    return header !== false && (intact || copy !== undefined || header === true) ? 'certain' : 'possible'
  return intact ? 'certain' : 'possible'
}

function copyCertainty({ copy, header }: Footers): Certainty {
  if (copy === undefined) return 'no'
  const { values, intact } = copy
  if (isSparse(values)) {
    if (header === true) return 'certain'
    return intact || values.fileFormatVersion === version1 ? 'possible' : 'no'
  }
  if (values.diskType === diskType.fixed) return 'no'
  // Of a type there is none of, or damaged just there: the dynamic header says that it was meant as a VHD.
  return header === true ? 'certain' : 'no'
}

function insideCertainty({ inside }: Footers): Certainty {
  return inside === undefined ? 'no' : 'certain'
}

function cutCertainty({ cut }: Footers): Certainty {
  if (cut === undefined) return 'no'
  return cut.size === cut.position ? 'certain' : cut.available >= 16 ? 'possible' : 'no'
}
