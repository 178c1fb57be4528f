/** Memory for one piece after the other: fresh pages for each compressed unit would cost as much as decoding it. */
export class ReusedMemory {
  #bytes = new Uint8Array(0)

  /** So many bytes of it, with what they held before. */
  take(length: number): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(length)
    return this.#bytes.subarray(0, length)
  }
}
