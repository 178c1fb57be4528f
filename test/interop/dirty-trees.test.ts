import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll, withKernelMount } from '../support/volumes.js'

const mebibyte = 1048576

test('XFS and btrfs that were not unmounted are read as their log leaves them, and that is reported', async (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mkfs.xfs', 'mkfs.btrfs')) return
  for (const [program, size] of [
    ['mkfs.xfs', 320],
    ['mkfs.btrfs', 128],
  ] as const) {
    const cwd = testFolder(t)
    const image = emptyFile(join(cwd, 'image'), size * mebibyte)
    run(program, '-q', image)
    const mount = join(cwd, 'mount')
    withKernelMount(image, mount, 'rw', () => {
      fs.writeFileSync(join(mount, 'old'), 'old')
      run('sync', '-f', mount)
    })
    withKernelMount(image, mount, 'rw', () => {
      // Flushed by itself, it stands in the log only.
      const file = fs.openSync(join(mount, 'new'), 'w')
      fs.writeSync(file, 'new')
      fs.fsyncSync(file)
      fs.closeSync(file)
      run('cp', '--sparse=always', image, join(cwd, 'dirty'))
    })
    const dirty = await vdisk(['cat', 'dirty:/old'], { cwd })
    assert.deepEqual([dirty.code, dirty.stdout.toString()], [0, 'old'], program)
    assert.match(dirty.stderr, /W_FS_DIRTY|was not unmounted cleanly/)
    const clean = await vdisk(['cat', 'image:/new'], { cwd })
    assert.deepEqual([clean.code, clean.stdout.toString(), clean.stderr], [0, 'new', ''], program)
  }
})
