import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { partTags, tagLength } from '../../../src/engine/part-tags.js'
import { makeSlots, TaskPool } from '../../../src/engine/pool.js'
import { doneByTags, judgeChunk, type Task } from '../../../src/engine/task.js'
import { partDigests } from '../../../src/engine/tree-hash.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { have, run } from '../../support/tools.js'

const length = 262144
const count = 16
const key = createHash('sha256').update('key').digest().subarray(0, 16)
const offset = 3 * count * length

/** A chunk that was seen before, with what is known of it; its third part is zero. */
function seen(): { readonly bytes: Uint8Array; readonly known: Uint8Array; readonly tags: Uint8Array } {
  const bytes = new Uint8Array(count * length)
  for (let index = 0; index < count; index++)
    bytes.set(diskLike(length, index + 1).fill(index + 1, 0, 8), index * length)
  bytes.fill(0, 2 * length, 3 * length)
  return { bytes, known: partDigests(bytes, length), tags: partTags(bytes, offset, length, key) }
}

const taskOf = (known: Uint8Array, tags: Uint8Array | undefined): Task => ({
  mode: 'scan',
  unit: length,
  length: count * length,
  pieces: [],
  present: [{ at: 0, length: count * length }],
  parts: { bytes: count * length, length, known, tags: { key, offset, known: tags } },
})

test('a tag is the GMAC that openssl makes', (t) => {
  if (!have(t, 'openssl')) return
  const file = join(testFolder(t), 'part')
  const { bytes, tags } = seen()
  for (const index of [0, 1, 15]) {
    fs.writeFileSync(file, bytes.subarray(index * length, (index + 1) * length))
    const nonce = Buffer.alloc(12)
    nonce.writeBigUInt64LE(BigInt(offset + index * length))
    const options = ['-cipher', 'AES-128-GCM', '-macopt', `hexkey:${key.toString('hex')}`]
    const expected = run('openssl', 'mac', ...options, '-macopt', `hexiv:${nonce.toString('hex')}`, '-in', file, 'GMAC')
    const tag = Buffer.from(tags.subarray(index * tagLength, (index + 1) * tagLength)).toString('hex')
    assert.equal(tag, expected.trim().toLowerCase())
  }
  assert.ok(
    tags.subarray(2 * tagLength, 3 * tagLength).every((byte) => byte === 0),
    'a part of zeros has no tag',
  )
})

test('parts that have their tags still are not digested again; others are', () => {
  const { bytes, known, tags } = seen()
  // What no part has as its digest: it shows that none was taken.
  const marked = known.map((byte, at) => (at >= 2 * 32 && at < 3 * 32 ? byte : 0xaa))
  const same = judgeChunk(taskOf(marked, tags), bytes, undefined, bytes)
  assert.deepEqual([same.runs, same.parts, same.tags], [[], marked, tags])
  const other = Uint8Array.from(bytes)
  other[5 * length + 77] = (other[5 * length + 77] ?? 0) ^ 1
  const { runs, parts, tags: now } = judgeChunk(taskOf(known, tags), other, undefined, other)
  assert.deepEqual(runs, [{ kind: 'data', at: 5 * length, length }])
  assert.deepEqual(parts, partDigests(other, length))
  assert.deepEqual(now, partTags(other, offset, length, key))
  // Zeros, and what was zeros.
  other.fill(0, 5 * length, 6 * length)
  other.fill(9, 2 * length, 3 * length)
  const zeros = judgeChunk(taskOf(known, tags), other, undefined, other)
  assert.deepEqual(zeros.runs, [
    { kind: 'data', at: 2 * length, length },
    { kind: 'zero', at: 5 * length, length },
  ])
  assert.deepEqual(zeros.parts, partDigests(other, length))
  // Without tags of before, all are digested.
  assert.deepEqual(judgeChunk(taskOf(known, undefined), bytes, undefined, bytes).parts, known)
})

test('a tag counts at its place only: two parts that changed places are both noticed', () => {
  const { bytes, known, tags } = seen()
  const swapped = Uint8Array.from(bytes)
  swapped.copyWithin(0, length, 2 * length)
  swapped.set(bytes.subarray(0, length), length)
  const { parts, runs } = judgeChunk(taskOf(known, tags), swapped, undefined, swapped)
  assert.deepEqual(parts, partDigests(swapped, length))
  assert.deepEqual(runs, [{ kind: 'data', at: 0, length: 2 * length }])
})

test('a chunk of which little changed needs no worker; what is sent to one has its tags', async () => {
  const { bytes, known, tags } = seen()
  await using pool = new TaskPool(1)
  for (const changes of [0, 2, 9]) {
    const [slot] = makeSlots(1, bytes.length, false)
    assert.ok(slot !== undefined)
    slot.bytes.set(bytes)
    for (let index = 0; index < changes; index++) slot.bytes[(15 - index) * length] = 0xee
    const { result, task } = doneByTags(taskOf(known, tags), slot.bytes)
    assert.equal(result !== undefined, changes <= 2, `${changes} changes`)
    assert.deepEqual(task.parts?.tags?.made, partTags(slot.bytes, offset, length, key))
    const { parts, tags: made } = await pool.run(taskOf(known, tags), slot)
    assert.deepEqual(parts, partDigests(slot.bytes, length))
    assert.deepEqual(made, task.parts.tags.made)
  }
})
