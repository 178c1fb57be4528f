import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { openToChange } from '../../src/operations/in-use/changing.js'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'

const mebibyte = 1048576

test('every command that reads an image warns while something else writes to it', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'r.raw'), diskLike(mebibyte, 3))
  for (const args of [
    ['convert', 'r.raw', 'q.qcow2'],
    ['snapshot', 'create', 'q.qcow2', 's'],
    ['create', 'c.qcow2', '--parent', 'q.qcow2'],
  ])
    assert.equal((await vdisk(args, { cwd })).code, 0)
  // Taken as QEMU takes it: this process has the locks.
  using held = openToChange(join(cwd, 'q.qcow2'), { allowOtherChildren: true })
  assert.ok(held.image.capacity > 0)
  const commands = [
    ['info', 'q.qcow2'],
    ['inspect', 'q.qcow2'],
    ['check', 'q.qcow2'],
    ['hash', 'q.qcow2'],
    ['map', 'q.qcow2'],
    ['measure', 'q.qcow2', '--to', 'vhd'],
    ['compare', 'r.raw', 'q.qcow2'],
    ['convert', 'q.qcow2', '1.raw'],
    ['hash', 'c.qcow2'],
    ['chain', 'show', 'c.qcow2'],
    ['chain', 'flatten', 'c.qcow2', '2.raw'],
    ['snapshot', 'extract', 'q.qcow2', 's', '3.raw'],
    ['repair', 'q.qcow2', '--output', '4.qcow2'],
    ['repair', 'q.qcow2', '--output', '5.qcow2', '--dry-run'],
    ['compact', 'q.qcow2', '--output', '6.qcow2'],
    ['create', '7.qcow2', '--parent', 'q.qcow2'],
    ['convert', 'r.raw', '8.qcow2', '--parent', 'q.qcow2'],
  ]
  for (const args of commands) {
    const { code, stdout, stderr } = await vdisk(args, { cwd })
    assert.equal(code, args[0] === 'check' ? 1 : 0, `${args.join(' ')}: ${stderr}`)
    assert.match(`${stdout.toString()}${stderr}`, /may change while it is read/, args.join(' '))
  }
  for (const args of [
    ['repair', 'q.qcow2', '--output', '9.qcow2', '--allow-in-use'],
    ['compact', 'q.qcow2', '--output', '10.qcow2', '--allow-in-use'],
  ]) {
    const { code, stderr } = await vdisk(args, { cwd })
    assert.equal(code, 0, stderr)
    assert.doesNotMatch(stderr, /may change/)
  }
})

test('a raw disk whose guest wrote a compressed file to its start: said, and read whole with --from raw', async (t) => {
  const cwd = testFolder(t)
  const disk = Buffer.alloc(2 * mebibyte)
  zlib.gzipSync(diskLike(mebibyte, 4)).copy(disk)
  for (const [name, warns] of [
    ['disk.raw', true],
    ['disk.gz', false],
    ['disk.raw.gz', false],
  ] as const) {
    fs.writeFileSync(join(cwd, name), disk)
    const found = await vdisk(['hash', name], { cwd })
    assert.equal(found.code, 0, found.stderr)
    assert.equal(/as a raw disk, but looks like .* gzip/.test(found.stderr), warns, `${name}: ${found.stderr}`)
  }
  const raw = await vdisk(['info', 'disk.raw', '--from', 'raw', '--json'], { cwd })
  const { images } = JSON.parse(raw.stdout.toString()) as { images: readonly { capacity: number }[] }
  assert.equal(images[0]?.capacity, 2 * mebibyte)
})
