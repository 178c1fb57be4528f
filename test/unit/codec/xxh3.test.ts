import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Xxh128 } from '../../../src/codec/stream/xxh3.js'
import { Xxh64 } from '../../../src/codec/stream/xxh64.js'

/** What xxhsum 0.8.1 gives for bytes (131 i + 7 ⌊i / 256⌋) mod 256. */
const sums = [
  [256, 'b997d11012dfe96d266a2c816cbb31c5', '94fd43830a500b9c'],
  [1024, '54680c079a49361cd1abb5dbd52032f9', '0ce1d4e6af18d023'],
  [1088, '9fd7bb6d659184e373a4a4f20d1ada67', '2328be0c429811c9'],
  [4096, 'f3bda29489a478499f544112e3e91bb5', '703da9127c7f7b40'],
  [65600, '3f8175c6241c8fe1e05a2ccc0dd2e3e5', '4720972c5d2a62ee'],
] as const

for (const step of [1_000_000, 64, 100, 7])
  test(`XXH128 and XXH64 are those of xxhsum, in pieces of ${step} bytes`, () => {
    for (const [length, wide, narrow] of sums) {
      const bytes = Uint8Array.from({ length }, (_, index) => (index * 131 + Math.floor(index / 256) * 7) % 256)
      const [one, other] = [new Xxh128(), new Xxh64()]
      for (let at = 0; at < length; at += step)
        for (const hash of [one, other]) hash.update(bytes.subarray(at, Math.min(length, at + step)))
      assert.equal(one.digest().toString(16).padStart(32, '0'), wide)
      assert.equal(other.digest().toString(16).padStart(16, '0'), narrow)
    }
  })

test('XXH128 of lengths that it is not made for is refused', () => {
  for (const length of [0, 64, 192, 1000]) {
    const hash = new Xxh128()
    hash.update(new Uint8Array(length))
    assert.throws(() => hash.digest(), RangeError)
  }
})
