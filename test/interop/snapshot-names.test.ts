import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have, runIn } from '../support/tools.js'

/** Ids and names by qemu-img, in the file's order. */
function listed(folder: string, file: string): string[] {
  const info = JSON.parse(runIn(folder, 'qemu-img', 'info', '--output=json', file)) as {
    snapshots?: { id: string; name: string }[]
  }
  return (info.snapshots ?? []).map(({ id, name }) => `${id}:${name}`)
}

test('a snapshot whose id is the name of another: asked which, and id:2 and name:2 say it', async (t) => {
  if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return
  const cwd = testFolder(t)
  const make = (file: string): void => {
    runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', file, '8M')
    for (const [byte, name] of [
      ['1', '2'],
      ['2', 'other'],
    ] as const) {
      runIn(cwd, 'qemu-io', '-f', 'qcow2', '-c', `write -q -P ${byte} 0 64k`, file)
      runIn(cwd, 'qemu-img', 'snapshot', '-c', name, file)
    }
  }
  make('a.qcow2')
  const before = fs.readFileSync(join(cwd, 'a.qcow2'))
  for (const args of [
    ['snapshot', 'delete', 'a.qcow2', '2'],
    ['snapshot', 'delete', 'a.qcow2', '2', '--dry-run'],
    ['snapshot', 'extract', 'a.qcow2', '2', 'x.raw'],
    ['hash', 'a.qcow2', '--snapshot', '2'],
    ['convert', 'a.qcow2', 'x.raw', '--snapshot', '2'],
  ]) {
    const { code, stderr } = await vdisk(args, { cwd })
    assert.equal(code, 2, stderr)
    assert.match(stderr, /"2" can mean 1 \(2\), 2 \(other\)[^]*id:1 or id:2/, args.join(' '))
  }
  assert.deepEqual(fs.readFileSync(join(cwd, 'a.qcow2')), before)
  assert.equal(fs.existsSync(join(cwd, 'x.raw')), false)
  for (const [wanted, byte] of [
    ['id:1', 1],
    ['name:2', 1],
    ['id:2', 2],
    ['name:other', 2],
    ['1', 1],
    ['other', 2],
  ] as const) {
    const { code, stderr } = await vdisk(['snapshot', 'extract', 'a.qcow2', wanted, 'x.raw', '--force'], { cwd })
    assert.equal(code, 0, stderr)
    assert.equal(fs.readFileSync(join(cwd, 'x.raw'))[0], byte, wanted)
  }
  for (const [wanted, left] of [
    ['id:2', '1:2'],
    ['name:2', '2:other'],
  ] as const) {
    make('b.qcow2')
    const { code, stderr } = await vdisk(['snapshot', 'delete', 'b.qcow2', wanted], { cwd })
    assert.equal(code, 0, stderr)
    assert.deepEqual(listed(cwd, 'b.qcow2'), [left])
    runIn(cwd, 'qemu-img', 'check', '-q', 'b.qcow2')
  }
})

test('two snapshots of one name are distinguished by their ids', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', 'a.qcow2', '8M')
  for (const name of ['day', 'day2']) runIn(cwd, 'qemu-img', 'snapshot', '-c', name, 'a.qcow2')
  // qemu-img makes no second one of a name; older programs do.
  const bytes = fs.readFileSync(join(cwd, 'a.qcow2'))
  const at = bytes.indexOf('day2')
  bytes.write('day', at)
  // Before the name: the id (one byte), the extra data (its length stands in the entry), the entry of 40 bytes.
  const extra = bytes.readUInt32BE(at - 1 - 24 - 4)
  assert.equal(extra, 24)
  bytes.writeUInt16BE(3, at - 1 - extra - 40 + 14)
  fs.writeFileSync(join(cwd, 'a.qcow2'), bytes)
  assert.deepEqual(listed(cwd, 'a.qcow2'), ['1:day', '2:day'])
  const { code, stderr } = await vdisk(['snapshot', 'delete', 'a.qcow2', 'day'], { cwd })
  assert.equal(code, 2)
  assert.match(stderr, /can mean 1 \(day\), 2 \(day\)[^]*id:1 or id:2/)
  assert.equal((await vdisk(['snapshot', 'delete', 'a.qcow2', 'id:1'], { cwd })).code, 0)
  assert.deepEqual(listed(cwd, 'a.qcow2'), ['2:day'])
})

test('a new snapshot takes no name that is an id, and no id that is a name', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', 'a.qcow2', '8M')
  runIn(cwd, 'qemu-img', 'snapshot', '-c', '2', 'a.qcow2')
  const refused = await vdisk(['snapshot', 'create', 'a.qcow2', '1'], { cwd })
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /id "1" already/)
  for (const name of ['other', '4'])
    assert.equal((await vdisk(['snapshot', 'create', 'a.qcow2', name], { cwd })).code, 0)
  assert.deepEqual(listed(cwd, 'a.qcow2'), ['1:2', '3:other', '5:4'])
})
