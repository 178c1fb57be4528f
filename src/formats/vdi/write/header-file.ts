import type { ByteStore } from '../../../block/types.js'
import { header, type HeaderValues } from '../format/structs.js'
import { randomUuid } from '../../../sys/random-uuid.js'

/**
 * The header of an image that is changed. It lies in the file's first sector: a power cut leaves the old or the new.
 */
export class HeaderFile {
  readonly #store: ByteStore
  readonly #length: number
  values: HeaderValues
  /** What the modification UUID becomes with the first change. */
  readonly nextModification: string

  /**
   * @param length bytes of the header, from the start of the file. @param keepsContent whether the guest sees the same
   * after all changes: children go by the modification UUID.
   */
  constructor(store: ByteStore, values: HeaderValues, length: number, keepsContent = false) {
    this.nextModification = keepsContent ? values.modificationUuid : randomUuid()
    this.#store = store
    this.#length = Math.min(length, header.size)
    this.values = values
  }

  write(changes: Partial<HeaderValues>): void {
    this.values = { ...this.values, ...changes }
    this.#store.write(0, header.write(this.values).subarray(0, this.#length))
  }
}
