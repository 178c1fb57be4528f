import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { ZeroSource } from '../../../src/block/zero.js'
import { hashSource } from '../../../src/engine/index.js'
import { diskLike, sha256 } from '../../support/content.js'
import { openWith } from '../../support/drivers.js'

const leaf = 65536

function hash(...parts: readonly (Uint8Array | number)[]): Buffer {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(typeof part === 'number' ? Buffer.from([part]) : part)
  return digest.digest()
}

/** RFC 6962, 2.1, word for word. */
function merkle(leaves: readonly Uint8Array[]): Buffer {
  const [only] = leaves
  if (only === undefined) return hash()
  if (leaves.length === 1) return hash(0, only)
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return hash(1, merkle(leaves.slice(0, k)), merkle(leaves.slice(k)))
}

function cut(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / leaf) }, (_, index) =>
    bytes.subarray(index * leaf, (index + 1) * leaf),
  )
}

async function tree(bytes: Uint8Array, threads: number): Promise<string> {
  using image = openWith('raw', new MemoryStore(bytes))
  return Buffer.from(await hashSource(image, { algorithm: 'tree', threads })).toString('hex')
}

const mebibyte = 1048576

test('the tree is that of RFC 6962, for every kind of last leaf and block', async () => {
  const bytes = diskLike(9 * mebibyte, 3)
  for (const length of [
    0,
    1,
    leaf - 1,
    leaf,
    leaf + 1,
    3 * leaf,
    mebibyte - 1,
    mebibyte,
    mebibyte + 1,
    mebibyte + 5 * leaf,
    3 * mebibyte,
    7 * mebibyte + 3 * leaf + 17,
    8 * mebibyte,
    9 * mebibyte,
  ]) {
    const disk = bytes.subarray(0, length)
    assert.equal(await tree(disk, 0), merkle(cut(disk)).toString('hex'), `${length} bytes`)
  }
  assert.equal(await tree(bytes, 2), merkle(cut(bytes)).toString('hex'), 'with threads')
})

test('runs of zeros in any place, read or left out, have the digest of zeros', async () => {
  for (const [length, data] of [
    [8 * mebibyte + 100, []],
    [8 * mebibyte + 100, [5 * mebibyte]],
    [8 * mebibyte, [0]],
    [7 * mebibyte + 12345, [mebibyte, 7 * mebibyte + 12344]],
    [leaf, []],
    [100, []],
    [12 * mebibyte, [11 * mebibyte + 5]],
  ] as const) {
    const disk = new Uint8Array(length)
    for (const at of data) disk[at] = 1
    const expected = merkle(cut(disk)).toString('hex')
    assert.equal(await tree(disk, 0), expected, `read: ${length}`)
    if (data.length === 0)
      assert.equal(
        Buffer.from(await hashSource(new ZeroSource(length), { algorithm: 'tree' })).toString('hex'),
        expected,
        `left out: ${length}`,
      )
  }
})

test('16 TiB of zeros cost nothing', async () => {
  let expected = hash(0, new Uint8Array(leaf))
  for (let leaves = 1; leaves < (16 * 2 ** 40) / leaf; leaves *= 2) expected = hash(1, expected, expected)
  assert.equal(
    Buffer.from(await hashSource(new ZeroSource(16 * 2 ** 40), { algorithm: 'tree' })).toString('hex'),
    expected.toString('hex'),
  )
})

test('sha256 is that of all bytes in order, zeros that are left out too', async () => {
  for (const length of [0, 1, 511, mebibyte, 5 * mebibyte + 77]) {
    const disk = diskLike(length, 8)
    using image = openWith('raw', new MemoryStore(disk))
    assert.equal(Buffer.from(await hashSource(image, { algorithm: 'sha256' })).toString('hex'), sha256(disk))
    assert.equal(
      Buffer.from(await hashSource(new ZeroSource(length), { algorithm: 'sha256' })).toString('hex'),
      sha256(new Uint8Array(length)),
    )
  }
})
