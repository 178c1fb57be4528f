import { crc32c } from '../../../binary/checksum.js'
import type { ByteStore } from '../../../block/types.js'
import type { CurrentHeader } from './header.js'
import { header, headerPositions } from './structs.js'
import type { Header } from './structs.js'

/**
 * Changes the headers so that one of them is always whole (MS-VHDX 2.2.2: the one that is not current first, then the
 * other).
 */
export class HeaderWriter {
  readonly #store: ByteStore
  readonly #base: Uint8Array
  #values: Header
  #position: number

  constructor(store: ByteStore, current: Pick<CurrentHeader, 'values' | 'position' | 'bytes'>) {
    this.#store = store
    this.#base = current.bytes
    this.#values = current.values
    this.#position = current.position
  }

  get values(): Header {
    return this.#values
  }

  /** Both headers with these fields changed, durable when this returns. What they lead to is flushed before. */
  update(changes: Partial<Omit<Header, 'sequenceNumber' | 'checksum'>>): void {
    for (let copy = 0; copy < headerPositions.length; copy++) {
      const other = this.#position === headerPositions[0] ? headerPositions[1] : headerPositions[0]
      const values = { ...this.#values, ...changes, checksum: 0, sequenceNumber: this.#values.sequenceNumber + 1n }
      const checksum = crc32c(header.write(values, this.#base))
      this.#store.write(other, header.write({ ...values, checksum }, this.#base))
      this.#store.flush()
      this.#values = { ...values, checksum }
      this.#position = other
    }
  }
}
