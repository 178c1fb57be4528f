import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { crc32c } from '../../src/binary/checksum.js'
import { isImageError } from '../../src/errors.js'
import { openFile } from '../../src/formats/open.js'
import { checkSet } from '../../src/operations/backup/check.js'
import { KnownBlocks } from '../../src/operations/imaging/blocks-file.js'
import { blocksPath } from '../../src/operations/imaging/companions.js'
import { imageDisk } from '../../src/operations/imaging/image.js'
import { setOf } from '../support/backup-set.js'
import { root } from '../support/cli.js'
import { diskLike, readAll } from '../support/content.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'
import { haveAll } from '../support/volumes.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576

/** Another program, which was written by the documentation alone. */
const python = (...words: string[]): string => run('python3', join(root, 'test/support/blocks-file.py'), ...words)

/** A disk of an odd size, whose last block is shorter than the others; with zeros in between. */
function oddDisk(t: TestContext): { readonly loop: string; readonly path: string; readonly content: Buffer } {
  const path = join(testFolder(t), 'disk')
  const content = Buffer.alloc(6 * mebibyte + 100_352)
  Buffer.from(diskLike(3 * mebibyte, 5)).copy(content, mebibyte + 65536)
  content.fill(7, content.length - 1000)
  fs.writeFileSync(path, content)
  return { loop: loopDevice(t, path), path, content }
}

/** Data over zeros, zeros over data, data over data; in blocks of every length that a file may have. */
function change(path: string, content: Buffer): void {
  content.fill(0, mebibyte + 65536, 2 * mebibyte + 65536)
  Buffer.from(diskLike(200_000, 7)).copy(content, 5 * mebibyte + 4096)
  content[3 * mebibyte + 70_000] = (content[3 * mebibyte + 70_000] ?? 0) ^ 1
  fs.writeFileSync(path, content)
}

function assertContent(image: string, content: Buffer): void {
  using opened = openFile(image)
  assert.ok(Buffer.from(readAll(opened)).subarray(0, content.length).equals(content), image)
}

test('the digests and tags beside an image and its child are what another program makes', { skip }, async (t) => {
  if (!haveAll(t, 'python3', 'openssl')) return
  const { loop, path, content } = oddDisk(t)
  const far = farFolder(t)
  const [first, second] = [join(far, 'first.qcow2'), join(far, 'second.qcow2')]
  await imageDisk(loop, first, { threads: 0 })
  const before = python('verify', blocksPath(first), path, first)
  assert.match(before, /^262144 [0-9a-f]{32}\n$/)
  change(path, content)
  await imageDisk(loop, second, { since: first, threads: 0 })
  // The child has the key of its parent.
  assert.equal(python('verify', blocksPath(second), path, second, first), before)
})

for (const length of [65536, 131072, mebibyte])
  test(`digests of blocks of ${length} bytes, which another program made, are gone by`, { skip }, async (t) => {
    if (!haveAll(t, 'python3', 'openssl')) return
    const { loop, path, content } = oddDisk(t)
    const far = farFolder(t)
    const [first, second] = [join(far, 'first.qcow2'), join(far, 'second.qcow2')]
    await imageDisk(loop, first, { threads: 0 })
    python('make', blocksPath(first), path, String(length), first)
    change(path, content)
    const { parent } = await imageDisk(loop, second, { since: first, threads: 0 })
    assert.equal(parent?.compared, 'digests')
    assertContent(second, content)
    assert.match(python('verify', blocksPath(second), path, second, first), new RegExp(`^${length} `))
  })

test('a set whose images have digests of blocks of several lengths is checked', { skip }, async (t) => {
  if (!haveAll(t, 'python3', 'openssl')) return
  const { folder, run: next, states } = await setOf(t, 'qcow2', 2)
  const [first, second] = [...states.keys()].map((time) => join(folder, `${time}.qcow2`)) as [string, string]
  const disk = join(testFolder(t), 'second')
  fs.writeFileSync(disk, [...states.values()][1] ?? '')
  python('make', blocksPath(second), disk, '65536', second, first)
  assert.deepEqual((await checkSet(folder, { sample: 100 })).problems, [])
  await next()
  assert.deepEqual((await checkSet(folder, { sample: 100 })).problems, [])
})

test('whatever bit of the header is another: the file is not used, or only its tags are not', { skip }, async (t) => {
  const { loop } = oddDisk(t)
  const first = join(farFolder(t), 'first.qcow2')
  await imageDisk(loop, first, { threads: 0 })
  const whole = fs.readFileSync(blocksPath(first))
  const open = (bytes: Buffer): void => {
    fs.writeFileSync(blocksPath(first), bytes)
    new KnownBlocks(first)[Symbol.dispose]()
  }
  for (let at = 0; at < 152; at++) {
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
    // Behind the header is the key: another one fits no tag.
    if (at >= 136) open(bytes)
    else
      assert.throws(
        () => {
          open(bytes)
        },
        (error) => isImageError(error) && error.kind === 'corrupt',
        `byte ${at}`,
      )
  }
  // A version to come, whose checksum is right.
  const later = Buffer.from(whole)
  later.writeUInt32LE(3, 8)
  later.writeUInt32LE(0, 128)
  later.writeUInt32LE(crc32c(later.subarray(0, 136)), 128)
  assert.throws(() => {
    open(later)
  }, /it has version 3, and this vdisk knows 2/)
})

for (const known of [true, false])
  test(
    `an earlier image that is changed during a run ${known ? 'by digests' : 'that reads it'}: the run fails`,
    { skip },
    async (t) => {
      const { loop, path, content } = oddDisk(t)
      const far = farFolder(t)
      const [first, second] = [join(far, 'first.qcow2'), join(far, 'second.qcow2')]
      await imageDisk(loop, first, { threads: 0 })
      if (!known) fs.rmSync(blocksPath(first))
      change(path, content)
      const bytes = fs.readFileSync(first)
      const made = imageDisk(loop, second, {
        since: first,
        threads: 0,
        // As a copy over it does: a guest cluster that the child is not to hold.
        onProgress: ({ phase }) => {
          if (phase !== 'copy') return
          const descriptor = fs.openSync(first, 'r+')
          fs.writeSync(descriptor, Buffer.alloc(65536, 1), 0, 65536, bytes.length - 65536)
          fs.closeSync(descriptor)
        },
      })
      await assert.rejects(made, (error) => isImageError(error) && error.code === 'E_SOURCE_CHANGED')
      assert.deepEqual(
        fs.readdirSync(far).filter((name) => name.includes('second')),
        [],
      )
    },
  )
