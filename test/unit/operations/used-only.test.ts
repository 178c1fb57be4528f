import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import type { BlockSource } from '../../../src/block/types.js'
import { openStore } from '../../../src/formats/open.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { measure } from '../../../src/operations/transfer/measure.js'
import { usedOnly } from '../../../src/operations/transfer/used-only.js'
import { readAll } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { hfsPlus, mbrDisk, swapArea } from '../../support/small-volumes.js'
import { sameFacts } from '../../support/same-facts.js'

/** HFS+ of 100 blocks of 4 KiB in which only the given ones are in use, and all others full of deleted data. */
function volume(used: readonly number[], attributes = 0x100): Buffer {
  const bytes = hfsPlus(100, [0, 1, 2, 3, ...used, 99], 'Volume')
  bytes.writeUInt32BE(attributes, 1024 + 4)
  for (let block = 4; block < 99; block++)
    bytes.fill(used.includes(block) ? 0xaa : 0xdd, block * 4096, (block + 1) * 4096)
  return bytes
}

function disk(bytes: Uint8Array): BlockSource {
  return openStore(new MemoryStore(bytes), undefined, { from: 'raw' })
}

const zeroed = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => (byte === 0xdd ? 0 : byte)))

test('each partition keeps what its filesystem uses; what lies between partitions stays', async () => {
  const parts = [
    { start: 64, bytes: volume([10, 11, 50]) },
    { start: 1000, bytes: volume([70]) },
  ]
  const whole = mbrDisk(2048, parts, 0xee)
  const { source, volumes, notes } = await usedOnly(disk(whole))
  sameFacts(notes, [])
  sameFacts(volumes, [
    { partition: 1, filesystem: 'HFS+', length: 409600, read: 8 * 4096 },
    { partition: 2, filesystem: 'HFS+', length: 409600, read: 6 * 4096 },
  ])
  assert.ok(Buffer.from(readAll(source)).equals(zeroed(whole)))
})

test('a filesystem without a partition table is one volume', async () => {
  const bytes = volume([20])
  const { source, volumes } = await usedOnly(disk(bytes))
  sameFacts(volumes, [{ filesystem: 'HFS+', length: 409600, read: 6 * 4096 }])
  assert.ok(Buffer.from(readAll(source)).equals(zeroed(bytes)))
})

test('a filesystem that was not left in order is refused, taken whole, or trusted', async () => {
  const whole = mbrDisk(2048, [
    { start: 64, bytes: volume([10]) },
    { start: 1000, bytes: volume([10], 0) },
  ])
  await assert.rejects(usedOnly(disk(whole)), {
    kind: 'refused',
    code: 'E_FS_DIRTY',
    message: /^partition 2: the HFS\+ filesystem is dirty/,
    hint: /--if-dirty whole/,
  })
  const copied = await usedOnly(disk(whole), { ifDirty: 'whole' })
  sameFacts(
    copied.volumes.map(({ read }) => read),
    [6 * 4096, 409600],
  )
  sameFacts(
    copied.notes.map(({ code, message }) => [code, message.slice(0, 27)]),
    [['W_FS_WHOLE', 'partition 2 is copied whole']],
  )
  const trusted = await usedOnly(disk(whole), { ifDirty: 'trust' })
  sameFacts(
    trusted.volumes.map(({ read }) => read),
    [6 * 4096, 6 * 4096],
  )
  assert.ok(Buffer.from(readAll(trusted.source)).equals(zeroed(whole)))
})

test('what is not known, damaged, past the end or overlapping is copied whole, and said', async () => {
  const damaged = volume([10])
  damaged[4096 + 5] = 1
  const whole = mbrDisk(4096, [
    { start: 64, bytes: Buffer.alloc(4096, 7) },
    { start: 1000, bytes: damaged },
    { start: 2000, bytes: volume([10]) },
    { start: 2100, bytes: Buffer.alloc(0), length: 5000 },
  ])
  const { source, volumes, notes } = await usedOnly(disk(whole))
  sameFacts(
    volumes.map(({ partition, length, read }) => [partition, read === length]),
    [
      [3, true],
      [4, true],
      [1, true],
      [2, true],
    ],
  )
  sameFacts(
    notes.map(({ code }) => code),
    ['W_FS_WHOLE', 'W_FS_WHOLE', 'W_FS_WHOLE', 'W_FS_WHOLE'],
  )
  const reasons = new Map(volumes.map(({ partition, whole: why }) => [partition, why]))
  assert.match(reasons.get(1) ?? '', /nothing is known/)
  assert.match(reasons.get(2) ?? '', /damaged/)
  assert.match(reasons.get(3) ?? '', /overlaps partition 4/)
  assert.match(reasons.get(4) ?? '', /behind the end of the disk/)
  assert.ok(Buffer.from(readAll(source)).equals(whole))
})

test('a table that is lost is no disk without one', async () => {
  const whole = mbrDisk(2048, [{ start: 1, bytes: Buffer.alloc(0), length: 2047 }])
  whole[446 + 4] = 0xee
  volume([10]).copy(whole, 64 * 512)
  const { source, volumes, notes } = await usedOnly(disk(whole))
  assert.equal(volumes.length, 1)
  assert.match(notes[0]?.message ?? '', /^the disk is copied whole: .*GPT/)
  assert.ok(Buffer.from(readAll(source)).equals(whole))
})

test('swap areas are kept, and dropped by choice; never while a system sleeps in them', async () => {
  const parts = (mark?: string) => mbrDisk(2048, [{ start: 64, bytes: swapArea(50, 0xdd, mark) }])
  const kept = await usedOnly(disk(parts()))
  assert.ok(Buffer.from(readAll(kept.source)).equals(parts()))
  sameFacts(kept.notes, [])
  const dropped = await usedOnly(disk(parts()), { dropSwap: true })
  sameFacts(dropped.volumes, [{ partition: 1, filesystem: 'swap', length: 50 * 4096, read: 4096 }])
  assert.ok(Buffer.from(readAll(dropped.source)).equals(zeroed(parts())))
  await assert.rejects(usedOnly(disk(parts('S1SUSPEND')), { dropSwap: true }), {
    code: 'E_FS_DIRTY',
    message: /sleeps/,
  })
  // A machine with pages of 64 KiB put it to sleep; what pages of 4 KiB had left says that it is a swap area.
  const large = parts()
  large.write('S1SUSPEND\0', 64 * 512 + 65536 - 10)
  await assert.rejects(usedOnly(disk(large), { dropSwap: true }), { code: 'E_FS_DIRTY', message: /sleeps/ })
  const asleep = await usedOnly(disk(parts('S1SUSPEND')), { dropSwap: true, ifDirty: 'whole' })
  assert.ok(Buffer.from(readAll(asleep.source)).equals(parts('S1SUSPEND')))
})

test('convert and measure leave it out, and say how much', async (t) => {
  const folder = testFolder(t)
  const whole = mbrDisk(2048, [{ start: 64, bytes: volume([10, 11, 50]) }])
  const source = join(folder, 'disk.raw')
  fs.writeFileSync(source, whole)
  const target = join(folder, 'used.qcow2')
  const result = await convert(source, target, { usedOnly: {}, verify: true, options: { 'cluster-size': '4K' } })
  sameFacts(result.volumes, [{ partition: 1, filesystem: 'HFS+', length: 409600, read: 8 * 4096 }])
  const size = fs.statSync(target).size
  const measured = await measure(source, { to: 'qcow2', usedOnly: {}, options: { 'cluster-size': '4K' } })
  assert.equal(measured.required, size)
  const all = await measure(source, { to: 'qcow2', options: { 'cluster-size': '4K' } })
  assert.ok(all.required > size + 100_000)
  const back = join(folder, 'back.raw')
  await convert(target, back)
  assert.ok(fs.readFileSync(back).equals(zeroed(whole)))
  await assert.rejects(convert(source, join(folder, 'cut.raw'), { usedOnly: {}, size: 64 * 512 + 4096 }), {
    code: 'E_SIZE_TOO_SMALL',
  })
})

test('an abort ends it', async () => {
  const controller = new AbortController()
  controller.abort()
  await assert.rejects(usedOnly(disk(volume([10])), { signal: controller.signal }), { code: 'E_ABORTED' })
})
