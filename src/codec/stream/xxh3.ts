/* eslint-disable @typescript-eslint/no-non-null-assertion -- indexes are inside stripes and secret by construction */

const stripeLength = 64
/** Stripes between two scrambles: (192 − 64) / 8. */
const stripesPerBlock = 16

/** The default secret, 192 bytes (xxhash_spec.md, "XXH3 Algorithm Overview"). */
const secret = Buffer.from(
  'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221' +
    'b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8' +
    'fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb17' +
    '0ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e',
  'hex',
)
const secretLength = 192

const prime32 = [0x9e3779b1n, 0x85ebca77n, 0xc2b2ae3dn] as const
const prime64 = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
] as const
const startLanes = [prime32[2], ...prime64.slice(0, 4), prime32[1], prime64[4], prime32[0]]

/** The secret as words of 32 bits from each of its bytes on: a stripe begins 8 bytes further than the one before. */
const secretWords = Array.from({ length: secretLength / 8 }, (_, at) => [
  secret.readInt32LE(at * 8),
  secret.readInt32LE(at * 8 + 4),
]).flat()

const mask = 0xffffffffffffffffn

/**
 * XXH128 (XXH3, 128 bits, seed 0; xxhash_spec.md), of bytes that come in pieces: together a multiple of 64, and more
 * than 240.
 */
export class Xxh128 {
  /** Lower and upper halves of the eight lanes. */
  readonly #lanes = Int32Array.from(startLanes.flatMap((lane) => [Number(lane & 0xffffffffn), Number(lane >> 32n)]))
  /** The last stripe that came: it is taken in another way when no more follows. */
  readonly #last = new Uint8Array(stripeLength)
  #held = 0
  #stripes = 0
  #total = 0

  update(bytes: Uint8Array): void {
    this.#total += bytes.length
    let at = 0
    if (this.#held > 0) {
      if (this.#held < stripeLength) {
        at = Math.min(stripeLength - this.#held, bytes.length)
        this.#last.set(bytes.subarray(0, at), this.#held)
        this.#held += at
      }
      if (at === bytes.length) return
      this.#stripe(this.#last, 0)
      this.#held = 0
    }
    for (; at + stripeLength < bytes.length; at += stripeLength) this.#stripe(bytes, at)
    this.#last.set(bytes.subarray(at), 0)
    this.#held = bytes.length - at
  }

  /** All 128 bits. @throws RangeError for lengths that it is not made for. */
  digest(): bigint {
    if (this.#held !== stripeLength || this.#total <= 240)
      throw new RangeError(`XXH128 of ${this.#total} bytes is not built`)
    const lanes = Int32Array.from(this.#lanes)
    // Seven bytes before where the last stripe of a block would have its secret.
    const words = new Int32Array(16)
    for (let at = 0; at < 16; at++) words[at] = secret.readInt32LE(secretLength - stripeLength - 7 + at * 4)
    accumulate(lanes, this.#last, 0, words, 0)
    const wide = Array.from(
      { length: 8 },
      (_, lane) => BigInt(lanes[2 * lane]! >>> 0) | (BigInt(lanes[2 * lane + 1]! >>> 0) << 32n),
    )
    const length = BigInt(this.#total)
    const low = merge(wide, 11, (length * prime64[0]) & mask)
    const high = merge(wide, secretLength - stripeLength - 11, ~(length * prime64[1]) & mask)
    return (high << 64n) | low
  }

  #stripe(bytes: Uint8Array, at: number): void {
    accumulate(this.#lanes, bytes, at, secretWords, this.#stripes * 2)
    if (++this.#stripes < stripesPerBlock) return
    this.#stripes = 0
    scramble(this.#lanes)
  }
}

function accumulate(
  lanes: Int32Array,
  bytes: Uint8Array,
  at: number,
  key: readonly number[] | Int32Array,
  from: number,
): void {
  for (let lane = 0; lane < 8; lane++) {
    const place = at + lane * 8
    const low = bytes[place]! | (bytes[place + 1]! << 8) | (bytes[place + 2]! << 16) | (bytes[place + 3]! << 24)
    const high = bytes[place + 4]! | (bytes[place + 5]! << 8) | (bytes[place + 6]! << 16) | (bytes[place + 7]! << 24)
    const other = 2 * (lane ^ 1)
    const sum = (lanes[other]! >>> 0) + (low >>> 0)
    lanes[other] = sum
    lanes[other + 1] = lanes[other + 1]! + high + (sum > 0xffffffff ? 1 : 0)
    // The product of the halves of what is mixed with the secret.
    const a = low ^ key[from + 2 * lane]!
    const b = high ^ key[from + 2 * lane + 1]!
    const a0 = a & 0xffff
    const a1 = a >>> 16
    const b0 = b & 0xffff
    const b1 = b >>> 16
    const first = Math.imul(a0, b0) >>> 0
    const second = (Math.imul(a1, b0) >>> 0) + (first >>> 16)
    const third = (Math.imul(a0, b1) >>> 0) + (second & 0xffff)
    const productHigh = (Math.imul(a1, b1) >>> 0) + Math.floor(second / 65536) + Math.floor(third / 65536)
    const productLow = Math.imul(a, b) >>> 0
    const own = (lanes[2 * lane]! >>> 0) + productLow
    lanes[2 * lane] = own
    lanes[2 * lane + 1] = lanes[2 * lane + 1]! + productHigh + (own > 0xffffffff ? 1 : 0)
  }
}

function scramble(lanes: Int32Array): void {
  const from = (secretLength - stripeLength) / 4
  for (let lane = 0; lane < 8; lane++) {
    const low = lanes[2 * lane]!
    const high = lanes[2 * lane + 1]!
    const mixedLow = low ^ (high >>> 15) ^ secretWords[from + 2 * lane]!
    const mixedHigh = high ^ secretWords[from + 2 * lane + 1]!
    const product = BigInt(mixedLow >>> 0) * prime32[0]
    lanes[2 * lane] = Number(product & 0xffffffffn)
    lanes[2 * lane + 1] = Number(product >> 32n) + Math.imul(mixedHigh, Number(prime32[0]))
  }
}

function merge(lanes: readonly bigint[], from: number, start: bigint): bigint {
  let hash = start
  for (let pair = 0; pair < 4; pair++) {
    const product =
      (lanes[2 * pair]! ^ secret.readBigUInt64LE(from + 16 * pair)) *
      (lanes[2 * pair + 1]! ^ secret.readBigUInt64LE(from + 16 * pair + 8))
    hash += (product & mask) ^ (product >> 64n)
  }
  hash &= mask
  hash ^= hash >> 37n
  hash = (hash * 0x165667919e3779f9n) & mask
  return hash ^ (hash >> 32n)
}
