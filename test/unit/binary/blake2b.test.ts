import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import { blake2b } from '../../../src/binary/blake2b.js'

test("BLAKE2b is that of OpenSSL with 64 bytes, and that of Python's hashlib with 32", () => {
  for (const length of [0, 1, 3, 127, 128, 129, 255, 256, 1000, 16352]) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 7 + length) % 256)
    assert.equal(
      Buffer.from(blake2b(bytes, 64)).toString('hex'),
      createHash('blake2b512').update(bytes).digest('hex'),
      `${length} bytes`,
    )
  }
  assert.equal(
    Buffer.from(blake2b(Buffer.from('abc'), 32)).toString('hex'),
    'bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319',
  )
})
