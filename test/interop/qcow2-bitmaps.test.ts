import assert from 'node:assert/strict'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have, runIn } from '../support/tools.js'

interface Case {
  readonly what: string
  readonly args: readonly string[]
  readonly keeps: boolean
}

const cases: readonly Case[] = [
  { what: 'a disk that grows as far as its bitmap goes', args: ['resize', 'a.qcow2', '32M'], keeps: true },
  { what: 'a disk that grows further', args: ['resize', 'a.qcow2', '300G'], keeps: false },
  { what: 'a disk that is cut', args: ['resize', 'a.qcow2', '8M', '--shrink'], keeps: false },
  { what: 'compact', args: ['compact', 'a.qcow2', '--in-place'], keeps: false },
  { what: 'a snapshot', args: ['snapshot', 'create', 'a.qcow2', 'now'], keeps: true },
]

for (const { what, args, keeps } of cases)
  test(`QCOW2 bitmaps: ${what}: ${keeps ? 'right as before' : 'dropped, said, and nothing leaks'}`, async (t) => {
    if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return
    const cwd = testFolder(t)
    runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', 'a.qcow2', '16M')
    runIn(cwd, 'qemu-io', '-f', 'qcow2', '-c', 'write -q -P 5 1M 2M', 'a.qcow2')
    runIn(cwd, 'qemu-img', 'bitmap', '--add', '-f', 'qcow2', 'a.qcow2', 'backup')
    runIn(cwd, 'qemu-io', '-f', 'qcow2', '-c', 'write -q -P 6 4M 1M', '-c', 'write -q -P 0 3M 256k', 'a.qcow2')
    const { code, stderr } = await vdisk(args, { cwd })
    assert.equal(code, 0, stderr)
    runIn(cwd, 'qemu-img', 'check', '-q', 'a.qcow2')
    const checked = await vdisk(['check', 'a.qcow2'], { cwd })
    assert.equal(checked.code, 0, checked.stdout.toString())
    const info = JSON.parse(runIn(cwd, 'qemu-img', 'info', '--output=json', 'a.qcow2')) as {
      'format-specific': { data: { bitmaps?: { name: string; flags: string[] }[] } }
    }
    const { bitmaps = [] } = info['format-specific'].data
    if (!keeps) {
      assert.deepEqual(bitmaps, [])
      assert.match(stderr, /bitmap was dropped/)
      return
    }
    assert.deepEqual(
      bitmaps.map(({ name, flags }) => [name, flags]),
      [['backup', ['auto']]],
    )
    assert.equal(stderr, '')
    // The bitmap can be read, and merged: qemu looks at its length then.
    runIn(cwd, 'qemu-img', 'bitmap', '--add', '--merge', 'backup', '-f', 'qcow2', 'a.qcow2', 'copy')
  })

test('QCOW2: the time of a snapshot that does not fit in 32 bits is refused', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', 'a.qcow2', '4M')
  const { code, stderr } = await vdisk(['snapshot', 'create', 'a.qcow2', 's'], {
    cwd,
    env: { SOURCE_DATE_EPOCH: '99999999999' },
  })
  assert.equal(code, 2, stderr)
  assert.match(stderr, /32 bits/)
  assert.equal(
    (await vdisk(['snapshot', 'create', 'a.qcow2', 's'], { cwd, env: { SOURCE_DATE_EPOCH: '4294967295' } })).code,
    0,
  )
  assert.match((await vdisk(['snapshot', 'list', 'a.qcow2'], { cwd })).stdout.toString(), /2106-02-07/)
})
