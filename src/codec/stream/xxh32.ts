const prime1 = 0x9e3779b1
const prime2 = 0x85ebca77
const prime3 = 0xc2b2ae3d
const prime4 = 0x27d4eb2f
const prime5 = 0x165667b1

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function round(lane: number, bytes: Uint8Array, at: number): number {
  return Math.imul(rotate((lane + Math.imul(word(bytes, at), prime2)) | 0, 13), prime1)
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)
}

/** xxHash, 32 bits, seed 0 (xxhash_spec.md), over bytes that come in pieces. */
export class Xxh32 {
  #a = (prime1 + prime2) | 0
  #b = prime2 | 0
  #c = 0
  #d = -prime1 | 0
  #total = 0
  readonly #rest = new Uint8Array(16)
  #held = 0

  update(bytes: Uint8Array): void {
    this.#total += bytes.length
    let at = 0
    if (this.#held > 0) {
      at = Math.min(16 - this.#held, bytes.length)
      this.#rest.set(bytes.subarray(0, at), this.#held)
      this.#held += at
      if (this.#held < 16) return
      this.#stripes(this.#rest, 0, 16)
      this.#held = 0
    }
    const end = bytes.length - ((bytes.length - at) % 16)
    this.#stripes(bytes, at, end)
    this.#rest.set(bytes.subarray(end), 0)
    this.#held = bytes.length - end
  }

  digest(): number {
    let hash =
      this.#total < 16 ? prime5 : rotate(this.#a, 1) + rotate(this.#b, 7) + rotate(this.#c, 12) + rotate(this.#d, 18)
    hash = (hash + this.#total) | 0
    let at = 0
    for (; at + 4 <= this.#held; at += 4)
      hash = Math.imul(rotate((hash + Math.imul(word(this.#rest, at), prime3)) | 0, 17), prime4)
    for (; at < this.#held; at++)
      hash = Math.imul(rotate((hash + Math.imul(this.#rest[at] ?? 0, prime5)) | 0, 11), prime1)
    hash = Math.imul(hash ^ (hash >>> 15), prime2)
    hash = Math.imul(hash ^ (hash >>> 13), prime3)
    return (hash ^ (hash >>> 16)) >>> 0
  }

  #stripes(bytes: Uint8Array, start: number, end: number): void {
    let a = this.#a
    let b = this.#b
    let c = this.#c
    let d = this.#d
    for (let at = start; at < end; at += 16) {
      a = round(a, bytes, at)
      b = round(b, bytes, at + 4)
      c = round(c, bytes, at + 8)
      d = round(d, bytes, at + 12)
    }
    this.#a = a
    this.#b = b
    this.#c = c
    this.#d = d
  }
}

export function xxh32(bytes: Uint8Array): number {
  const hash = new Xxh32()
  hash.update(bytes)
  return hash.digest()
}
