import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ContentTaker } from '../../../src/block/content-taker.js'
import { ReadTwice, strictly } from '../../../src/engine/content-sum.js'
import { diskLike } from '../../support/content.js'

const capacity = 1_048_576 + 700
const slice = 4096

/** What a taker is given. */
function taking(): ContentTaker & { readonly bytes: Buffer } {
  const bytes = Buffer.alloc(capacity, 0xff)
  return {
    start: 0,
    end: capacity,
    bytes,
    take: (offset, piece) => {
      bytes.set(piece, offset)
    },
    takeZeros: (offset, length) => void bytes.fill(0, offset, offset + length),
  }
}

/** A disk with zeros in it, read in order, and again backwards after a change. */
function readTwice(change: (disk: Buffer) => void): ReadTwice {
  const disk = Buffer.from(diskLike(capacity, 9))
  disk.fill(0, 300_000, 500_000)
  const taker = taking()
  const twice = new ReadTwice(taker, capacity, slice)
  twice.take(0, disk.subarray(0, 20 * slice))
  twice.takeZeros(20 * slice, 0)
  twice.take(20 * slice, disk.subarray(20 * slice))
  assert.ok(taker.bytes.equals(disk))
  change(disk)
  for (let at = Math.floor(capacity / slice) * slice; at >= 0; at -= slice) {
    // A format may round the disk up.
    const padded = Buffer.alloc(slice)
    disk.copy(padded, 0, at, Math.min(capacity, at + slice))
    if (padded.some((byte) => byte !== 0)) void twice.again.give(at, padded)
  }
  return twice
}

test('two reads of a disk are compared, in whatever order the second one is', () => {
  readTwice(() => undefined).assertSame()
  const changes: readonly ((disk: Buffer) => void)[] = [
    (disk) => (disk[5] = (disk[5] ?? 0) ^ 1),
    (disk) => (disk[capacity - 1] = (disk[capacity - 1] ?? 0) ^ 1),
    (disk) => disk.fill(0, slice, 2 * slice),
    (disk) => (disk[400_000] = 1),
    // Two parts that change places.
    (disk) => {
      const first = Buffer.from(disk.subarray(0, slice))
      disk.copyWithin(0, 3 * slice, 4 * slice)
      first.copy(disk, 3 * slice)
    },
  ]
  for (const change of changes)
    assert.throws(() => readTwice(change).assertSame(), { code: 'E_SOURCE_CHANGED', hint: /a raw image/ })
})

test('what could be read once, and cannot be read again, is an error and not zeros', async () => {
  const bad: { offset: number; length: number }[] = []
  let isFailing = false
  const strict = strictly({
    capacity,
    bad,
    salvage: (offset, target) => {
      if (isFailing) bad.push({ offset, length: target.length })
      return Promise.resolve()
    },
  })
  await strict.salvage(0, new Uint8Array(slice))
  isFailing = true
  await assert.rejects(strict.salvage(slice, new Uint8Array(slice)), { code: 'E_READ', hint: /--to raw/ })
})
