import { unsupported } from '../../errors.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import type { DiskImage, OpenContext, WritableImage } from '../driver.js'
import { openRaw } from './reader.js'

/** A raw image open for changes: every byte has its place, and a discard leaves a hole. */
class WritableRaw implements WritableImage {
  readonly format = 'raw'
  readonly sectorSize = 512
  readonly grain = 512
  readonly #store: ByteStore
  readonly #context: OpenContext
  #image: DiskImage

  constructor(store: ByteStore, context: OpenContext) {
    this.#store = store
    this.#context = context
    this.#image = openRaw(store, context)
  }

  get subformat(): string {
    return this.#image.subformat
  }

  get notes(): readonly Note[] {
    return this.#image.notes
  }

  get capacity(): number {
    return this.#image.capacity
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#image.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#image.read(offset, target)
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#within(offset, bytes.length)
    this.#store.write(offset, bytes)
  }

  discard(offset: number, length: number): void {
    this.#within(offset, length)
    if (length === 0) return
    if (this.#store.zero === undefined) this.#store.write(offset, new Uint8Array(length))
    else this.#store.zero(offset, length)
  }

  flush(): void {
    this.#store.flush()
  }

  resize(capacity: number): void {
    if (!this.#store.growable)
      throw unsupported(
        'E_NO_RESIZE',
        `${this.#store.name} has ${this.capacity} bytes and cannot be given another size`,
      )
    this.#store.truncate(capacity)
    this.#image = openRaw(this.#store, this.#context)
  }

  describe(): Section[] {
    return this.#image.describe()
  }

  [Symbol.dispose](): void {
    this.#image[Symbol.dispose]()
  }

  #within(offset: number, length: number): void {
    if (offset < 0 || length < 0 || offset + length > this.capacity)
      throw new RangeError(`${length} bytes at offset ${offset} leave the disk of ${this.capacity} bytes`)
  }
}

/**
 * Opens a raw image of one file to change it. @throws ImageError unsupported E_NOT_WRITABLE for an image of several
 * parts.
 */
export function openWritableRaw(store: ByteStore, context: OpenContext): WritableImage {
  const image = new WritableRaw(store, context)
  if (image.subformat === 'flat') return image
  throw unsupported('E_NOT_WRITABLE', `${store.name} is an image of several parts, which are not changed in place`, {
    hint: 'Convert it to an image of one file.',
  })
}
