import type { Extent } from './types.js'

type Packed = Extract<Extent, { kind: 'packed' }>

/** A run in the coordinates of a disk in which it begins at `offset`; `shift` is what its unit moves by. */
export function movedExtent(extent: Extent, offset: number, shift: number): Extent {
  const { length } = extent
  // Written out, not spread: objects that were spread make the code that reads them slow, and this is done for every
  // read of a partition.
  switch (extent.kind) {
    case 'data':
      return { kind: 'data', offset, length, store: extent.store, position: extent.position }
    case 'packed':
      return movedPacked(extent, offset, length, shift)
    default:
      return { kind: extent.kind, offset, length }
  }
}

/** A part of a compressed unit that begins at `offset`. */
export function movedPacked(
  { kind, store, position, storedLength, codec, unitOffset, unitLength, decoded }: Packed,
  offset: number,
  length: number,
  shift = 0,
): Packed {
  return {
    kind,
    offset,
    length,
    store,
    position,
    storedLength,
    codec,
    unitOffset: unitOffset + shift,
    unitLength,
    decoded,
  }
}
