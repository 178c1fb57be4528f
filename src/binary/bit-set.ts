/** Bits that are set or not, one an index from 0 on; those that were never set are not. */
export class BitSet {
  readonly #bytes: Uint8Array

  /** @param length how many there are. */
  constructor(length: number) {
    this.#bytes = new Uint8Array(Math.ceil(length / 8))
  }

  has(index: number): boolean {
    return ((this.#bytes[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  set(index: number): void {
    this.#bytes[index >>> 3] = (this.#bytes[index >>> 3] ?? 0) | (1 << (index & 7))
  }
}
