import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { openReadable } from '../../src/operations/open/opening.js'
import { vdisk } from '../support/cli.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576

/** A folder that is gone after the test, with what is mounted in it. */
function place(t: TestContext): (name: string) => string {
  const folder = fs.mkdtempSync('/tmp/vdisk-written-')
  t.after(() => {
    spawnSync('umount', [`${folder}/point`])
    fs.rmSync(folder, { recursive: true, force: true })
  })
  fs.mkdirSync(`${folder}/point`)
  return (name) => `${folder}/${name}`
}

function raw(path: string, size = 16 * mebibyte): string {
  fs.writeFileSync(path, '')
  fs.truncateSync(path, size)
  return path
}

/** What is said of a disk or file that is read; empty: nothing. */
function warned(path: string): string {
  using opened = openReadable(path, {})
  return opened.notes
    .filter(({ code }) => code === 'W_IN_USE')
    .map(({ message }) => message)
    .join('\n')
}

test(
  'a disk that is mounted for writing is read with a warning by every command, a resting one without',
  { skip: loopsMissing() },
  async (t) => {
    const at = place(t)
    const image = raw(at('a.raw'))
    run('mkfs.ext4', '-q', image)
    const disk = loopDevice(t, image)
    assert.equal(warned(disk), '')
    run('mount', disk, at('point'))
    assert.match(warned(disk), /mounted for writing at .*\/point/)
    for (const args of [
      ['convert', disk, at('copy.qcow2')],
      ['hash', disk],
      ['inspect', disk],
      ['ls', `${disk}:/`],
    ]) {
      const { code, stderr, stdout } = await vdisk(args, { cwd: at('.') })
      assert.equal(code, 0, stderr)
      assert.match(`${stdout.toString()}${stderr}`, /may change while it is read/, args.join(' '))
    }
    const { stderr } = await vdisk(['hash', disk, '--allow-in-use'], { cwd: at('.') })
    assert.doesNotMatch(stderr, /may change/)
    run('mount', '-o', 'remount,ro', at('point'))
    assert.equal(warned(disk), '')
  },
)

test('names do not matter: other nodes, other loops, loops upon loops', { skip: loopsMissing() }, (t) => {
  const at = place(t)
  const image = raw(at('a.raw'))
  const [one, two] = [loopDevice(t, image), loopDevice(t, image)]
  const upon = loopDevice(t, one, 512, '--offset', String(8 * mebibyte))
  const before = loopDevice(t, image, 512, '--sizelimit', String(8 * mebibyte))
  const { rdev } = fs.statSync(two)
  run('mknod', at('other-name'), 'b', String(rdev >> 8), String(rdev & 0xff))
  run('mkfs.ext4', '-q', upon)
  run('mount', upon, at('point'))
  for (const path of [image, one, two, upon, at('other-name')]) assert.match(warned(path), /\/point/, path)
  // What lies before the filesystem does not change.
  assert.equal(warned(before), '')
})

test('a btrfs, whose mounts have numbers of their own, writes to each of its disks', { skip: loopsMissing() }, (t) => {
  if (!have(t, 'mkfs.btrfs')) return
  const at = place(t)
  const images = ['a.raw', 'b.raw'].map((name) => raw(at(name), 128 * mebibyte))
  const disks = images.map((image) => loopDevice(t, image))
  run('mkfs.btrfs', '-q', '-f', ...disks)
  run('btrfs', 'device', 'scan', ...disks)
  run('mount', disks[0] ?? '', at('point'))
  for (const path of [...images, ...disks]) assert.match(warned(path), /\/point/, path)
})
