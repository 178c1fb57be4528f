/**
 * LZO1X (Linux, Documentation/staging/lzo.rst), as btrfs and squashfs have it: a block, decoded into `target` from its
 * start. @returns how many bytes it holds; -1 where it is damaged or holds more than `target` takes.
 */
export function expandLzo(stored: Uint8Array, target: Uint8Array): number {
  return new LzoBlock(stored, target).expand()
}

/** Thrown within, and caught there: the block is damaged. */
class LzoDamage extends Error {}

class LzoBlock {
  readonly #stored: Uint8Array
  readonly #target: Uint8Array
  #at = 0
  #out = 0

  constructor(stored: Uint8Array, target: Uint8Array) {
    this.#stored = stored
    this.#target = target
  }

  expand(): number {
    try {
      return this.#expand()
    } catch (error) {
      if (error instanceof LzoDamage) return -1
      throw error
    }
  }

  #expand(): number {
    // How many literals came before: it decides what an instruction below 16 means.
    let state = 0
    const [first = 0] = this.#stored
    if (first > 17) {
      this.#at++
      this.#literals(first - 17)
      state = first - 17 < 4 ? first - 17 : 4
    }
    for (;;) {
      const instruction = this.#byte()
      let trailing: number
      if (instruction >= 64) {
        const distance = (this.#byte() << 3) + ((instruction >> 2) & 7) + 1
        this.#match(distance, (instruction >> 5) + 1)
        trailing = instruction & 3
      } else if (instruction >= 32) {
        const length = this.#long(instruction & 31, 31) + 2
        const word = this.#word()
        this.#match((word >> 2) + 1, length)
        trailing = word & 3
      } else if (instruction >= 16) {
        const length = this.#long(instruction & 7, 7) + 2
        const word = this.#word()
        const distance = ((instruction & 8) << 11) + (word >> 2)
        if (distance === 0) return length === 3 && this.#at === this.#stored.length ? this.#out : -1
        this.#match(distance + 0x4000, length)
        trailing = word & 3
      } else if (state === 0) {
        this.#literals(this.#long(instruction, 15) + 3)
        state = 4
        continue
      } else {
        const near = (instruction >> 2) + (this.#byte() << 2) + 1
        if (state === 4) this.#match(near + 0x800, 3)
        else this.#match(near, 2)
        trailing = instruction & 3
      }
      this.#literals(trailing)
      state = trailing
    }
  }

  #byte(): number {
    const byte = this.#stored[this.#at++]
    if (byte === undefined) throw new LzoDamage()
    return byte
  }

  #word(): number {
    const low = this.#byte()
    return low | (this.#byte() << 8)
  }

  /** A length that does not fit its instruction goes on in bytes, zeros first. */
  #long(short: number, most: number): number {
    if (short !== 0) return short
    let length = most
    for (;;) {
      const byte = this.#byte()
      if (byte !== 0) return length + byte
      length += 255
    }
  }

  #literals(length: number): void {
    if (this.#at + length > this.#stored.length || this.#out + length > this.#target.length) throw new LzoDamage()
    this.#target.set(this.#stored.subarray(this.#at, this.#at + length), this.#out)
    this.#at += length
    this.#out += length
  }

  #match(distance: number, length: number): void {
    const from = this.#out - distance
    if (from < 0 || this.#out + length > this.#target.length) throw new LzoDamage()
    if (distance >= length) this.#target.copyWithin(this.#out, from, from + length)
    else for (let index = 0; index < length; index++) this.#target[this.#out + index] = this.#target[from + index] ?? 0
    this.#out += length
  }
}
