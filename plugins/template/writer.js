import { blockSize, digits, line, magic } from './layout.js'

/** A new image. vdisk moves the bytes; the writer says where they go, in ascending order of offset. */
export class HexWriter {
  grain = blockSize

  constructor(store, capacity, layout, compression) {
    this.store = store
    this.capacity = capacity
    this.layout = layout
    // Units of this length are compressed by that codec; those that do not get smaller come to `place`.
    if (compression !== undefined) this.packedUnit = { length: blockSize, codec: compression }
    const blocks = Math.ceil(capacity / blockSize)
    this.table = Buffer.concat(Array.from({ length: blocks }, () => this.entry(0, 0)))
    this.end = roundUp(layout.header.size + this.table.length)
  }

  /** Offsets are multiples of `grain`. A shorter length than asked for is answered with another call. */
  place(offset, length) {
    return { store: this.store, position: this.take(offset, blockSize), length: Math.min(length, blockSize) }
  }

  placePacked(offset, storedLength) {
    return { store: this.store, position: this.take(offset, storedLength) }
  }

  /** Blocks without an entry read as zero. */
  zero() {}

  /** Everything, flushed; then the line that makes it an image. */
  finish() {
    const { header } = this.layout
    if (this.store.size < this.end) this.store.truncate(this.end)
    this.store.write(header.size, this.table)
    this.store.flush()
    const values = { magic, capacity: digits(this.capacity, 16), blockSize: digits(blockSize, 8) }
    this.store.write(0, header.write(values, line(header.size)))
    this.store.flush()
  }

  [Symbol.dispose]() {
    // The store belongs to the caller.
  }

  take(offset, stored) {
    const position = this.end
    this.entry(position, stored).copy(this.table, (offset / blockSize) * this.layout.entry.size)
    this.end = roundUp(position + stored)
    return position
  }

  entry(position, stored) {
    const { entry } = this.layout
    return Buffer.from(entry.write({ position: digits(position, 16), stored: digits(stored, 8) }, line(entry.size)))
  }
}

const roundUp = (position) => Math.ceil(position / 512) * 512
