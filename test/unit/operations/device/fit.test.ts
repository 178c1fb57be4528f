import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../../src/block/memory-store.js'
import type { BlockSource } from '../../../../src/block/types.js'
import { openStore } from '../../../../src/formats/open.js'
import { judgeFit, shrinkFirst, type Fitting } from '../../../../src/operations/device/fit.js'
import { raidVolumes } from '../../../support/signed-volumes.js'
import { bootRecord, gptDisk, mbrDisk, sealEntries } from '../../../support/table-bytes.js'

const mebibyte = 1048576

function disk(store: MemoryStore): BlockSource {
  return openStore(store, undefined, { from: 'raw' })
}

function hintOf(fitting: Fitting): string {
  return fitting.fits ? 'it fits' : (fitting.hint ?? shrinkFirst)
}

test('a hybrid CD cannot be shrunk: the hint says how large the target must be', () => {
  const mbr = mbrDisk({ 0: bootRecord([0x17, 0, 60000]) })
  assert.match(hintOf(judgeFit(disk(mbr), 20 * mebibyte)), /at least 33554432 bytes/)
  const gpt = gptDisk([{ number: 1, firstLba: 100, lastLba: 9000 }])
  sealEntries(gpt, (entries) => Buffer.from(entries.buffer).writeBigUInt64LE(0n, 32))
  assert.match(hintOf(judgeFit(disk(gpt), 20 * mebibyte)), /at least 33554432 bytes/)
  // What it names helps, and is enough.
  assert.ok(judgeFit(disk(mbr), 33554432).fits)
})

test('partitions that are too large can be shrunk, and the hint says so', () => {
  const store = mbrDisk({ 0: bootRecord([0x83, 2048, 60000]) })
  assert.match(hintOf(judgeFit(disk(store), 20 * mebibyte)), /Shrink the last partition/)
})

test('a member whose mark lies at its end does not fit on less', () => {
  for (const { name, bytes } of raidVolumes()) {
    if (name === 'HighPoint 37x') continue
    bytes.set(bootRecord([0x83, 2048, 1000]))
    const fitting = judgeFit(disk(new MemoryStore(bytes)), 2 * mebibyte)
    assert.ok(!fitting.fits && fitting.why.includes('mark lies at its end'), name)
  }
})
