import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { convert } from '../../../src/operations/transfer/convert.js'
import { resize } from '../../../src/operations/change/resize.js'
import { fixture } from '../../support/fixtures.js'
import { testFolder } from '../../support/folder.js'

const mebibyte = 1048576

test('a dry run writes nothing, not even what a journal holds', async (t) => {
  const image = path.join(testFolder(t), 'dirty.vhdx')
  fs.copyFileSync(fixture('vhdx/dirty-log.vhdx'), image)
  const before = fs.readFileSync(image)
  const result = await resize(image, { by: mebibyte }, { dryRun: true })
  assert.equal(result.after, result.before + mebibyte)
  assert.ok(fs.readFileSync(image).equals(before))
  await resize(image, { by: mebibyte })
  assert.ok(!fs.readFileSync(image).equals(before), 'without it the journal is replayed')
})

test('a dry run reports what would be lost, and what cannot be changed at all', async (t) => {
  const image = path.join(testFolder(t), 'disk.raw')
  const content = Buffer.alloc(2 * mebibyte)
  content[mebibyte + 1234] = 1
  fs.writeFileSync(image, content)
  const reported = await resize(image, { capacity: mebibyte }, { dryRun: true })
  assert.equal(reported.cutContent, mebibyte + 1234)
  await assert.rejects(resize(image, { capacity: mebibyte }), { code: 'E_CUTS_CONTENT', kind: 'refused' })
  assert.ok(fs.readFileSync(image).equals(content))
  await assert.rejects(resize(fixture('qcow/v1.qcow'), { by: mebibyte }, { dryRun: true }), {
    code: 'E_NOT_WRITABLE',
    kind: 'unsupported',
  })
  assert.equal((await resize(image, { capacity: mebibyte }, { shrink: true })).cutContent, mebibyte + 1234)
  assert.equal(fs.statSync(image).size, mebibyte)
})

test('the capacity that is reported is the one the image has: a VHD has whole sectors', async (t) => {
  const folder = testFolder(t)
  fs.writeFileSync(path.join(folder, 'disk.raw'), Buffer.alloc(mebibyte, 5))
  const image = path.join(folder, 'disk.vhd')
  await convert(path.join(folder, 'disk.raw'), image)
  const { before, after } = await resize(image, { by: 100 })
  assert.deepEqual([before, after], [mebibyte, mebibyte + 512])
})
