import assert from 'node:assert/strict'
import fs from 'node:fs'
import test from 'node:test'
import { mountingMissing, mountPlace } from '../support/mounted.js'
import { hfsPlus } from '../support/small-volumes.js'
import { bootRecord } from '../support/table-bytes.js'
import { have, run } from '../support/tools.js'

/**
 * The server of a mount is another process, in another folder: names that were given must mean there what they mean
 * here.
 */
test(
  'mount finds a parent that was moved, by --parent-map and by --search, with relative names',
  { skip: mountingMissing() ?? false },
  async (t) => {
    const { at, vdisk } = mountPlace(t)
    fs.writeFileSync(at('base.raw'), '')
    fs.truncateSync(at('base.raw'), 8 * 1048576)
    if (!have(t, 'mke2fs')) return
    run('mke2fs', '-q', '-F', '-t', 'ext4', '-L', 'moved', at('base.raw'))
    for (const args of [
      ['convert', 'base.raw', 'base.vhdx'],
      ['create', 'child.vhdx', '--parent', 'base.vhdx'],
    ]) {
      const made = await vdisk(...args)
      assert.equal(made.code, 0, made.stderr)
    }
    fs.mkdirSync(at('else where'))
    fs.renameSync(at('base.vhdx'), at('else where/moved.vhdx'))
    fs.mkdirSync(at('point'))
    assert.equal((await vdisk('mount', 'child.vhdx', 'point')).code, 6)
    const mapped = await vdisk('mount', 'child.vhdx', 'point', '--parent-map', 'base.vhdx=else where/moved.vhdx')
    assert.equal(mapped.code, 0, mapped.stderr)
    assert.ok(fs.existsSync(at('point/lost+found')))
    assert.equal((await vdisk('unmount', 'point')).code, 0)
    fs.renameSync(at('else where/moved.vhdx'), at('else where/base.vhdx'))
    const searched = await vdisk('mount', 'child.vhdx', 'point', '--search', 'else where')
    assert.equal(searched.code, 0, searched.stderr)
    assert.ok(fs.existsSync(at('point/lost+found')))
    assert.equal((await vdisk('unmount', 'point')).code, 0)
  },
)

test(
  'mount --write and serve --write refuse a partition in which the boot record of another one lies',
  { skip: mountingMissing() ?? false },
  async (t) => {
    const { at, vdisk } = mountPlace(t)
    const disk = Buffer.alloc(2048 * 512)
    const volume = hfsPlus(100, [0, 1, 2, 3, 20, 99], 'Volume')
    volume.copy(disk, 80 * 512)
    volume.copy(disk, 1000 * 512)
    disk.set(bootRecord([5, 64, 1984]), 0)
    disk.set(bootRecord([0x83, 80 - 64, 800], [5, 480 - 64, 1500]), 64 * 512)
    disk.set(bootRecord([0x83, 1000 - 480, 800]), 480 * 512)
    fs.writeFileSync(at('disk.raw'), disk)
    fs.mkdirSync(at('point'))
    for (const args of [
      ['mount', 'disk.raw@5', 'point', '--write'],
      ['mount', 'disk.raw', 'point', '--all', '--write'],
      ['mount', 'disk.raw@5', 'point', '--overlay', 'changes.qcow2'],
      ['serve', 'disk.raw@5', '--write', '--socket', at('s')],
    ]) {
      const result = await vdisk(...args)
      assert.equal(result.code, 3, `${args.join(' ')}: ${result.stderr}`)
      assert.match(result.stderr, /lies inside partition 5.*--allow-table-loss/s)
    }
    assert.ok(fs.readFileSync(at('disk.raw')).equals(disk))
    const served = await vdisk('serve', 'disk.raw@5', '--write', '--allow-table-loss', '--socket', '/nowhere/s')
    assert.doesNotMatch(served.stderr, /lies inside/)
  },
)
