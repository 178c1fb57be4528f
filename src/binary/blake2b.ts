/* eslint-disable @typescript-eslint/no-non-null-assertion -- every index is in range by construction */

/** RFC 7693, 2.6, as pairs of 32-bit words, low first. */
const startWords = Uint32Array.of(
  0xf3bcc908,
  0x6a09e667,
  0x84caa73b,
  0xbb67ae85,
  0xfe94f82b,
  0x3c6ef372,
  0x5f1d36f1,
  0xa54ff53a,
  0xade682d1,
  0x510e527f,
  0x2b3e6c1f,
  0x9b05688c,
  0xfb41bd6b,
  0x1f83d9ab,
  0x137e2179,
  0x5be0cd19,
)
/** RFC 7693, 2.7. */
const schedule = [
  '0123456789abcdef',
  'ea489fd61c02b753',
  'b8c052fdae367194',
  '7931dcbe265a40f8',
  '905724afe1bc683d',
  '2c6a0b834d75fe19',
  'c51fed4a0763928b',
  'db7ec13950f4862a',
  '6fe9b308c2d714a5',
  'a2847615fb9e3cd0',
  '0123456789abcdef',
  'ea489fd61c02b753',
].map((row) => Uint8Array.from(row, (digit) => parseInt(digit, 16)))
const blockLength = 128
/** Columns, then diagonals (3.2). */
const mixes = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const

/** BLAKE2b with a digest of `length` bytes (1 to 64), without a key (RFC 7693). Node has the one of 64 bytes only. */
export function blake2b(bytes: Uint8Array, length: number): Uint8Array {
  const hash = Uint32Array.from(startWords)
  hash[0]! ^= 0x01010000 ^ length
  const block = new Uint8Array(blockLength)
  const words = new Uint32Array(32)
  const view = new DataView(block.buffer)
  for (let at = 0, last = false; !last;) {
    const piece = bytes.subarray(at, at + blockLength)
    block.fill(0)
    block.set(piece)
    at += piece.length
    last = at >= bytes.length
    for (let word = 0; word < 32; word++) words[word] = view.getUint32(word * 4, true)
    compress(hash, words, at, last)
  }
  const digest = new Uint8Array(64)
  const target = new DataView(digest.buffer)
  for (let word = 0; word < 16; word++) target.setUint32(word * 4, hash[word]!, true)
  return digest.subarray(0, length)
}

const state = new Uint32Array(32)

function compress(hash: Uint32Array, words: Uint32Array, count: number, last: boolean): void {
  state.set(hash)
  state.set(startWords, 16)
  state[24]! ^= count >>> 0
  state[25]! ^= Math.floor(count / 2 ** 32)
  if (last) {
    state[28] = ~state[28]!
    state[29] = ~state[29]!
  }
  for (const row of schedule)
    for (let index = 0; index < 8; index++) {
      const [a, b, c, d] = mixes[index]!
      mix(words, a * 2, b * 2, c * 2, d * 2, row[index * 2]! * 2, row[index * 2 + 1]! * 2)
    }
  for (let word = 0; word < 16; word++) hash[word]! ^= state[word]! ^ state[word + 16]!
}

function add(a: number, low: number, high: number): void {
  const sum = state[a]! + low
  state[a + 1] = state[a + 1]! + high + (sum > 0xffffffff ? 1 : 0)
  state[a] = sum
}

/** state[d] ← (state[d] ⊕ state[a]) rotated right by `bits` (below 32). */
function turn(d: number, a: number, bits: number): void {
  const low = state[d]! ^ state[a]!
  const high = state[d + 1]! ^ state[a + 1]!
  state[d] = (low >>> bits) | (high << (32 - bits))
  state[d + 1] = (high >>> bits) | (low << (32 - bits))
}

/** The function G (3.1); places are those of the low words. */
function mix(words: Uint32Array, a: number, b: number, c: number, d: number, x: number, y: number): void {
  add(a, state[b]!, state[b + 1]!)
  add(a, words[x]!, words[x + 1]!)
  // By 32 bits: the halves change places.
  const low = state[d]! ^ state[a]!
  state[d] = state[d + 1]! ^ state[a + 1]!
  state[d + 1] = low
  add(c, state[d], state[d + 1]!)
  turn(b, c, 24)
  add(a, state[b]!, state[b + 1]!)
  add(a, words[y]!, words[y + 1]!)
  turn(d, a, 16)
  add(c, state[d], state[d + 1]!)
  // Right by 63 is left by one.
  const bl = state[b]! ^ state[c]!
  const bh = state[b + 1]! ^ state[c + 1]!
  state[b] = (bl << 1) | (bh >>> 31)
  state[b + 1] = (bh << 1) | (bl >>> 31)
}
