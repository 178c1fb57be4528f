import type { ByteStore, Extent } from './types.js'

/** The run at an offset of a disk whose bytes lie in a store as they are, the first at its start. */
export function linearExtent(store: ByteStore, capacity: number, offset: number, limit: number): Extent {
  if (offset < 0 || offset >= capacity) throw new RangeError(`offset ${offset} leaves the disk of ${capacity} bytes`)
  return { kind: 'data', offset, length: Math.min(limit, capacity - offset), store, position: offset }
}
