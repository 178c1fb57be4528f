import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { entryBytes, gptEntries, gptWrites, planMend, protectiveMbr } from '../../../src/partition/index.js'
import { openWith } from '../../support/drivers.js'
import { apply, capacity, codes, damages, gptDisk, mebibyte, table, types } from '../../support/gpt-disk.js'

for (const sectorSize of [512, 4096] as const) {
  test(`each damage of a GPT is reported, mended, and nothing else changes (${sectorSize}-byte sectors)`, () => {
    for (const [expected, damage] of damages) {
      const store = gptDisk(sectorSize)
      const before = table(store)
      damage(store, sectorSize)
      assert.deepEqual(codes(store), expected)
      const plan = planMend(openWith('raw', store))
      assert.deepEqual(
        plan.mends.map(({ code }) => code),
        expected,
      )
      assert.deepEqual(
        plan.left.filter(({ code }) => code !== 'W_SECTOR_SIZE'),
        [],
      )
      apply(store, plan.writes.flat())
      assert.deepEqual(codes(store), [])
      assert.deepEqual([table(store).diskId, table(store).partitions], [before.diskId, before.partitions])
      assert.deepEqual(planMend(openWith('raw', store)).writes, [], 'a sound table is left alone')
    }
  })
}

test('new ids: the disk, every partition, both copies; nothing else', () => {
  const store = gptDisk()
  const ids = [
    'aaaaaaaa-0000-4000-8000-000000000000',
    'aaaaaaaa-0000-4000-8000-000000000001',
    'aaaaaaaa-0000-4000-8000-000000000002',
  ]
  const names: string[] = []
  const plan = planMend(openWith('raw', store), { newId: (name) => ids[names.push(name) - 1]! })
  assert.deepEqual(names, ['disk', 'partition 1', 'partition 3'])
  assert.deepEqual(
    plan.ids.map(({ partition, label, after }) => [partition, label, after]),
    [
      [undefined, undefined, ids[0]],
      [1, 'EFI', ids[1]],
      [3, undefined, ids[2]],
    ],
  )
  const before = table(store)
  apply(store, plan.writes.flat())
  assert.deepEqual(codes(store), [])
  const after = table(store)
  assert.equal(after.diskId, ids[0])
  assert.deepEqual(
    after.partitions,
    before.partitions.map((partition, index) => ({ ...partition, uuid: ids[index + 1] })),
  )
})

test('two partitions with one id get their own', () => {
  const store = new MemoryStore(undefined, 'disk')
  const entry = { type: types.linux, unique: '01234567-89ab-cdef-0123-456789abcdef' }
  const entries = gptEntries([
    { number: 1, firstLba: 2048, lastLba: 4095, ...entry },
    { number: 2, firstLba: 4096, lastLba: 8191, ...entry },
  ])
  apply(
    store,
    gptWrites({
      sectorSize: 512,
      capacity,
      diskGuid: '11111111-2222-3333-4444-555555555555',
      entries,
      entryCount: 128,
      entrySize: 128,
      mbr: protectiveMbr(capacity, 512),
    }).flat(),
  )
  assert.deepEqual(codes(store), ['W_DUP_GUID'])
  let count = 0
  const plan = planMend(openWith('raw', store), { newId: () => `aaaaaaaa-0000-4000-8000-00000000000${count++}` })
  assert.deepEqual([plan.mends.map(({ code }) => code), plan.left], [['W_DUP_GUID', 'NEW_IDS'], []])
})

test('an MBR gets a new signature and keeps its boot code', () => {
  const store = new MemoryStore(new Uint8Array(mebibyte), 'disk')
  const sector = new Uint8Array(512).fill(0x90, 0, 440)
  sector.set(entryBytes(0x83, 8, 100, true), 446)
  sector.set([0x55, 0xaa], 510)
  store.write(0, sector)
  assert.deepEqual(planMend(openWith('raw', store)).writes, [])
  const plan = planMend(openWith('raw', store), { newId: () => '1234abcd-0000-4000-8000-000000000000' })
  apply(store, plan.writes.flat())
  assert.deepEqual([table(store).diskId, table(store).partitions[0]!.uuid], ['1234abcd', '1234abcd-01'])
  sector.set([0xcd, 0xab, 0x34, 0x12], 440)
  assert.deepEqual(store.contents().subarray(0, 512), sector)
})

test('what belongs to something else stays: a hybrid MBR, a filesystem before a GPT', () => {
  const store = gptDisk()
  store.write(446 + 16, entryBytes(0x83, 10240, 100, false))
  store.truncate(33 * mebibyte)
  const sector = store.contents().subarray(0, 512)
  const plan = planMend(openWith('raw', store))
  apply(store, plan.writes.flat())
  assert.deepEqual([codes(store), store.contents().subarray(0, 512)], [['W_HYBRID_MBR'], sector])
  const fat = gptDisk()
  fat.write(0, Uint8Array.of(0xeb, 0x3c, 0x90, ...Buffer.from('MSDOS5.0'), 0, 2, 4, 1, 0, 2, 0, 2, 0, 0, 0xf8))
  assert.deepEqual([codes(fat), planMend(openWith('raw', fat)).writes], [['W_PMBR_MISSING'], []])
})

test('what cannot be mended without a guess is refused', () => {
  const store = gptDisk()
  store.write(512, new Uint8Array(512))
  store.write(capacity - 512, new Uint8Array(512))
  assert.throws(() => planMend(openWith('raw', store)), { code: 'E_GPT_MISSING', kind: 'corrupt' })
  const cut = gptDisk()
  cut.truncate(11 * mebibyte)
  assert.throws(() => planMend(openWith('raw', cut)), { code: 'E_PARTITIONS_DO_NOT_FIT', kind: 'refused' })
  assert.throws(() => planMend(openWith('raw', new MemoryStore(new Uint8Array(mebibyte), 'empty'))), {
    code: 'E_NO_TABLE',
    kind: 'usage',
  })
})

test('entries elsewhere, more than usual, and what a later revision keeps in its header, survive', () => {
  const store = new MemoryStore(undefined, 'disk')
  const entries = gptEntries(
    [{ number: 200, type: types.linux, unique: '01234567-89ab-cdef-0123-456789abcdef', firstLba: 4096, lastLba: 8191 }],
    256,
  )
  const header = new Uint8Array(512)
  header.set([0x45, 0x46, 0x49, 0x20, 0x50, 0x41, 0x52, 0x54, 1, 0, 1, 0, 120], 0)
  header.fill(0xab, 92, 120)
  const layout = {
    sectorSize: 512,
    capacity,
    diskGuid: '11111111-2222-3333-4444-555555555555',
    entries,
    entryCount: 256,
    entrySize: 128,
    entriesLba: 40,
    header,
    mbr: protectiveMbr(capacity, 512),
  } as const
  apply(store, gptWrites(layout).flat())
  assert.deepEqual([codes(store), table(store).partitions.map(({ number }) => number)], [['W_GPT_REVISION'], [200]])
  const whole = store.contents()
  store.write(capacity - 512, new Uint8Array(512))
  apply(store, planMend(openWith('raw', store)).writes.flat())
  assert.deepEqual(store.contents(), whole)
})
