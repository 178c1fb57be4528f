import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { flattenChain, openImage, showChain } from '../../src/index.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { guestSha256 } from '../support/guest-hash.js'
import { have, run } from '../support/tools.js'

const size = 1048576
const base = Buffer.from(diskLike(size, 4))

/** base.raw, middle.qed over it, and top.qed, twice as large, over that; each writes something. */
function chain(t: TestContext): string | undefined {
  if (!have(t, 'qemu-img') || !have(t, 'qemu-io')) return undefined
  const folder = testFolder(t)
  fs.writeFileSync(join(folder, 'base.raw'), base)
  const made = (name: string, below: string, format: string, bytes: number, ...writes: string[]): void => {
    const file = join(folder, name)
    run(
      'qemu-img',
      'create',
      '-q',
      '-f',
      'qed',
      '-o',
      'cluster_size=4096',
      '-b',
      join(folder, below),
      '-F',
      format,
      file,
      String(bytes),
    )
    run('qemu-io', '-f', 'qed', ...writes.flatMap((write) => ['-c', write]), file)
    // As a user makes it: by a name that is relative.
    run('qemu-img', 'rebase', '-u', '-f', 'qed', '-b', below, '-F', format, file)
  }
  made('middle.qed', 'base.raw', 'raw', size, 'write -P 7 100000 5000', 'write -P 0 200000 70000')
  made('top.qed', 'middle.qed', 'qed', 2 * size, 'write -P 9 150000 100000', 'write -P 3 1500000 100')
  return folder
}

function qemuSha(folder: string, name: string): string {
  const raw = join(folder, 'qemu.raw')
  run('qemu-img', 'convert', '-f', 'qed', '-O', 'raw', join(folder, name), raw)
  const sum = createHash('sha256').update(fs.readFileSync(raw)).digest('hex')
  fs.rmSync(raw)
  return sum
}

test('QED: a chain is the disk that QEMU reads', async (t) => {
  const folder = chain(t)
  if (folder === undefined) return
  using middle = await openImage(join(folder, 'middle.qed'))
  assert.equal(guestSha256(middle), qemuSha(folder, 'middle.qed'))
  // A QED records of its parent's format only whether it is raw.
  await assert.rejects(openImage(join(folder, 'top.qed')), {
    code: 'E_PARENT_FORMAT_UNKNOWN',
    message: /looks like qed/,
  })
  for (const parentFormat of ['qed', 'auto']) {
    using top = await openImage(join(folder, 'top.qed'), { parentFormat })
    assert.equal(guestSha256(top), qemuSha(folder, 'top.qed'))
  }
  const { layers } = showChain(join(folder, 'top.qed'), { parentFormat: 'qed' })
  assert.deepEqual(
    layers.map(({ format }) => format),
    ['qed', 'qed', 'raw'],
  )
  await flattenChain(join(folder, 'top.qed'), join(folder, 'flat.qcow2'), { parentFormat: 'qed', verify: true })
  using flat = await openImage(join(folder, 'flat.qcow2'))
  assert.equal(guestSha256(flat), qemuSha(folder, 'top.qed'))
})

test('QED: what a parent named raw looks like is of no account', async (t) => {
  const folder = chain(t)
  if (folder === undefined) return
  // The guest of the raw parent writes the header of another format.
  fs.writeFileSync(
    join(folder, 'base.raw'),
    Buffer.concat([fs.readFileSync(join(folder, 'top.qed')), base]).subarray(0, size),
  )
  using middle = await openImage(join(folder, 'middle.qed'))
  assert.equal(Buffer.from(middle.read(0, 3)).toString(), 'QED')
})

test('QED: a parent that is missing, outside, or the image itself', async (t) => {
  const folder = chain(t)
  if (folder === undefined) return
  const top = join(folder, 'top.qed')
  const options = { parentFormat: 'qed' }
  fs.mkdirSync(join(folder, 'away'))
  fs.renameSync(join(folder, 'base.raw'), join(folder, 'away', 'base.raw'))
  await assert.rejects(openImage(top, options), { code: 'E_PARENT_MISSING', kind: 'reference' })
  using found = await openImage(top, { ...options, search: [join(folder, 'away')] })
  assert.equal(found.capacity, 2 * size)
  const outside = join(testFolder(t), 'base.raw')
  fs.writeFileSync(outside, base)
  run('qemu-img', 'rebase', '-u', '-f', 'qed', '-b', outside, '-F', 'raw', join(folder, 'middle.qed'))
  await assert.rejects(openImage(top, options), { code: 'E_REFERENCE_NOT_ALLOWED', kind: 'reference' })
  using allowed = await openImage(top, { ...options, allowReferences: [outside] })
  assert.equal(guestSha256(allowed), qemuSha(folder, 'top.qed'))
  run('qemu-img', 'rebase', '-u', '-f', 'qed', '-b', 'top.qed', '-F', 'qed', join(folder, 'middle.qed'))
  await assert.rejects(openImage(top, options), { code: 'E_PARENT_LOOP', kind: 'reference' })
  run('qemu-img', 'rebase', '-u', '-f', 'qed', '-b', 'nbd://host/disk', '-F', 'raw', join(folder, 'middle.qed'))
  await assert.rejects(openImage(top, options), { code: 'E_BACKING_UNSUPPORTED', kind: 'reference' })
})
