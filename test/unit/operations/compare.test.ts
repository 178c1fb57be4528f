import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { compare } from '../../../src/operations/inspect/compare.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { create } from '../../../src/operations/transfer/create.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { subtypes } from '../../support/subtypes.js'

const mebibyte = 1048576
const disk = diskLike(7 * mebibyte + 512, 11)

test('every subtype of the same disk is the same, and one flipped bit is found in each', async (t) => {
  const folder = testFolder(t)
  const raw = join(folder, 'a.raw')
  fs.writeFileSync(raw, disk)
  const at = 5 * mebibyte + 4097
  const flipped = Uint8Array.from(disk)
  flipped[at]! ^= 1
  fs.writeFileSync(join(folder, 'flipped.raw'), flipped)
  for (const { name, extension, options } of subtypes) {
    const other = join(folder, `b.${extension}`)
    await convert(raw, other, { ...options, force: true })
    const same = await compare(raw, other)
    assert.deepEqual(
      [same.same, same.firstDifference, same.differences],
      [true, undefined, { count: 0, bytes: 0, ranges: [] }],
      name,
    )
    const different = await compare(other, join(folder, 'flipped.raw'))
    assert.deepEqual([different.same, different.sameContent, different.firstDifference], [false, false, at], name)
    assert.deepEqual(
      different.differences,
      { count: 1, bytes: 512, ranges: [{ offset: at - (at % 512), length: 512 }] },
      name,
    )
    fs.rmSync(other)
  }
})

test(
  'ranges are those of a plain comparison: joined across chunks, listed up to the limit, counted ' + 'beyond',
  async (t) => {
    const folder = testFolder(t)
    const [a, b] = [join(folder, 'a.raw'), join(folder, 'b.qcow2')]
    const other = Uint8Array.from(disk)
    for (const [start, end] of [
      [0, 1],
      [511, 513],
      [70_000, 70_001],
      [2 * mebibyte - 5000, 2 * mebibyte + 5000],
      [3 * mebibyte, 6 * mebibyte],
      [disk.length - 1, disk.length],
    ] as const) {
      for (let at = start; at < end; at++) other[at]! ^= 0x55
    }
    fs.writeFileSync(a, disk)
    fs.writeFileSync(join(folder, 'b.raw'), other)
    await convert(join(folder, 'b.raw'), b)
    const expected: { offset: number; length: number }[] = []
    for (let at = 0; at < disk.length; at += 512) {
      const end = Math.min(disk.length, at + 512)
      if (Buffer.compare(disk.subarray(at, end), other.subarray(at, end)) === 0) continue
      const last = expected.at(-1)
      if (last !== undefined && last.offset + last.length === at) last.length += end - at
      else expected.push({ offset: at, length: end - at })
    }
    const bytes = expected.reduce((sum, { length }) => sum + length, 0)
    assert.deepEqual((await compare(a, b)).differences, { count: expected.length, bytes, ranges: expected })
    assert.deepEqual((await compare(a, b, { limit: 2 })).differences, {
      count: expected.length,
      bytes,
      ranges: expected.slice(0, 2),
    })
    assert.deepEqual((await compare(a, b, { limit: 0 })).differences, { count: expected.length, bytes, ranges: [] })
    const first = await compare(a, b, { first: true })
    assert.deepEqual([first.firstDifference, first.differences], [0, undefined])
  },
)

test('a longer disk must read as zero beyond the end of the other', async (t) => {
  const folder = testFolder(t)
  const [a, b] = [join(folder, 'a.raw'), join(folder, 'b.raw')]
  fs.writeFileSync(a, disk)
  fs.writeFileSync(b, Buffer.concat([disk, Buffer.alloc(3 * mebibyte)]))
  const zeros = await compare(a, b)
  assert.equal(zeros.same, true)
  assert.match(zeros.notes.map(({ message }) => message).join(), /b\.raw is 3145728 bytes longer.*reads as zero/)
  const strict = await compare(a, b, { strict: true })
  assert.deepEqual([strict.same, strict.sameContent, strict.strict?.sameCapacity], [false, true, false])
  fs.writeFileSync(b, Buffer.concat([disk, Buffer.alloc(mebibyte), Buffer.from('x')]))
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const content = await compare(one, other)
    assert.deepEqual([content.same, content.firstDifference], [false, disk.length + mebibyte])
    assert.match(content.notes.map(({ message }) => message).join(), /only there it has content/)
  }
})

test('strict: what one image stores and the other does not', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), Buffer.concat([Buffer.alloc(4 * mebibyte, 1), Buffer.alloc(4 * mebibyte)]))
  await convert(at('a.raw'), at('a.qcow2'))
  await convert(at('a.raw'), at('full.qcow2'), { options: { preallocation: 'full' } })
  const same = await compare(at('a.qcow2'), at('a.qcow2'), { strict: true })
  assert.deepEqual(
    [same.same, same.strict],
    [true, { sameCapacity: true, allocation: { count: 0, bytes: 0, ranges: [] } }],
  )
  const differs = await compare(at('a.qcow2'), at('full.qcow2'), { strict: true })
  assert.deepEqual([differs.same, differs.sameContent], [false, true])
  assert.deepEqual(differs.strict?.allocation, {
    count: 1,
    bytes: 4 * mebibyte,
    ranges: [{ offset: 4 * mebibyte, length: 4 * mebibyte }],
  })
})

test('children of one parent: what both take from it is not read', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('base.raw'), disk)
  await create(at('a.qcow2'), { parent: at('base.raw') })
  const changed = Uint8Array.from(disk)
  changed.fill(9, 3 * mebibyte, 3 * mebibyte + 65536)
  fs.writeFileSync(at('changed.raw'), changed)
  await convert(at('changed.raw'), at('b.qcow2'), { parent: at('base.raw') })
  let done = 0
  const result = await compare(at('a.qcow2'), at('b.qcow2'), { onProgress: () => done++ })
  assert.deepEqual([result.firstDifference, result.differences?.bytes], [3 * mebibyte, 65536])
  assert.equal(done, 1, 'one chunk was read')
})

test('what cannot be read is an error, and an abort ends it', async (t) => {
  const folder = testFolder(t)
  const raw = join(folder, 'a.raw')
  fs.writeFileSync(raw, disk)
  const fails = (run: Promise<unknown>, code: string): Promise<void> =>
    assert.rejects(run, (error) => isImageError(error) && error.code === code)
  await fails(compare(raw, join(folder, 'missing.raw')), 'E_NOT_FOUND')
  fs.copyFileSync(raw, join(folder, 'b.raw'))
  await fails(compare(raw, join(folder, 'b.raw'), { signal: AbortSignal.abort() }), 'E_ABORTED')
  await fails(compare(raw, raw, { second: { from: 'nope' } }), 'E_UNKNOWN_FORMAT')
})
