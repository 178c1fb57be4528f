import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { convert } from '../../src/index.js'
import { copyFiles } from '../../src/operations/files/copy.js'
import { diskLike, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll, withLoop } from '../support/volumes.js'

const mebibyte = 1048576

/** Everything of a tree on the host that a copy should have. */
function seen(folder: string, path = ''): [string, unknown][] {
  return fs
    .readdirSync(join(folder, path))
    .sort()
    .flatMap((name): [string, unknown][] => {
      const place = join(folder, path, name)
      const stat = fs.lstatSync(place, { bigint: true })
      // The first name's content is read before the second one's times are.
      const common = {
        mode: Number(stat.mode) % 0o1000,
        modified: stat.mtimeNs,
        accessed: stat.nlink > 1n ? undefined : stat.atimeNs,
      }
      if (stat.isSymbolicLink()) return [[path + name, { modified: stat.mtimeNs, target: fs.readlinkSync(place) }]]
      if (stat.isDirectory())
        return [[path + name, { mode: common.mode, modified: stat.mtimeNs }], ...seen(folder, `${path}${name}/`)]
      if (!stat.isFile()) return []
      return [[path + name, { ...common, size: stat.size, links: stat.nlink, sha256: sha256(fs.readFileSync(place)) }]]
    })
}

/** Files of all kinds, with modes and times of their own. */
function fill(folder: string): void {
  const at = (name: string): string => join(folder, name)
  fs.mkdirSync(at('etc/deep'), { recursive: true })
  fs.writeFileSync(at('etc/fstab'), '# nothing\n', { mode: 0o640 })
  fs.writeFileSync(at('noise'), diskLike(700_000, 4))
  fs.writeFileSync(at('program'), '#!/bin/sh\n')
  fs.chmodSync(at('program'), 0o4755)
  fs.linkSync(at('noise'), at('etc/deep/the same'))
  fs.symlinkSync('../../outside', at('etc/up'))
  fs.symlinkSync('/etc/passwd', at('absolute'))
  const sparse = fs.openSync(at('sparse'), 'w')
  fs.writeSync(sparse, 'end', 6 * mebibyte)
  fs.closeSync(sparse)
  run('mkfifo', at('etc/pipe'))
  fs.utimesSync(at('etc/fstab'), 1_000_000_000.123456, 999_999_999.654321)
  run('touch', '-h', '-d', '1950-01-02 03:04:05.123456789 UTC', at('absolute'))
  fs.chmodSync(at('etc/deep'), 0o511)
  fs.mkdirSync(at('shared'))
  fs.chmodSync(at('shared'), 0o1777)
  fs.utimesSync(at('etc/deep'), 7, 1_222_222_222)
}

test(
  'a tree of ext4 in a partition of a VHDX is copied with modes, times to the nanosecond, links, hard links ' +
    'and holes',
  async (t) => {
    if (!haveAll(t, 'mke2fs', 'sgdisk', 'mkfifo')) return
    const missing = loopsMissing()
    if (missing !== undefined) {
      t.skip(missing)
      return
    }
    const folder = testFolder(t)
    const raw = emptyFile(join(folder, 'disk.raw'), 48 * mebibyte)
    run('sgdisk', '-n', '1:2048:+8M', '-n', '2:0:+32M', '-c', '2:root', raw)
    const mount = join(folder, 'mount')
    fs.mkdirSync(mount)
    const mounted = <Result>(options: string, use: () => Result): Result =>
      withLoop(
        raw,
        (device) => {
          run('mount', '-t', 'ext4', '-o', options, device, mount)
          try {
            return use()
          } finally {
            run('umount', mount)
          }
        },
        '--offset',
        String(9 * mebibyte),
        '--sizelimit',
        String(32 * mebibyte),
      )
    withLoop(
      raw,
      (device) => run('mke2fs', '-q', '-t', 'ext4', '-I', '256', device),
      '--offset',
      String(9 * mebibyte),
      '--sizelimit',
      String(32 * mebibyte),
    )
    mounted('rw', () => {
      fs.rmdirSync(join(mount, 'lost+found'))
      fill(mount)
    })
    const theirs = mounted('ro,noatime', () => seen(mount))
    const image = join(folder, 'disk.vhdx')
    await convert(raw, image)
    const out = join(folder, 'out')
    for (const which of ['2', 'label=root']) {
      const result = await copyFiles(`${image}@${which}`, '/', out, { recursive: true })
      assert.deepEqual(
        result.failures.map(({ path, code }) => [path, code]),
        [['/etc/pipe', 'E_FS_DEVICE']],
      )
      assert.deepEqual(seen(out), theirs)
      assert.equal(
        fs.statSync(join(out, 'program')).mode % 0o10000,
        0o755,
        'rights of another owner are not taken over',
      )
      assert.equal(fs.statSync(join(out, 'shared')).mode % 0o10000, 0o1777, 'nobody removes what others have there')
      assert.ok(fs.statSync(join(out, 'sparse')).blocks * 512 < mebibyte, 'holes stay holes')
      fs.rmSync(out, { recursive: true })
    }
    await assert.rejects(copyFiles(image, '/', out, { recursive: true }), {
      code: 'E_WHICH_PARTITION',
      hint: /@1:\/path.*1, 2/,
    })
    await assert.rejects(copyFiles(`${image}@1`, '/', out, { recursive: true }), { code: 'E_NO_FILESYSTEM' })
    assert.ok(!fs.existsSync(out))
    // A link at the end of the path: followed without --recursive, inside the filesystem; what it points to is not
    // there.
    await assert.rejects(copyFiles(`${image}@2`, '/etc/up', out), { code: 'E_NOT_FOUND' })
    await assert.rejects(copyFiles(`${image}@2`, '/absolute', out), { code: 'E_NOT_FOUND', message: /\/etc\/passwd/ })
  },
)

test('a copy that is interrupted leaves no half of a file', async (t) => {
  if (!haveAll(t, 'mke2fs')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(source)
  for (const name of ['a', 'b', 'c']) fs.writeFileSync(join(source, name), diskLike(3 * mebibyte, name.charCodeAt(0)))
  const raw = emptyFile(join(folder, 'disk.raw'), 24 * mebibyte)
  run('mke2fs', '-q', '-t', 'ext4', '-F', '-d', source, raw)
  const out = join(folder, 'out')
  const stop = new AbortController()
  const onProgress = ({ done }: { done: number }): void => {
    if (done > 4 * mebibyte) stop.abort()
  }
  await assert.rejects(copyFiles(raw, '/', out, { recursive: true, signal: stop.signal, onProgress }), {
    kind: 'aborted',
  })
  const names = fs.readdirSync(out).filter((name) => name !== 'lost+found')
  assert.ok(names.length < 3)
  for (const name of names)
    assert.equal(sha256(fs.readFileSync(join(out, name))), sha256(fs.readFileSync(join(source, name))))
})
