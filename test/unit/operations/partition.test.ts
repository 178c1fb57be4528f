import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { openFile } from '../../../src/formats/open.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { compare } from '../../../src/operations/inspect/compare.js'
import { create } from '../../../src/operations/transfer/create.js'
import { convertPartitionTable } from '../../../src/operations/partition/convert.js'
import { extractPartition } from '../../../src/operations/partition/extract.js'
import { fixTable } from '../../../src/operations/partition/fix.js'
import { injectPartition } from '../../../src/operations/partition/inject.js'
import { inspect } from '../../../src/operations/inspect/inspect.js'
import { root } from '../../support/cli.js'
import { sha256 } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'

const disk = path.join(root, 'fixtures/partitioned-disk.vhdx')
const plain = { threads: 0, flush: false } as const

function folder(t: TestContext): (name: string) => string {
  const at = testFolder(t)
  return (name) => path.join(at, name)
}

/** The content of a disk or partition, by its digest. */
async function digest(argument: string, at: (name: string) => string): Promise<string> {
  const file = at('digest.raw')
  await convert(argument, file, { ...plain, force: true })
  return sha256(fs.readFileSync(file))
}

test('extract, and inject back: the same disk, whatever the formats on the way', async (t) => {
  const at = folder(t)
  const wanted = await digest(disk, at)
  for (const [via, to] of [
    ['p.qcow2', 'd.vhdx'],
    ['p.vhd', 'd.qcow2'],
    ['p.vhdx', 'd.raw'],
  ] as const) {
    await extractPartition(`${disk}@2`, at(via), {
      ...plain,
      ...(via === 'p.qcow2' ? { options: { compress: 'zlib' } } : {}),
    })
    await injectPartition(`${disk}@2`, at(via), { ...plain, output: at(to) }).catch((error: unknown) => {
      // A VHD is rounded up to its geometry, and does not fit then.
      assert.ok(via === 'p.vhd' && isImageError(error) && error.code === 'E_DOES_NOT_FIT', String(error))
    })
    if (fs.existsSync(at(to))) assert.equal(await digest(at(to), at), wanted)
  }
  const own = at('own.vhdx')
  await convert(disk, own, plain)
  await create(at('empty.raw'), { size: 5 * 1048576 })
  const put = await injectPartition(`${own}@label=root`, at('empty.raw'), { ...plain, inPlace: true })
  assert.deepEqual([put.slack, put.notes.map(({ code }) => code)], [{ behindImage: 21 * 1048576 }, ['W_SLACK']])
  assert.equal(await digest(`${own}@2`, at), sha256(new Uint8Array(26 * 1048576)))
  assert.notEqual(await digest(own, at), wanted)
  await injectPartition(`${own}@2`, at('p.qcow2'), { ...plain, inPlace: true })
  assert.equal(await digest(own, at), wanted)
})

test('a partition that begins and ends inside compressed clusters comes out whole', async (t) => {
  const at = folder(t)
  await convert(disk, at('c.qcow2'), { ...plain, options: { compress: 'zlib', 'cluster-size': '2M' } })
  await extractPartition(`${at('c.qcow2')}@2`, at('p.qcow2'), { ...plain, verify: true })
  assert.equal(await digest(at('p.qcow2'), at), await digest(`${disk}@2`, at))
})

test('wrap: a table of its own around a partition, of the size that the format gives the disk', async (t) => {
  const at = folder(t)
  const wanted = await digest(`${disk}@2`, at)
  const cases = [
    ['g.raw', { wrap: 'gpt' }, 'gpt', 512, '0fc63daf-8483-4772-8e79-3d69d8477de4'],
    ['m.raw', { wrap: 'mbr' }, 'mbr', 512, '0x83'],
    ['g.vhd', { wrap: 'gpt' }, 'gpt', 512, '0fc63daf-8483-4772-8e79-3d69d8477de4'],
    ['g.vhdx', { wrap: 'gpt', sectorSize: 4096 }, 'gpt', 4096, '0fc63daf-8483-4772-8e79-3d69d8477de4'],
    ['s.raw', { wrap: 'gpt', size: 100 * 1048576 }, 'gpt', 512, '0fc63daf-8483-4772-8e79-3d69d8477de4'],
  ] as const
  for (const [name, options, scheme, sectorSize, type] of cases) {
    const made = await extractPartition(`${disk}@2`, at(name), { ...plain, ...options })
    assert.deepEqual(made.wrapped?.start, 1048576)
    const found = await inspect(at(name))
    assert.deepEqual([found.scheme, found.sectorSize, found.issues], [scheme, sectorSize, []])
    assert.deepEqual(
      found.partitions.map(({ number, start, length, type: { id } }) => [number, start, length, id]),
      [[1, 1048576, 26 * 1048576, type]],
    )
    assert.equal(await digest(`${at(name)}@1`, at), wanted)
    if (name === 's.raw') assert.equal(found.image.capacity, 100 * 1048576)
    if (scheme === 'gpt') assert.equal(found.partitions[0]!.label, 'root')
  }
  // A filesystem without a table gets one; a disk with a table needs a partition.
  await extractPartition(`${disk}@1`, at('fat.raw'), plain)
  await extractPartition(at('fat.raw'), at('w.raw'), { ...plain, wrap: 'mbr' })
  assert.deepEqual(
    (await inspect(at('w.raw'))).partitions.map(({ type, filesystems }) => [type.id, filesystems[0]?.type]),
    [['0x0c', 'vfat']],
  )
  // The same input gives the same disk.
  const same = {
    ...plain,
    wrap: 'gpt',
    uuid: '6f1c4e2a-91d3-4b7e-8a55-0c2d3e4f5a6b',
    time: 1_700_000_000,
    force: true,
  } as const
  await extractPartition(`${disk}@1`, at('one.vhdx'), same)
  await extractPartition(`${disk}@1`, at('two.vhdx'), same)
  assert.ok(fs.readFileSync(at('one.vhdx')).equals(fs.readFileSync(at('two.vhdx'))))
})

test('convert: each step keeps every byte of every partition', async (t) => {
  const at = folder(t)
  const steps = [
    [disk, 'k.vhdx', { sectorSize: 4096 }, 'gpt', 4096],
    [at('k.vhdx'), 'm.vhdx', { table: 'mbr' }, 'mbr', 4096],
    [at('m.vhdx'), 'm.vhd', { sectorSize: 512 }, 'mbr', 512],
    [at('m.vhd'), 'g.qcow2', { table: 'gpt' }, 'gpt', 512],
    [disk, 'g.vhd', { table: 'mbr' }, 'mbr', 512],
  ] as const
  for (const [source, name, options, scheme, sectorSize] of steps) {
    const made = await convertPartitionTable(source, at(name), { ...plain, ...options })
    assert.deepEqual(made.after, { scheme, sectorSize })
    for (const number of [1, 2]) assert.ok((await compare(`${disk}@${number}`, `${at(name)}@${number}`, {})).same, name)
    const found = await inspect(at(name))
    assert.deepEqual([found.scheme, found.sectorSize, found.issues], [scheme, sectorSize, []], name)
  }
})

test('a mended copy in a format that rounds its size up has its backup at the end', async (t) => {
  const at = folder(t)
  await convert(disk, at('a.raw'), plain)
  fs.truncateSync(at('a.raw'), 41 * 1048576 + 512)
  const fixed = await fixTable(at('a.raw'), { ...plain, output: at('fixed.vhd'), options: { subformat: 'dynamic' } })
  assert.deepEqual(
    fixed.mends.map(({ code }) => code),
    ['W_GPT_BACKUP_MOVED', 'W_PMBR_SIZE'],
  )
  const found = await inspect(at('fixed.vhd'))
  assert.deepEqual(found.issues, [])
})

test('failures have their codes, and change nothing', async (t) => {
  const at = folder(t)
  await convert(disk, at('a.raw'), plain)
  for (const name of ['large.raw', 'none.raw']) await create(at(name), { size: 27 * 1048576 })
  await extractPartition(`${disk}@2`, at('p.raw'), plain)
  fs.copyFileSync(at('a.raw'), at('cut.raw'))
  fs.truncateSync(at('cut.raw'), 20 * 1048576)
  const before = fs.readdirSync(at('.')).sort()
  const content = ['a.raw', 'p.raw', 'cut.raw'].map((name) => sha256(fs.readFileSync(at(name))))
  const [a2, p, x] = [`${at('a.raw')}@2`, at('p.raw'), at('x.raw')]
  const cases: [string, () => Promise<unknown>][] = [
    ['E_NO_PARTITION', () => extractPartition(at('a.raw'), x, plain)],
    ['E_NO_PARTITION', () => extractPartition(at('a.raw'), x, { ...plain, wrap: 'gpt' })],
    ['E_NO_PARTITION', () => extractPartition(`${at('a.raw')}@9`, x, plain)],
    ['E_NO_PARTITION', () => extractPartition(at('none.raw'), x, plain)],
    ['E_PARTITIONS_DO_NOT_FIT', () => extractPartition(a2, x, { ...plain, wrap: 'gpt', size: 27 * 1048576 })],
    ['E_PART_PAST_END', () => extractPartition(`${at('cut.raw')}@2`, x, plain)],
    ['E_EXISTS', () => extractPartition(a2, p, plain)],
    ['E_NO_PARTITION', () => injectPartition(at('a.raw'), p, { inPlace: true })],
    ['E_TARGET', () => injectPartition(a2, p, {})],
    ['E_TARGET', () => injectPartition(a2, p, { inPlace: true, output: x })],
    ['E_DOES_NOT_FIT', () => injectPartition(a2, at('large.raw'), { inPlace: true })],
    ['E_DOES_NOT_FIT', () => injectPartition(a2, at('large.raw'), { ...plain, output: x })],
    ['E_PART_PAST_END', () => injectPartition(`${at('cut.raw')}@2`, p, { inPlace: true })],
    ['E_SAME_FILE', () => injectPartition(a2, `${at('a.raw')}@1`, { inPlace: true })],
    ['E_SAME_FILE', () => injectPartition(a2, p, { ...plain, output: p, force: true })],
    ['E_SAME_FILE', () => injectPartition(a2, p, { ...plain, output: at('a.raw'), force: true })],
    ['E_PARTITIONS_DO_NOT_FIT', () => fixTable(at('cut.raw'), { inPlace: true })],
    ['E_TARGET', () => fixTable(at('a.raw'), {})],
    ['E_NOT_A_DISK', () => fixTable(a2, { inPlace: true })],
    ['E_NOT_A_DISK', () => convertPartitionTable(a2, x, { ...plain, table: 'mbr' })],
    ['E_NO_TABLE', () => fixTable(at('none.raw'), { dryRun: true })],
    ['E_NO_TABLE', () => convertPartitionTable(at('none.raw'), x, { ...plain, table: 'gpt' })],
    ['E_SAME_TABLE', () => convertPartitionTable(at('a.raw'), x, { ...plain, table: 'gpt' })],
    ['E_TABLE_DAMAGED', () => convertPartitionTable(at('cut.raw'), x, { ...plain, table: 'mbr' })],
  ]
  for (const [code, run] of cases) {
    await assert.rejects(run, (error) => isImageError(error) && error.code === code, code)
    assert.deepEqual(fs.readdirSync(at('.')).sort(), before, code)
  }
  // A dry run changes nothing either.
  for (const dry of [
    () => extractPartition(a2, x, { ...plain, wrap: 'gpt', dryRun: true }),
    () => injectPartition(a2, p, { inPlace: true, dryRun: true }),
    () => injectPartition(a2, p, { output: x, dryRun: true }),
    () => fixTable(at('a.raw'), { inPlace: true, newIds: true, dryRun: true }),
    () => convertPartitionTable(at('a.raw'), x, { table: 'mbr', dryRun: true }),
  ])
    assert.equal((await dry()).dryRun, true)
  assert.deepEqual(fs.readdirSync(at('.')).sort(), before)
  assert.deepEqual(
    ['a.raw', 'p.raw', 'cut.raw'].map((name) => sha256(fs.readFileSync(at(name)))),
    content,
  )
})

test('a file whose name really ends in @2 is that file', async (t) => {
  const at = folder(t)
  await create(at('disk.raw@2'), { size: 1048576, to: 'raw' })
  await convert(disk, at('disk.raw'), plain)
  using image = openFile(at('disk.raw@2'), { from: 'raw' })
  assert.equal(image.capacity, 1048576)
  assert.equal((await inspect(at('disk.raw@2'), { from: 'raw' })).image.capacity, 1048576)
  fs.rmSync(at('disk.raw@2'))
  assert.equal((await inspect(at('disk.raw@2'))).image.part, 'partition 2')
})
