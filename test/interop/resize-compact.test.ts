import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576
/** How each is made of a raw disk, and whether qemu-img can check it. */
const subtypes = [
  { title: 'raw', file: 'disk.raw', flags: [], checked: false },
  { title: 'VHD fixed', file: 'disk.vhd', flags: ['--subformat', 'fixed'], checked: false },
  { title: 'VHD dynamic', file: 'disk.vhd', flags: [], checked: false },
  { title: 'VHDX fixed', file: 'disk.vhdx', flags: ['--subformat', 'fixed'], checked: true },
  { title: 'VHDX dynamic', file: 'disk.vhdx', flags: [], checked: true },
  { title: 'QCOW2 version 3, dynamic', file: 'disk.qcow2', flags: [], checked: true },
  { title: 'QCOW2 version 2, dynamic', file: 'disk.qcow2', flags: ['--subformat', 'v2'], checked: true },
  { title: 'VDI fixed', file: 'disk.vdi', flags: ['--subformat', 'fixed'], checked: true },
  { title: 'VDI dynamic', file: 'disk.vdi', flags: [], checked: true },
  { title: 'VMDK sparse, dynamic', file: 'disk.vmdk', flags: [], checked: true },
  { title: 'VMDK split', file: 'disk.vmdk', flags: ['--subformat', 'twoGbMaxExtentSparse'], checked: false },
  { title: 'VMDK flat', file: 'disk.vmdk', flags: ['--subformat', 'monolithicFlat'], checked: false },
] as const

/** Of all files of the image. */
function sizes(folder: string): { readonly size: number; readonly allocated: number } {
  const found = fs.readdirSync(folder).filter((name) => name.startsWith('disk'))
  const stats = found.map((name) => fs.statSync(path.join(folder, name)))
  return {
    size: stats.reduce((sum, { size }) => sum + size, 0),
    allocated: stats.reduce((sum, { blocks }) => sum + blocks * 512, 0),
  }
}

for (const { title, file, flags, checked } of subtypes) {
  test(`${title}: resized and compacted, qemu-img reads the same and finds nothing`, async (t) => {
    if (!have(t, 'qemu-img')) return
    const cwd = testFolder(t)
    const raw = path.join(cwd, 'expected.img')
    const content = Buffer.alloc(80 * mebibyte)
    Buffer.from(diskLike(10 * mebibyte, 5)).copy(content)
    Buffer.from(diskLike(6 * mebibyte, 6)).copy(content, 60 * mebibyte)
    fs.writeFileSync(raw, content)
    assert.equal((await vdisk(['convert', 'expected.img', file, ...flags], { cwd })).code, 0)
    const qemu =
      { raw: 'raw', vhd: 'vpc', vhdx: 'vhdx', qcow2: 'qcow2', vdi: 'vdi', vmdk: 'vmdk' }[path.extname(file).slice(1)] ??
      ''
    const same = (): void => {
      const compared = run('qemu-img', 'compare', '-f', 'raw', '-F', qemu, raw, path.join(cwd, file))
      assert.match(compared, /identical/)
      if (checked) assert.match(run('qemu-img', 'check', path.join(cwd, file)), /No errors/)
    }
    const grown = await vdisk(['resize', file, '+30M', '--json'], { cwd })
    assert.equal(grown.code, 0, grown.stderr)
    assertSchema('resize', JSON.parse(grown.stdout.toString()))
    fs.truncateSync(raw, 110 * mebibyte)
    same()
    const refused = await vdisk(['resize', file, '64M'], { cwd })
    assert.equal(refused.code, 3)
    assert.match(refused.stderr, /content at offset 67324416/)
    same()
    assert.equal((await vdisk(['resize', file, '70M'], { cwd })).code, 0)
    fs.truncateSync(raw, 70 * mebibyte)
    same()
    assert.equal((await vdisk(['resize', file, '64M', '--shrink'], { cwd })).code, 0)
    fs.truncateSync(raw, 64 * mebibyte)
    same()
    // Most of the disk is overwritten with zeros, as a guest does before its disk is compacted.
    const zeros = fs.openSync(raw, 'r+')
    fs.writeSync(zeros, Buffer.alloc(9 * mebibyte), 0, 9 * mebibyte, 0)
    fs.closeSync(zeros)
    run('qemu-io', '-f', qemu, '-c', 'write -P 0 0 9M', path.join(cwd, file))
    same()
    const before = sizes(cwd)
    if (title === 'VMDK split' || title === 'VMDK flat') {
      const copied = await vdisk(['compact', file, '--output', 'small.vmdk'], { cwd })
      assert.equal(copied.code, 2)
      assert.match(copied.stderr, /--in-place/)
      assert.deepEqual(sizes(cwd), before)
      assert.equal((await vdisk(['compact', file, '--in-place'], { cwd })).code, 0)
      same()
      assert.ok(sizes(cwd).allocated <= 12 * mebibyte, `${sizes(cwd).allocated} bytes are allocated`)
      return
    }
    const single = fs.statSync(path.join(cwd, file))
    const compacted = await vdisk(['compact', file, '--output', `small${path.extname(file)}`, '--json'], { cwd })
    assert.equal(compacted.code, 0, compacted.stderr)
    assertSchema('compact', JSON.parse(compacted.stdout.toString()))
    assert.deepEqual(fs.statSync(path.join(cwd, file)), single, 'the source of a copy is only read')
    assert.equal((await vdisk(['compact', file, '--in-place'], { cwd })).code, 0)
    same()
    const after = fs.statSync(path.join(cwd, file))
    assert.ok(after.blocks * 512 <= 12 * mebibyte, `${after.blocks * 512} bytes are allocated`)
    assert.equal(fs.statSync(path.join(cwd, `small${path.extname(file)}`)).size, after.size)
    if (title.endsWith('dynamic'))
      assert.ok(after.size < single.size - 5 * mebibyte, `${single.size} became ${after.size}`)
    assert.equal((await vdisk(['compact', file], { cwd })).code, 2)
  })
}
