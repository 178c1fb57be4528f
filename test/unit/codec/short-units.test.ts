import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import test from 'node:test'
import { expandLzo } from '../../../src/codec/lzo.js'
import { shortUnits } from '../../../src/codec/short-units.js'
import { Xxh64 } from '../../../src/codec/stream/xxh64.js'

test('LZO1X: blocks of liblzo2 decode, cut and changed ones end', (t) => {
  const program = `
import ctypes, ctypes.util, sys
lzo = ctypes.CDLL(ctypes.util.find_library('lzo2') or 'liblzo2.so.2')
data = sys.stdin.buffer.read()
out = ctypes.create_string_buffer(len(data) + len(data) // 16 + 100)
size = ctypes.c_size_t(0)
work = ctypes.create_string_buffer(1 << 20)
assert lzo.lzo1x_1_compress(data, len(data), out, ctypes.byref(size), work) == 0
sys.stdout.buffer.write(out.raw[:size.value])
`
  const texts = [
    Buffer.from('abc'),
    Buffer.from('the quick brown fox jumps over the lazy dog '.repeat(3000)),
    Buffer.from(Array.from({ length: 60000 }, (_, index) => (Math.imul(index, index * 31) >>> 5) % 251)),
    Buffer.from(
      Array.from({ length: 90000 }, (_, index) => (index % 1000 < 30 ? index % 7 : Math.floor(index / 20000))),
    ),
  ]
  for (const text of texts) {
    const made = spawnSync('python3', ['-c', program], { input: text, maxBuffer: 1e8 })
    if (made.status !== 0) {
      t.skip('liblzo2 or python3 is not installed')
      return
    }
    const target = new Uint8Array(text.length)
    assert.equal(expandLzo(made.stdout, target), text.length)
    assert.ok(Buffer.from(target).equals(text))
    assert.equal(expandLzo(made.stdout, new Uint8Array(text.length - 1)), -1)
    for (let cut = 0; cut < Math.min(40, made.stdout.length - 1); cut++)
      assert.equal(expandLzo(made.stdout.subarray(0, cut), target), -1)
    for (let at = 0; at < Math.min(300, made.stdout.length); at++) {
      const changed = Buffer.from(made.stdout)
      changed[at]! ^= 0x55
      assert.ok(expandLzo(changed, target) <= text.length)
    }
  }
})

test('what does not decode, or holds too much, is damage in every codec', () => {
  const noise = Uint8Array.from({ length: 100 }, (_, index) => (index * 89 + 7) % 256)
  for (const decode of Object.values(shortUnits))
    assert.throws(() => decode(noise, new Uint8Array(50)), { code: 'E_COMPRESSED' })
})

test('xxHash64 in full', () => {
  const whole = (bytes: Uint8Array): string => {
    const hash = new Xxh64()
    hash.update(bytes)
    return hash.digest().toString(16)
  }
  // xxhash_spec.md, and xxhsum of the same.
  assert.equal(whole(new Uint8Array(0)), 'ef46db3751d8e999')
  assert.equal(whole(Buffer.from('abc')), '44bc2cf5ad770999')
})
