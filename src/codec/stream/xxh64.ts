/* eslint-disable @typescript-eslint/no-non-null-assertion -- indexes are inside the stripes by construction */

/** 64-bit numbers are pairs of 32-bit ones: BigInt is a hundred times slower. */
const primes = {
  p1: [0x9e3779b1, 0x85ebca87],
  p2: [0xc2b2ae3d, 0x27d4eb4f],
  p3: [0x165667b1, 0x9e3779f9],
  p4: [0x85ebca77, 0xc2b2ae63],
  p5: [0x27d4eb2f, 0x165667c5],
} as const

type Pair = readonly [high: number, low: number]

/** The upper half of the product of two 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const [ah, al, bh, bl] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff]
  const low = Math.imul(al, bl) >>> 0
  const middle = Math.imul(ah, bl) >>> 0
  const carry = (Math.imul(al, bh) >>> 0) + (middle & 0xffff) + (low >>> 16)
  return (Math.imul(ah, bh) + (middle >>> 16) + Math.floor(carry / 65536)) >>> 0
}

function multiply([ah, al]: Pair, [bh, bl]: Pair): Pair {
  return [(multiplyHigh(al, bl) + Math.imul(ah, bl) + Math.imul(al, bh)) >>> 0, Math.imul(al, bl) >>> 0]
}

function add([ah, al]: Pair, [bh, bl]: Pair): Pair {
  const low = (al >>> 0) + (bl >>> 0)
  return [(ah + bh + (low > 0xffffffff ? 1 : 0)) >>> 0, low >>> 0]
}

function xor([ah, al]: Pair, [bh, bl]: Pair): Pair {
  return [(ah ^ bh) >>> 0, (al ^ bl) >>> 0]
}

/** @param bits 1 to 31. */
function rotate([high, low]: Pair, bits: number): Pair {
  return [((high << bits) | (low >>> (32 - bits))) >>> 0, ((low << bits) | (high >>> (32 - bits))) >>> 0]
}

/** @param bits 1 to 33, not 32. */
function shiftRight([high, low]: Pair, bits: number): Pair {
  return bits > 32 ? [0, high >>> (bits - 32)] : [high >>> bits, ((low >>> bits) | (high << (32 - bits))) >>> 0]
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

function long(bytes: Uint8Array, at: number): Pair {
  return [word(bytes, at + 4), word(bytes, at)]
}

function round(lane: Pair, value: Pair): Pair {
  return multiply(rotate(add(lane, multiply(value, primes.p2)), 31), primes.p1)
}

function startLanes(): readonly Pair[] {
  // The last is minus the first prime.
  const minus = add([~primes.p1[0] >>> 0, ~primes.p1[1] >>> 0], [0, 1])
  return [add(primes.p1, primes.p2), primes.p2, [0, 0], minus]
}

/** The product that was made last: pairs made for every eight bytes would cost more than the numbers. */
let resultHigh = 0
let resultLow = 0

function product(ah: number, al: number, bh: number, bl: number): void {
  const a0 = al & 0xffff
  const a1 = al >>> 16
  const b0 = bl & 0xffff
  const b1 = bl >>> 16
  const low = Math.imul(a0, b0)
  const first = (Math.imul(a1, b0) + (low >>> 16)) | 0
  const second = (Math.imul(a0, b1) + (first & 0xffff)) | 0
  resultLow = (second << 16) | (low & 0xffff)
  resultHigh = (Math.imul(a1, b1) + (first >>> 16) + (second >>> 16) + Math.imul(ah, bl) + Math.imul(al, bh)) | 0
}

/** xxHash, 64 bits, seed 0 (xxhash_spec.md), over bytes that come in pieces. */
export class Xxh64 {
  /** Upper and lower halves of the four lanes. */
  readonly #lanes = Int32Array.of(...startLanes().flat())
  readonly #rest = new Uint8Array(32)
  #held = 0
  #total = 0

  update(bytes: Uint8Array): void {
    this.#total += bytes.length
    let at = 0
    if (this.#held > 0) {
      at = Math.min(32 - this.#held, bytes.length)
      this.#rest.set(bytes.subarray(0, at), this.#held)
      this.#held += at
      if (this.#held < 32) return
      this.#stripe(this.#rest, 0)
      this.#held = 0
    }
    for (; at + 32 <= bytes.length; at += 32) this.#stripe(bytes, at)
    this.#rest.set(bytes.subarray(at), 0)
    this.#held = bytes.length - at
  }

  /** The low 32 bits, which is what Zstandard keeps. */
  digestLow(): number {
    return this.#digest()[1]
  }

  /** All 64 bits. */
  digest(): bigint {
    const [high, low] = this.#digest()
    return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
  }

  #digest(): Pair {
    const pairs = [0, 1, 2, 3].map((lane): Pair => [this.#lanes[2 * lane]! >>> 0, this.#lanes[2 * lane + 1]! >>> 0])
    const [a, b, c, d] = pairs as [Pair, Pair, Pair, Pair]
    let hash: Pair
    if (this.#total < 32) hash = primes.p5
    else {
      hash = add(add(rotate(a, 1), rotate(b, 7)), add(rotate(c, 12), rotate(d, 18)))
      for (const lane of pairs) hash = add(multiply(xor(hash, round([0, 0], lane)), primes.p1), primes.p4)
    }
    hash = add(hash, [Math.floor(this.#total / 4294967296), this.#total >>> 0])
    let at = 0
    for (; at + 8 <= this.#held; at += 8)
      hash = add(multiply(rotate(xor(hash, round([0, 0], long(this.#rest, at))), 27), primes.p1), primes.p4)
    if (at + 4 <= this.#held) {
      hash = add(multiply(rotate(xor(hash, multiply([0, word(this.#rest, at)], primes.p1)), 23), primes.p2), primes.p3)
      at += 4
    }
    for (; at < this.#held; at++)
      hash = multiply(rotate(xor(hash, multiply([0, this.#rest[at]!], primes.p5)), 11), primes.p1)
    hash = multiply(xor(hash, shiftRight(hash, 33)), primes.p2)
    hash = multiply(xor(hash, shiftRight(hash, 29)), primes.p3)
    // The upper half is folded into the lower one by 32 bits.
    return [hash[0], (hash[1] ^ hash[0]) >>> 0]
  }

  #stripe(bytes: Uint8Array, at: number): void {
    const lanes = this.#lanes
    for (let lane = 0; lane < 4; lane++) {
      const from = at + 8 * lane
      product(word(bytes, from + 4), word(bytes, from), primes.p2[0], primes.p2[1])
      const low = (lanes[2 * lane + 1]! >>> 0) + (resultLow >>> 0)
      const high = lanes[2 * lane]! + resultHigh + (low > 0xffffffff ? 1 : 0)
      product((high << 31) | ((low | 0) >>> 1), (low << 31) | ((high | 0) >>> 1), primes.p1[0], primes.p1[1])
      lanes[2 * lane] = resultHigh
      lanes[2 * lane + 1] = resultLow
    }
  }
}
