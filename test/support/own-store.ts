import { openImage, type ReadableStore } from 'vdisk'

/** An image that a program holds in memory; others read from a database, or ask a server. */
class HeldImage implements ReadableStore {
  readonly name = 'backup 17'
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get size(): number {
    return this.#bytes.length
  }

  read(position: number, target: Uint8Array): void {
    target.set(this.#bytes.subarray(position, position + target.length))
  }
}

export async function bootSector(bytes: Uint8Array): Promise<Uint8Array> {
  using image = await openImage(new HeldImage(bytes))
  return image.read(0, 512)
}
