import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { check, hash, openImage } from '../../src/index.js'
import { testFolder } from '../support/folder.js'
import { have, run } from '../support/tools.js'

const cluster = 4096
const tableClusters = 2
const coverage = ((tableClusters * cluster) / 8) * cluster

interface Made {
  readonly file: string
  readonly bytes: Buffer
  readonly l1: number
  /** Where the table of an L1 entry lies. */
  readonly table: (index: number) => number
}

/** A disk with data below two L1 entries. */
function made(t: TestContext): Made | undefined {
  if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return undefined
  const file = join(testFolder(t), 'disk.qed')
  const options = `cluster_size=${cluster},table_size=${tableClusters}`
  run('qemu-img', 'create', '-q', '-f', 'qed', '-o', options, file, String(2 * coverage))
  run('qemu-io', '-f', 'qed', '-c', 'write -P 7 0 20000', '-c', `write -P 9 ${coverage} 30000`, file)
  const bytes = fs.readFileSync(file)
  const l1 = bytes.readUInt32LE(40)
  return { file, bytes, l1, table: (index) => bytes.readUInt32LE(l1 + index * 8) }
}

/** What QEMU counts. */
function qemuCheck(file: string): { readonly corruptions?: number; readonly leaks?: number } {
  const { stdout } = spawnSync('qemu-img', ['check', '-f', 'qed', '--output', 'json', file], { encoding: 'utf8' })
  return JSON.parse(stdout) as { corruptions?: number; leaks?: number }
}

test('clusters of a QED image that nothing names are reported, as many as QEMU counts', async (t) => {
  const disk = made(t)
  if (disk === undefined) return
  assert.deepEqual((await check(disk.file)).counts, { error: 0, leak: 0, warning: 0 })
  disk.bytes.writeUInt32LE(0, disk.l1 + 8)
  fs.writeFileSync(disk.file, disk.bytes)
  const { layers, counts } = await check(disk.file)
  const leaks = qemuCheck(disk.file).leaks ?? 0
  assert.equal(leaks, tableClusters + Math.ceil(30_000 / cluster))
  assert.equal(counts.error, 0)
  assert.deepEqual(
    layers[0]?.findings.map(({ code, message }) => [code, Number(message.split(' ')[0])]),
    [['L_UNREFERENCED', leaks]],
  )
})

test('a cluster of a QED image that lies on a table is not read as data, whichever is read first', async (t) => {
  const disk = made(t)
  if (disk === undefined) return
  const { file, bytes, l1, table } = disk
  for (const place of [l1, l1 + cluster, table(0), table(0) + cluster, table(1), table(1) + cluster]) {
    const damaged = Buffer.from(bytes)
    damaged.writeUInt32LE(place, table(0))
    fs.writeFileSync(file, damaged)
    assert.ok((qemuCheck(file).corruptions ?? 0) > 0, 'QEMU finds it too')
    await assert.rejects(hash(file), { code: 'E_OVERLAP', kind: 'corrupt' })
    assert.equal((await check(file)).counts.error, 1)
    using image = await openImage(file)
    assert.throws(() => image.read(0, 512), { code: 'E_OVERLAP', kind: 'corrupt' })
  }
})

test('two parts of a QED image with one table are not both read', async (t) => {
  const disk = made(t)
  if (disk === undefined) return
  const { file, bytes, l1, table } = disk
  bytes.writeUInt32LE(table(0), l1 + 8)
  fs.writeFileSync(file, bytes)
  assert.ok((qemuCheck(file).corruptions ?? 0) > 0, 'QEMU finds it too')
  using image = await openImage(file)
  // Zero by that table, and nothing of it can be believed.
  assert.throws(() => image.read(2 * coverage - cluster, 512), { code: 'E_OVERLAP', kind: 'corrupt' })
  await assert.rejects(hash(file), { code: 'E_OVERLAP' })
})
