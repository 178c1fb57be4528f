import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { startPeer } from '../support/nbd.js'
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

test('QCOW2 bitmaps: only what one lists is read, over the image made before', async (t) => {
  if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return
  const cwd = testFolder(t)
  const io = (...commands: string[]): string =>
    runIn(cwd, 'qemu-io', '-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), 'vm.qcow2')
  runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', 'vm.qcow2', '64M')
  io('write -q -P 5 1M 20M', 'write -q -P 6 63M 1M')
  assert.equal((await vdisk(['convert', 'vm.qcow2', 'monday.qcow2'], { cwd })).code, 0)
  runIn(cwd, 'qemu-img', 'bitmap', '--add', '-f', 'qcow2', 'vm.qcow2', 'since')
  io('write -q -P 7 2M 128k', 'write -q -z 5M 256k', 'write -q -P 8 40M 64k', 'write -q -P 9 65472k 64k')
  const words = ['convert', 'vm.qcow2', 'tuesday.qcow2', '--parent', 'monday.qcow2', '--changed', 'since']
  const { code, stdout, stderr } = await vdisk([...words, '--verify', '--json'], { cwd })
  assert.equal(code, 0, stderr + stdout.toString())
  const { bytesRead } = JSON.parse(stdout.toString()) as { readonly bytesRead: number }
  assert.ok(bytesRead <= 8 * 1048576, `${bytesRead} bytes were read`)
  runIn(cwd, 'qemu-img', 'compare', '-q', 'vm.qcow2', 'tuesday.qcow2')
  runIn(cwd, 'qemu-img', 'check', '-q', 'tuesday.qcow2')

  const fails = async (name: string, exit: number, ...more: string[]): Promise<void> => {
    const result = await vdisk([...words.slice(0, 2), 'other.qcow2', ...words.slice(3, 6), ...more, '--json'], { cwd })
    assert.equal(result.code, exit, result.stderr)
    assert.equal((JSON.parse(result.stdout.toString()) as { readonly code: string }).code, name)
  }
  await fails('E_NO_BITMAP', 2, 'another')
  // The flag in the header that bitmaps are what they say: a program that does not know them takes it away.
  const file = fs.readFileSync(join(cwd, 'vm.qcow2'))
  file.writeBigUInt64BE(0n, 88)
  fs.writeFileSync(join(cwd, 'vm.qcow2'), file)
  await fails('E_BITMAP_STALE', 3, 'since')
})

test('QEMU over NBD: only what a dirty bitmap of the export lists is read', async (t) => {
  if (!have(t, 'qemu-nbd') || !have(t, 'qemu-io')) return
  const cwd = testFolder(t)
  const io = (...commands: string[]): string =>
    runIn(cwd, 'qemu-io', '-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), 'vm.qcow2')
  runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', 'vm.qcow2', '64M')
  io('write -q -P 5 1M 20M', 'write -q -P 6 63M 1M')
  assert.equal((await vdisk(['convert', 'vm.qcow2', 'monday.vhdx'], { cwd })).code, 0)
  runIn(cwd, 'qemu-img', 'bitmap', '--add', '-f', 'qcow2', 'vm.qcow2', 'since')
  io('write -q -P 7 2M 128k', 'write -q -z 5M 256k', 'write -q -P 8 40M 64k', 'write -q -P 9 65472k 64k')
  // A disk that is served for reading has bitmaps that nobody writes.
  runIn(cwd, 'qemu-img', 'bitmap', '--disable', '-f', 'qcow2', 'vm.qcow2', 'since')
  const socket = join(cwd, 'socket')
  await startPeer(
    t,
    'qemu-nbd',
    ['-r', '-t', '-e', '8', '-f', 'qcow2', '-B', 'since', '-k', socket, join(cwd, 'vm.qcow2')],
    socket,
  )
  const uri = `nbd+unix:///?socket=${socket}`
  const words = ['convert', uri, 'tuesday.vhdx', '--parent', 'monday.vhdx', '--changed', 'since']
  const { code, stdout, stderr } = await vdisk([...words, '--verify', '--json'], { cwd })
  assert.equal(code, 0, stderr + stdout.toString())
  const { bytesRead } = JSON.parse(stdout.toString()) as { readonly bytesRead: number }
  assert.ok(bytesRead <= 8 * 1048576, `${bytesRead} bytes were read`)
  const compared = await vdisk(['compare', 'vm.qcow2', 'tuesday.vhdx'], { cwd })
  assert.equal(compared.code, 0, compared.stderr)
  // Stored are the changes alone.
  const map = JSON.parse((await vdisk(['map', 'tuesday.vhdx', '--json'], { cwd })).stdout.toString()) as {
    readonly extents: readonly { readonly depth: number; readonly type: string; readonly length: number }[]
  }
  const own = map.extents.filter(({ depth, type }) => depth === 0 && type === 'data')
  assert.ok(own.reduce((sum, { length }) => sum + length, 0) <= 8 * 1048576)

  const missing = await vdisk([...words.slice(0, 2), 'other.vhdx', ...words.slice(3, 6), 'another', '--json'], { cwd })
  assert.equal(missing.code, 2, missing.stderr)
  const error = JSON.parse(missing.stdout.toString()) as { readonly code: string; readonly hint: string }
  assert.equal(error.code, 'E_NO_BITMAP')
  assert.match(error.hint, /qemu-nbd --bitmap/)
  assert.equal(fs.existsSync(join(cwd, 'other.vhdx')), false)
})
