import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have, runIn } from '../support/tools.js'

for (const name of ['d.raw', 'd.img'])
  test(`${name} whose last sector is the footer of a VHD: each command says so, and --from decides`, async (t) => {
    if (!have(t, 'qemu-img')) return
    const cwd = testFolder(t)
    fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(4 * 1024 * 1024, 7))
    runIn(cwd, 'qemu-img', 'convert', '-f', 'raw', '-O', 'vpc', '-o', 'subformat=fixed,force_size=on', 'a.raw', name)
    for (const args of [
      ['convert', name, 'o.raw', '--force'],
      ['hash', name],
      ['info', name],
      ['map', name],
      ['measure', name, '--to', 'qcow2'],
      ['compare', name, 'a.raw'],
      ['check', name],
      ['inspect', name],
    ]) {
      const { stdout, stderr } = await vdisk(args, { cwd })
      assert.match(stdout.toString() + stderr, /--from vhd says that it is one, --from raw/, args.join(' '))
    }
    const size = fs.statSync(join(cwd, name)).size
    for (const [from, length] of [
      ['raw', size],
      ['vhd', size - 512],
    ] as const) {
      const { code, stderr } = await vdisk(['convert', name, 'o.raw', '--force', '--from', from], { cwd })
      assert.equal(code, 0, stderr)
      assert.equal(fs.statSync(join(cwd, 'o.raw')).size, length)
      assert.doesNotMatch(stderr, /says that it is one/)
    }
  })

test('what a QCOW2 header in a raw disk names is opened with --from only', async (t) => {
  if (!have(t, 'qemu-img')) return
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'secret.raw'), Buffer.alloc(1024 * 1024, 9))
  runIn(cwd, 'qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'secret.raw', '-F', 'raw', 'd.raw')
  fs.writeFileSync(join(cwd, 'empty.raw'), Buffer.alloc(1024 * 1024))
  runIn(cwd, 'qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-o', 'data_file=data.bin', 'secret.raw', 'e.raw')
  for (const file of ['d.raw', 'e.raw']) {
    for (const command of [
      ['convert', file, 'o.qcow2', '--force'],
      ['hash', file],
      ['map', file],
    ]) {
      const { code, stderr } = await vdisk(command, { cwd })
      assert.equal(code, 6, `${command.join(' ')}: ${stderr}`)
      assert.match(stderr, /named as a raw disk[^]*--from raw/)
    }
    const info = await vdisk(['info', file], { cwd })
    assert.equal(info.code, 0, info.stderr)
    const image = await vdisk(['compare', file, 'secret.raw', '--from', 'qcow2'], { cwd })
    assert.equal(image.code, 0, image.stderr)
    const read = await vdisk(['hash', file, '--from', 'qcow2'], { cwd })
    const expected = await vdisk(['hash', 'secret.raw'], { cwd })
    assert.equal(read.stdout.toString().slice(0, 64), expected.stdout.toString().slice(0, 64))
    assert.equal((await vdisk(['hash', file, '--from', 'raw'], { cwd })).code, 0)
  }
})

test('a target whose name promises another format is warned of', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(1024 * 1024, 7))
  for (const args of [
    ['convert', 'a.raw', 'b.vhd', '--to', 'qcow2'],
    ['convert', 'a.raw', 'b.qcow2', '--to', 'raw'],
    ['convert', 'a.raw', 'b.img', '--to', 'vhdx'],
    ['create', 'c.vhdx', '1M', '--to', 'vhd'],
  ]) {
    const { code, stderr } = await vdisk(args, { cwd })
    assert.equal(code, 0, stderr)
    assert.match(stderr, /promises a/, args.join(' '))
  }
  for (const args of [
    ['convert', 'a.raw', 'd.qcow2'],
    ['convert', 'a.raw', 'd.img', '--to', 'raw'],
    ['convert', 'a.raw', 'noname', '--to', 'vhd'],
  ])
    assert.doesNotMatch((await vdisk(args, { cwd })).stderr, /promises/)
})
