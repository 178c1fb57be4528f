import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { crc32c } from '../../src/binary/checksum.js'
import { isImageError } from '../../src/errors.js'
import { openFile } from '../../src/formats/open.js'
import { check } from '../../src/operations/check/check.js'
import { KnownBlocks } from '../../src/operations/imaging/blocks-file.js'
import { imageDisk as imageWith } from '../../src/operations/imaging/image.js'
import type { ImageDiskOptions } from '../../src/operations/imaging/image-options.js'
import { readImageRecord } from '../../src/operations/imaging/record.js'
import { diskLike, readAll } from '../support/content.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { partitionedDisk } from '../support/partitioned-disk.js'
import { have, run } from '../support/tools.js'
import { blocksPath } from '../../src/operations/imaging/companions.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576

/** Small disks: threads would take longer to start than all of the work. */
const imageDisk = (source: string, target: string, options: ImageDiskOptions = {}) =>
  imageWith(source, target, { threads: 0, ...options })

const contentOf = (path: string, size: number): Buffer => {
  using image = openFile(path)
  const bytes = Buffer.from(readAll(image))
  assert.ok(bytes.subarray(size).every((byte) => byte === 0))
  return bytes.subarray(0, size)
}

/** Changes some of a disk behind a loop device: data over data, data over zeros, zeros over data. */
function change(path: string, content: Buffer, seed: number): void {
  Buffer.from(diskLike(70_000, seed)).copy(content, 3 * mebibyte + 4096)
  Buffer.from(diskLike(20_000, seed + 1)).copy(content, 20 * mebibyte + seed * 4096)
  content.fill(0, 13 * mebibyte, 13 * mebibyte + 600_000 + seed * 4096)
  content[content.length - 1] = seed
  fs.writeFileSync(path, content)
}

for (const format of ['qcow2', 'vhdx', 'vhd', 'vmdk', 'vdi']) {
  test(`children of ${format} hold what has changed, by digests and by reading`, { skip }, async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const { loop, path, content } = partitionedDisk(t, folder, 512)
    const states: Buffer[] = [Buffer.from(content)]
    const image = (index: number): string => join(far, `${index}.${format}`)
    await imageDisk(loop, image(0))
    for (const index of [1, 2, 3]) {
      change(path, content, index)
      states.push(Buffer.from(content))
      const since = image(index - 1)
      // The third has no digests of its parent to go by.
      if (index === 3) fs.rmSync(`${since}.blocks`)
      const result = await imageDisk(loop, image(index), { since, verify: true })
      assert.equal(result.parent?.compared, index === 3 ? 'content' : 'digests')
      assert.equal(result.notes.filter(({ code }) => code === 'W_NO_BLOCKS').length, index === 3 ? 1 : 0)
      assert.ok(result.bytesWritten < 4 * mebibyte, `${result.bytesWritten} bytes were written`)
      const record = readImageRecord(image(index))
      assert.equal(record?.parent?.name, `${index - 1}.${format}`)
      assert.equal(record.parent.digest, readImageRecord(since)?.digests.disk.digest)
      using known = new KnownBlocks(image(index))
      assert.equal(known.root, record.digests.disk.digest)
    }
    for (const [index, state] of states.entries()) {
      assert.ok(contentOf(image(index), content.length).equals(state), `image ${index}`)
      assert.deepEqual((await check(image(index))).counts, { error: 0, leak: 0, warning: 0 })
    }
    if (format === 'qcow2' && have(t, 'qemu-img')) {
      run('qemu-img', 'check', image(3))
      run('qemu-img', 'convert', '-O', 'raw', image(3), join(far, 'out'))
      assert.ok(fs.readFileSync(join(far, 'out')).equals(content))
    }
  })
}

const codeOf = (code: string) => (error: unknown) => isImageError(error) && error.code === code

test('digests that are not those of the image are not believed', { skip }, async (t) => {
  const [folder, far] = [testFolder(t), farFolder(t)]
  const { loop, path, content } = partitionedDisk(t, folder, 512)
  const first = join(far, 'first.qcow2')
  await imageDisk(loop, first)
  const whole = fs.readFileSync(blocksPath(first))
  const wrong: [string, () => void][] = [
    ['is not there', () => fs.rmSync(blocksPath(first))],
    ['one digest is another', () => fs.writeFileSync(blocksPath(first), changed(whole, 4096 + 8 * 32))],
    ['the header is another', () => fs.writeFileSync(blocksPath(first), changed(whole, 20))],
    ['it is cut off', () => fs.writeFileSync(blocksPath(first), whole.subarray(0, whole.length - 32))],
    ['it is empty', () => fs.writeFileSync(blocksPath(first), '')],
    ['the image was changed', () => run('qemu-io', '-c', `write -P 7 ${5 * mebibyte} 64k`, first)],
  ]
  for (const [index, [why, damage]] of wrong.entries()) {
    fs.writeFileSync(blocksPath(first), whole)
    damage()
    change(path, content, index + 1)
    const child = join(far, `${index}.qcow2`)
    const { notes, parent } = await imageDisk(loop, child, { since: first, verify: true })
    assert.equal(parent?.compared, 'content', why)
    assert.ok(notes.some(({ code }) => code === 'W_NO_BLOCKS'))
    assert.ok(contentOf(child, content.length).equals(content), why)
  }
})

test('tags that are damaged, or absent, cost time and nothing else', { skip }, async (t) => {
  const [folder, far] = [testFolder(t), farFolder(t)]
  const { loop, path, content } = partitionedDisk(t, folder, 512)
  const first = join(far, 'first.qcow2')
  await imageDisk(loop, first)
  const whole = fs.readFileSync(blocksPath(first))
  const tagsAt = 4096 + Math.ceil(content.length / 262144) * 32
  const moved = Buffer.from(whole)
  whole.copy(moved, tagsAt + 16, tagsAt, whole.length - 16)
  // As it was before there were tags: another version, no key, and a checksum of its own.
  const untagged = Buffer.from(whole.subarray(0, tagsAt))
  untagged.writeUInt32LE(1, 8)
  untagged.fill(0, 136, 152)
  untagged.writeUInt32LE(0, 128)
  untagged.writeUInt32LE(crc32c(untagged.subarray(0, 136)), 128)
  const cases: [string, Buffer][] = [
    ['the key is another', changed(whole, 136)],
    ['a tag is another', changed(whole, tagsAt + 3 * 16)],
    ['each tag is that of the block before', moved],
    ['there are none', untagged],
  ]
  for (const [index, [why, bytes]] of cases.entries()) {
    fs.writeFileSync(blocksPath(first), bytes)
    change(path, content, index + 1)
    const child = join(far, `${index}.qcow2`)
    const { parent, notes } = await imageDisk(loop, child, { since: first, verify: true })
    assert.equal(parent?.compared, 'digests', why)
    assert.ok(!notes.some(({ code }) => code === 'W_NO_BLOCKS'), why)
    assert.ok(contentOf(child, content.length).equals(content), why)
    using known = new KnownBlocks(child)
    assert.ok(known.tagKey !== undefined, why)
  }
})

const changed = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

test('another disk, an image without a record and a disk of another size are refused by name', { skip }, async (t) => {
  const [folder, far] = [testFolder(t), farFolder(t)]
  const { loop, path, content } = partitionedDisk(t, folder, 512)
  const [first, target] = [join(far, 'first.vhdx'), join(far, 'second.vhdx')]
  await imageDisk(loop, first)
  const refused = async (code: string, options = {}, disk = loop): Promise<void> => {
    await assert.rejects(imageDisk(disk, target, { since: first, ...options }), codeOf(code))
    assert.ok(!fs.readdirSync(far).some((name) => name.includes('second')), 'nothing is left')
  }
  // The same table with another disk id: a swapped disk.
  run('sfdisk', '--quiet', '--no-reread', '--no-tell-kernel', '--disk-id', path, '11111111-2222-4333-8444-555555555555')
  await refused('E_OTHER_DISK')
  const { plan } = await imageDisk(loop, target, { since: first, allowOtherDisk: true, dryRun: true })
  assert.equal(plan.guards.find(({ guard }) => guard === 'identity')?.verdict, 'overridden')
  fs.writeFileSync(path, content)
  fs.renameSync(`${first}.vdisk.json`, join(far, 'kept'))
  await refused('E_NO_RECORD')
  fs.renameSync(join(far, 'kept'), `${first}.vdisk.json`)
  await assert.rejects(imageDisk(loop, first, { since: first, force: true }), codeOf('E_SAME_FILE'))
  await assert.rejects(imageDisk(loop, join(far, 'x.raw'), { since: first }), codeOf('E_NO_PARENTS'))
  await assert.rejects(imageDisk(loop, join(far, 'x.vhd'), { since: first }), codeOf('E_PARENT_FORMAT'))
  fs.truncateSync(path, content.length + 8 * mebibyte)
  const grown = loopDevice(t, path)
  await refused('E_SIZE_CHANGED', {}, grown)
})

test('a disk that grew or shrank has a qcow2 child of its new size', { skip }, async (t) => {
  const [folder, far] = [testFolder(t), farFolder(t)]
  const path = join(folder, 'disk')
  const sizes = [9 * mebibyte + 100_352, 17 * mebibyte + 512, 6 * mebibyte + 4096]
  const states: Buffer[] = []
  for (const [index, size] of sizes.entries()) {
    const content = Buffer.alloc(size)
    states.at(-1)?.copy(content)
    Buffer.from(diskLike(300_000, index)).copy(content, mebibyte * (index + 1))
    content.fill(index + 1, size - 1000)
    fs.writeFileSync(path, content)
    states.push(content)
    const since = index === 0 ? undefined : join(far, `${index - 1}.qcow2`)
    const result = await imageDisk(loopDevice(t, path), join(far, `${index}.qcow2`), { since, verify: true })
    assert.equal(result.target.capacity, size)
    if (index > 0) assert.ok(result.notes.some(({ code }) => code === 'W_IDENTITY'))
  }
  for (const [index, state] of states.entries())
    assert.ok(contentOf(join(far, `${index}.qcow2`), state.length).equals(state))
})
