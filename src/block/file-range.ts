import type { ByteStore } from './types.js'

/** Bytes [start, end). */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** Bytes of a file that another thread can read. */
export interface DescriptorRange extends ByteRange {
  readonly descriptor: number
}

/** Where a range of the store lies in a file that another thread can read; undefined: in none. */
export function rangeInFile(store: ByteStore, { start, end }: ByteRange): DescriptorRange | undefined {
  let place = { store, position: start }
  for (let { source } = place.store; source !== undefined; { source } = place.store) {
    const extent = source.extentAt(place.position, end - start)
    if (extent.kind !== 'data' || extent.length < end - start) break
    place = { store: extent.store, position: extent.position }
  }
  const { fd: descriptor, descriptorAlignment = 1 } = place.store
  return descriptor === undefined || descriptorAlignment !== 1
    ? undefined
    : { descriptor, start: place.position, end: place.position + end - start }
}
