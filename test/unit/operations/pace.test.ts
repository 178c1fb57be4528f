import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { resize } from '../../../src/operations/change/resize.js'
import { mapLater } from '../../../src/operations/inspect/map.js'
import { PaceMeter } from '../../../src/operations/pace.js'
import type { Progress } from '../../../src/operations/progress.js'
import { scratch } from '../../support/tools.js'
import { gzipSync } from 'node:zlib'

test('the pace of a phase begins with it, and is unknown until it has moved', () => {
  const meter = new PaceMeter()
  const unknown = { bytesPerSecond: undefined, secondsLeft: undefined }
  assert.deepEqual(meter.take({ phase: 'copy', done: 0, total: 400 }, 1000), { begins: true, ...unknown })
  assert.deepEqual(meter.take({ phase: 'copy', done: 100, total: 400 }, 3000), {
    begins: false,
    bytesPerSecond: 50,
    secondsLeft: 6,
  })
  assert.deepEqual(meter.take({ phase: 'verify', done: 0, total: 400 }, 4000), { begins: true, ...unknown })
  assert.equal(meter.take({ phase: 'verify', done: 400, total: 0 }, 6000).secondsLeft, undefined, 'no total')
  assert.deepEqual(meter.take({ phase: 'unpack', done: 100, total: 100 }, 6100).begins, true)
  // A second time over the same bytes.
  meter.take({ phase: 'unpack', done: 0, total: 100 }, 6200)
  assert.equal(meter.take({ phase: 'unpack', done: 50, total: 100 }, 6700).bytesPerSecond, 100)
  // Entries of tables have no speed.
  meter.take({ phase: 'check', done: 0, total: 10 }, 6800)
  assert.deepEqual(meter.take({ phase: 'check', done: 5, total: 10 }, 6900), {
    begins: false,
    bytesPerSecond: undefined,
    secondsLeft: 0.1,
  })
  meter.take({ phase: 'flush', done: 0, total: 1 }, 7000)
  assert.deepEqual(meter.take({ phase: 'flush', done: 1, total: 1 }, 8000), { begins: false, ...unknown })
})

test('what may take long says how far it is: a cut disk is searched, a compressed one unpacked', async (t) => {
  const at = scratch(t)
  const events: Progress[] = []
  const onProgress = (event: Progress): void => void events.push(event)
  const size = 8 * 1048576
  fs.writeFileSync(at('disk.raw'), Buffer.alloc(size))
  await resize(at('disk.raw'), { capacity: size / 2 }, { from: 'raw', onProgress })
  assert.deepEqual(events.at(-1), { phase: 'read', done: size / 2, total: size / 2 })
  events.length = 0
  fs.writeFileSync(at('disk.raw.gz'), gzipSync(Buffer.alloc(4 * size, 1)))
  using mapped = await mapLater(at('disk.raw.gz'), { onProgress })
  assert.equal(mapped.layers[0]?.capacity, 4 * size)
  assert.ok(events.length > 0)
})
