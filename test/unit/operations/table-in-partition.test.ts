import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import type { BlockSource } from '../../../src/block/types.js'
import { openStore } from '../../../src/formats/open.js'
import { inspect } from '../../../src/operations/inspect/inspect.js'
import { keepParts } from '../../../src/operations/imaging/parts.js'
import { extractPartition } from '../../../src/operations/partition/extract.js'
import { injectPartition } from '../../../src/operations/partition/inject.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { openExposed } from '../../../src/operations/serve/exposed-disk.js'
import { usedOnly } from '../../../src/operations/transfer/used-only.js'
import { readPartitionTable } from '../../../src/partition/index.js'
import { readAll } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { hfsPlus } from '../../support/small-volumes.js'
import { bootRecord, gptDisk } from '../../support/table-bytes.js'

const sector = 512
const plain = { threads: 0, flush: false } as const
/** Sectors: partition 5, and the record of partition 6 in block 50 of its filesystem. */
const first = 80
const record = first + 50 * 8
const second = 1000

/** HFS+ of 400 KiB, in which only the given blocks are in use; free ones hold deleted data. */
function volume(...used: number[]): Buffer {
  const bytes = hfsPlus(100, [0, 1, 2, 3, ...used, 99], 'Volume')
  for (let block = 4; block < 99; block++)
    bytes.fill(used.includes(block) ? 0xaa : 0xdd, block * 4096, block * 4096 + 4096)
  return bytes
}

/** Two logical partitions, the record of the second inside the first. */
function nestedDisk(): Buffer {
  const disk = Buffer.alloc(2048 * sector)
  volume(20).copy(disk, first * sector)
  volume(30).copy(disk, second * sector)
  disk.set(bootRecord([5, 64, 1984]), 0)
  disk.set(bootRecord([0x83, first - 64, 800], [5, record - 64, 1500]), 64 * sector)
  disk.set(bootRecord([0x83, second - record, 800]), record * sector)
  return disk
}

function opened(bytes: Uint8Array): BlockSource {
  return openStore(new MemoryStore(bytes), undefined, { from: 'raw' })
}

function numbers(bytes: Uint8Array): number[] {
  return readPartitionTable(opened(bytes)).partitions.map(({ number }) => number)
}

test('--used-only keeps the boot record that lies in free space of another partition', async () => {
  const { source, volumes } = await usedOnly(opened(nestedDisk()))
  const copy = readAll(source)
  assert.deepEqual(numbers(copy), [1, 5, 6])
  assert.deepEqual(
    volumes.map(({ read }) => read),
    [6 * 4096 + sector, 6 * 4096],
  )
})

test('--parts keeps every boot record, with --used-only and without', async () => {
  for (const wanted of [[5], [6]]) {
    const disk = opened(nestedDisk())
    const table = readPartitionTable(disk)
    assert.deepEqual(numbers(readAll(keepParts(disk, table, wanted, 'disk').source)), [1, 5, 6])
    const used = await usedOnly(disk, { parts: wanted })
    assert.deepEqual(numbers(readAll(keepParts(used.source, table, wanted, 'disk').source)), [1, 5, 6])
  }
})

function folder(t: TestContext): (name: string, bytes?: Uint8Array) => string {
  const at = testFolder(t)
  return (name, bytes) => {
    const path = join(at, name)
    if (bytes !== undefined) fs.writeFileSync(path, bytes)
    return path
  }
}

test('inject keeps a boot record that the new content has no use for, in a copy and in place', async (t) => {
  const at = folder(t)
  for (const content of [volume(60), volume(60).subarray(0, 40 * 4096)]) {
    const whole = content.length === 409600
    at('content.raw', content)
    const inPlace = at('disk.raw', nestedDisk())
    const output = at('copy.raw')
    for (const where of [{ output }, { inPlace: true }]) {
      const result = await injectPartition(`${inPlace}@5`, at('content.raw'), { ...plain, ...where, force: true })
      assert.ok(result.notes.some(({ code }) => code === 'W_TABLE_KEPT'))
    }
    for (const path of [output, inPlace]) {
      const disk = fs.readFileSync(path)
      assert.deepEqual(numbers(disk), [1, 5, 6], path)
      const expected = Buffer.alloc(800 * sector)
      content.copy(expected)
      nestedDisk().copy(expected, (record - first) * sector, record * sector, (record + 1) * sector)
      assert.ok(disk.subarray(first * sector, (first + 800) * sector).equals(expected), `${path} ${whole}`)
    }
  }
})

test('inject refuses to destroy a boot record, unless that is allowed; the same bytes destroy nothing', async (t) => {
  const at = folder(t)
  const disk = at('disk.raw', nestedDisk())
  at('content.raw', volume(50))
  for (const where of [{ output: at('copy.raw') }, { inPlace: true }]) {
    await assert.rejects(injectPartition(`${disk}@5`, at('content.raw'), { ...plain, ...where }), {
      kind: 'refused',
      code: 'E_TABLE_IN_PARTITION',
      hint: /--allow-table-loss/,
    })
  }
  assert.ok(!fs.existsSync(at('copy.raw')))
  assert.ok(fs.readFileSync(disk).equals(nestedDisk()))
  // Content of no known kind says nothing of free space, not even where it is zero.
  at('zeros.raw', new Uint8Array(800 * sector))
  await assert.rejects(injectPartition(`${disk}@5`, at('zeros.raw'), { ...plain, inPlace: true }), {
    code: 'E_TABLE_IN_PARTITION',
  })
  const taken = await extractPartition(`${disk}@5`, at('taken.raw'), plain)
  assert.ok(taken.notes.some(({ code }) => code === 'W_TABLE_IN_PARTITION'))
  await injectPartition(`${disk}@5`, at('taken.raw'), { ...plain, inPlace: true })
  assert.ok(fs.readFileSync(disk).equals(nestedDisk()))
  const lost = await injectPartition(`${disk}@5`, at('content.raw'), { ...plain, inPlace: true, allowTableLoss: true })
  assert.ok(lost.notes.some(({ code }) => code === 'W_TABLE_LOST'))
  assert.deepEqual(numbers(fs.readFileSync(disk)), [1, 5])
})

test('what does not belong to one filesystem alone is read whole: LDM, boot loaders, members of arrays', async () => {
  const sheet: readonly (readonly [string, RegExp])[] = [
    ['af9b60a0-1431-4f62-bc68-3311714a69ad', /dynamic disk/],
    ['21686148-6449-6e6f-744e-656564454649', /boot loader/],
  ]
  for (const [type, reason] of sheet) {
    const store = gptDisk([{ number: 1, type, firstLba: 2048, lastLba: 2847 }])
    store.write(2048 * sector, volume(20))
    const { volumes } = await usedOnly(openStore(store, undefined, { from: 'raw' }))
    assert.match(volumes[0]?.whole ?? '', reason)
  }
  const mbr = Buffer.alloc(2048 * sector)
  mbr.set(bootRecord([0x42, 100, 800], [0x83, 1000, 800]))
  volume(20).copy(mbr, 100 * sector)
  volume(20).copy(mbr, 1000 * sector)
  assert.deepEqual(
    (await usedOnly(opened(mbr))).volumes.map(({ whole }) => whole !== undefined),
    [true, false],
  )
  // A superblock of Linux RAID 1.0 for the whole disk.
  const place = mbr.length - 8192
  mbr.writeUInt32LE(0xa92b4efc, place)
  mbr.writeUInt32LE(1, place + 4)
  mbr.writeBigUInt64LE(BigInt(place / sector), place + 144)
  const { volumes, source } = await usedOnly(opened(mbr))
  assert.deepEqual(
    volumes.map(({ whole }) => whole),
    ['the whole disk is a member of Linux RAID'],
  )
  assert.ok(Buffer.from(readAll(source)).equals(mbr))
})

test('GRUB’s core image is in use where its boot code and its own list say, also in free space', async () => {
  const disk = nestedDisk()
  const [core, rest] = [first + 40 * 8, first + 60 * 8]
  disk.writeBigUInt64LE(BigInt(core), 0x5c)
  disk.write('loading\0Geom\0Read\0', core * sector, 'latin1')
  disk.writeBigUInt64LE(BigInt(rest), core * sector + 500)
  disk.writeUInt16LE(3, core * sector + 508)
  disk.fill(0, core * sector + 488, core * sector + 500)
  const copy = Buffer.from(readAll((await usedOnly(opened(disk))).source))
  for (const [at, count] of [
    [core, 1],
    [rest, 3],
  ] as const)
    assert.ok(
      copy.subarray(at * sector, (at + count) * sector).equals(disk.subarray(at * sector, (at + count) * sector)),
    )
  // No list, and no end of it: nothing is taken for a place.
  disk.writeBigUInt64LE(2n ** 63n, core * sector + 500)
  assert.ok((await usedOnly(opened(disk))).volumes.every(({ whole }) => whole === undefined))
})

test('a partition of a further table that divides the disk otherwise is in use', async () => {
  const store = gptDisk([{ number: 1, firstLba: 2048, lastLba: 2847 }])
  store.write(2048 * sector, volume(20))
  const mbr = bootRecord([0xee, 1, 2047], [0x83, 2048 + 400, 80])
  store.write(446, mbr.subarray(446))
  store.write((2048 + 400) * sector, Buffer.from('a filesystem of the hybrid table'))
  const { source } = await usedOnly(openStore(store, undefined, { from: 'raw' }))
  const there = new Uint8Array(80 * sector)
  source.read((2048 + 400) * sector, there)
  assert.match(Buffer.from(there).toString('latin1'), /^a filesystem of the hybrid table/)
})

test('a BSD label with a filesystem at the first byte of its disk: both are shown', async (t) => {
  const disk = Buffer.alloc(2048 * sector)
  volume(20).copy(disk)
  const label = disk.subarray(sector)
  label.writeUInt32LE(0x82564557, 0)
  label.writeUInt32LE(sector, 40)
  label.writeUInt32LE(0x82564557, 132)
  label.writeUInt16LE(1, 138)
  label.writeUInt32LE(500, 148)
  label.writeUInt32LE(1200, 152)
  label.writeUInt8(7, 160)
  const { scheme, filesystems, partitions, issues } = await inspect(folder(t)('disk.raw', disk))
  assert.deepEqual(
    [scheme, filesystems.map(({ title }) => title), partitions.map(({ number }) => number)],
    ['bsd', ['HFS+'], [1]],
  )
  assert.ok(issues.some(({ code }) => code === 'W_AMBIGUOUS'))
})

test('a partition of a dynamic disk is whole also when it is taken alone', async (t) => {
  const at = folder(t)
  const disk = Buffer.alloc(2048 * sector)
  disk.set(bootRecord([0x42, 100, 800], [0x83, 1000, 800]))
  volume(20).copy(disk, 100 * sector)
  volume(20).copy(disk, 1000 * sector)
  const path = at('disk.raw', disk)
  for (const [number, isWhole] of [
    [1, true],
    [2, false],
  ] as const) {
    const converted = await convert(`${path}@${number}`, at(`c${number}.raw`), { ...plain, usedOnly: {} })
    const extracted = await extractPartition(`${path}@${number}`, at(`e${number}.raw`), { ...plain, usedOnly: {} })
    for (const { volumes } of [converted, extracted])
      assert.deepEqual(
        volumes?.map(({ whole }) => whole !== undefined),
        [isWhole],
      )
  }
})

test('a partition with a part of the table in it is not exposed for writing, unless that is allowed', (t) => {
  const folder = testFolder(t)
  const path = join(folder, 'disk.raw')
  fs.writeFileSync(path, nestedDisk())
  assert.throws(() => openExposed(`${path}@5`, { mode: 'write' }), {
    code: 'E_TABLE_IN_PARTITION',
    kind: 'refused',
    message: /partition 6.* lies inside partition 5/,
  })
  // Nothing was left open: the image can be taken again.
  openExposed(`${path}@5`, { mode: 'write', allowTableLoss: true })[Symbol.dispose]()
  for (const [part, mode] of [
    ['@6', 'write'],
    ['', 'write'],
    ['@5', 'read-only'],
    ['@5', 'throwaway'],
  ] as const)
    openExposed(`${path}${part}`, { mode })[Symbol.dispose]()
  assert.deepEqual(fs.readFileSync(path), nestedDisk())
})
