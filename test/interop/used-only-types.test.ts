import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576
const size = 16 * mebibyte

/** A disk of one partition of a type, with an ext4 in it, and something in what the ext4 calls free. */
function makeDisk(path: string, type: string, label: 'gpt' | 'dos'): Buffer {
  fs.writeFileSync(path, '')
  fs.truncateSync(path, 20 * mebibyte)
  const made = spawnSync('sfdisk', ['-q', path], { input: `label: ${label}\nstart=2048,size=16MiB,type=${type}\n` })
  assert.equal(made.status, 0, String(made.stderr))
  const volume = `${path}.ext4`
  fs.writeFileSync(volume, '')
  fs.truncateSync(volume, size)
  run('mke2fs', '-q', '-F', '-t', 'ext4', volume)
  const bytes = fs.readFileSync(volume)
  bytes.write('what the filesystem does not know of', 12 * mebibyte)
  const file = fs.openSync(path, 'r+')
  fs.writeSync(file, bytes, 0, bytes.length, mebibyte)
  fs.closeSync(file)
  return bytes
}

const types = [
  ['42', 'dos', /dynamic disk/],
  ['84', 'dos', /sleeping system/],
  ['5808c8aa-7e8f-42e0-85d2-e1e90434cfb3', 'gpt', /dynamic disk/],
  ['af9b60a0-1431-4f62-bc68-3311714a69ad', 'gpt', /dynamic disk/],
  ['21686148-6449-6e6f-744e-656564454649', 'gpt', /boot loader/],
] as const

test(
  'image and clone --used-only of one partition of a disk know its type: all of it is kept',
  { skip: loopsMissing() ?? false },
  async (t) => {
    if (!have(t, 'sfdisk') || !have(t, 'mke2fs')) return
    const cwd = testFolder(t)
    for (const [index, [type, label, says]] of types.entries()) {
      const disk = join(cwd, `disk${index}.raw`)
      const expected = makeDisk(disk, type, label)
      const loop = loopDevice(t, disk)
      const imaged = await vdisk(['image', `${loop}@1`, `part${index}.raw`, '--used-only', '--allow-same-disk'], {
        cwd,
      })
      assert.equal(imaged.code, 0, imaged.stderr)
      assert.match(imaged.stdout.toString() + imaged.stderr, says)
      assert.ok(fs.readFileSync(join(cwd, `part${index}.raw`)).equals(expected), type)
      const target = join(cwd, `target${index}.raw`)
      fs.writeFileSync(target, '')
      fs.truncateSync(target, size)
      const to = loopDevice(t, target)
      const cloned = await vdisk(
        ['clone', `${loop}@1`, to, '--used-only', '--yes', '--confirm', String(size), '--allow-no-table'],
        { cwd },
      )
      assert.equal(cloned.code, 0, cloned.stderr)
      assert.ok(fs.readFileSync(target).equals(expected), `clone ${type}`)
    }
  },
)
