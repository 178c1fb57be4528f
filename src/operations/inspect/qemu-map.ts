import type { DiskMap, MapExtent, MapLayer } from './map.js'

/** An element of what `qemu-img map --output=json` prints. */
export interface QemuExtent {
  readonly start: number
  readonly length: number
  readonly depth: number
  readonly present: boolean
  readonly zero: boolean
  readonly data: boolean
  /** Since QEMU 8.2. */
  readonly compressed: boolean
  readonly offset?: number
}

/**
 * The same map in QEMU's words, joined as QEMU joins. QEMU sees holes of a file through raw and fixed images, and
 * through QCOW2 images
 * that look preallocated. It knows no map of VHDX: there this says more than QEMU does.
 */
export function* qemuExtents(map: DiskMap): Generator<QemuExtent> {
  const layers = map.layers.map(qemuLayer)
  let current: QemuExtent | undefined
  for (const extent of map.extents()) {
    const next = translated(extent, layers[extent.depth] ?? 'plain')
    if (current !== undefined && follows(current, next)) current = { ...current, length: current.length + next.length }
    else {
      if (current !== undefined) yield current
      current = next
    }
  }
  if (current !== undefined) yield current
}

/** How QEMU sees a hole of the file under an image: as nothing, as zeros that are stored, or not at all. */
type HoleSight = 'hole' | 'zero' | 'plain'

function qemuLayer({ format, subformat, size, allocated, grain }: MapLayer): HoleSight {
  if (format === 'raw') return 'hole'
  if (format === 'vhd' && subformat === 'fixed') return 'zero'
  if (format !== 'qcow2' || size === undefined || allocated === undefined) return 'plain'
  // Much more of the file in use than it takes of the disk (block/qcow2-refcount.c,
  // qcow2_detect_metadata_preallocation).
  return size >= Math.max((allocated * 10) / 9, allocated + 2 * grain) ? 'zero' : 'plain'
}

function translated({ offset: start, length, depth, kind, position }: MapExtent, sight: HoleSight): QemuExtent {
  const place = position === undefined ? {} : { offset: position }
  switch (kind) {
    case 'absent':
      return { start, length, depth, present: false, zero: true, data: false, compressed: false }
    case 'zero':
      return { start, length, depth, present: true, zero: true, data: false, compressed: false }
    case 'compressed':
      return { start, length, depth, present: true, zero: false, data: true, compressed: true }
    case 'hole':
      return {
        start,
        length,
        depth,
        present: true,
        zero: sight !== 'plain',
        data: sight !== 'hole',
        compressed: false,
        ...place,
      }
    case 'data':
      return { start, length, depth, present: true, zero: false, data: true, compressed: false, ...place }
  }
}

function follows(a: QemuExtent, b: QemuExtent): boolean {
  return (
    a.depth === b.depth &&
    a.present === b.present &&
    a.zero === b.zero &&
    a.data === b.data &&
    a.compressed === b.compressed &&
    (a.offset === undefined ? b.offset === undefined : b.offset === a.offset + a.length)
  )
}
