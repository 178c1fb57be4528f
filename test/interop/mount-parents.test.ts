import assert from 'node:assert/strict'
import fs from 'node:fs'
import test from 'node:test'
import { mountingMissing, mountPlace } from '../support/mounted.js'
import { run } from '../support/tools.js'

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
