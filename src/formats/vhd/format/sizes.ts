import { safeNumber } from '../../../binary/integers.js'
import type { Note } from '../../../block/types.js'
import { corrupt, usage } from '../../../errors.js'
import {
  geometryBytes,
  geometryOf,
  isLargestGeometry,
  largestGeometry,
  maximumDynamicCapacity,
  type Geometry,
} from './layout.js'
import { isSparse } from './footer.js'
import { sectorLength, type FooterValues } from './structs.js'

/** Virtual PC and Virtual Server show their guests a disk of the geometry's size, whatever `current_size` says. */
const geometryCreators = new Set(['vpc ', 'vs  '])
/** QEMU takes `current_size` from images of these creators, and the geometry's size from all others' (block/vpc.c). */
const sizeCreators = new Set(['win ', 'qem2', 'd2v ', 'tap', 'CTXS'])

/**
 * The capacity that a footer stands for: `current_size`, which by the specification is the size "from the perspective
 * of the virtual
 * machine", and never smaller than what any writer meant. With `chs`, the geometry's size, as Virtual PC (and QEMU for
 * some creators)
 * takes it; the largest geometry there is means "too large to say".
 * @throws ImageError corrupt E_SIZE, E_TOO_LARGE; usage E_VHD_SIZE when the geometry says nothing.
 */
export function capacityOf(
  name: string,
  values: FooterValues,
  which: 'footer' | 'chs',
): { readonly capacity: number; readonly notes: readonly Note[] } {
  const notes: Note[] = []
  const stated = safeNumber(values.currentSize, `${name}: current_size of the footer`)
  const whole = stated - (stated % sectorLength)
  const bySectors = geometryBytes(values)
  if (which === 'chs' && !isLargestGeometry(values)) {
    if (bySectors === 0)
      throw usage(
        'E_VHD_SIZE',
        `${name}: its geometry (${values.cylinders}/${values.heads}/${values.sectorsPerTrack}) gives no size`,
        { hint: 'Leave out vhd-size=chs.' },
      )
    return { capacity: bySectors, notes }
  }
  if (whole !== stated)
    notes.push({
      code: 'W_SIZE_ROUNDED',
      message: `${name}: current_size is ${stated} bytes, no multiple of 512; ${whole} are used`,
    })
  if (whole === 0) notes.push({ code: 'W_SIZE_ZERO', message: `${name}: current_size is ${stated}: the disk is empty` })
  if (geometryCreators.has(values.creatorApplication) && bySectors !== whole && !isLargestGeometry(values)) {
    notes.push({
      code: 'W_SIZE_CHS',
      message:
        `${name}: its creator ("${values.creatorApplication}") shows guests the ${bySectors} bytes of ` +
        (`the geometry ${values.cylinders}/${values.heads}/${values.sectorsPerTrack}; current_size, which is ` +
          `used, is ${whole}. The other is had with vhd-size=chs`),
    })
  }
  if (isSparse(values) && whole > maximumDynamicCapacity)
    notes.push({
      code: 'W_SIZE_LIMIT',
      message: `${name}: ${whole} bytes are more than the 2040 GiB that Windows and QEMU take in a dynamic VHD`,
    })
  return { capacity: whole, notes }
}

/**
 * The geometry of a disk that is given another capacity (bytes). Where readers would take the geometry's size for the
 * disk's, and the two
 * differ, it is the largest one, by which they take `current_size`: the end of the disk would be missing for them.
 */
export function resizedGeometry(creatorApplication: string, capacity: number): Geometry {
  const geometry = geometryOf(capacity / sectorLength)
  return sizeCreators.has(creatorApplication) || geometryBytes(geometry) === capacity ? geometry : largestGeometry
}

/** @throws ImageError corrupt E_TRUNCATED when a fixed disk's data ends before its capacity. */
export function fixedNotes(name: string, capacity: number, footerPosition: number): Note[] {
  if (footerPosition < capacity) {
    throw corrupt(
      'E_TRUNCATED',
      `${name}: the disk has ${capacity} bytes, but only ${footerPosition} stand before the footer at byte ` +
        `${footerPosition}: ${capacity - footerPosition} are missing`,
      {
        details: { position: footerPosition, expected: capacity, found: footerPosition },
      },
    )
  }
  const slack = footerPosition - capacity
  return slack === 0
    ? []
    : [
        {
          code: 'W_SLACK',
          message:
            `${name}: ${slack} bytes between the end of the disk (byte ${capacity}) and the footer (byte ` +
            `${footerPosition}) belong to no sector`,
        },
      ]
}
