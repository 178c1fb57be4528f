import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { openFile } from '../../src/formats/open.js'
import { openStore } from '../../src/formats/open.js'
import { FileStore } from '../../src/block/file-store.js'
import { initSet } from '../../src/operations/backup/init.js'
import { checkSet } from '../../src/operations/backup/check.js'
import { listSet } from '../../src/operations/backup/list.js'
import { pruneSet } from '../../src/operations/backup/prune.js'
import { runSet } from '../../src/operations/backup/run.js'
import { check } from '../../src/operations/check/check.js'
import { KnownBlocks } from '../../src/operations/imaging/blocks-file.js'
import { imageDisk } from '../../src/operations/imaging/image.js'
import { usedOnly } from '../../src/operations/transfer/used-only.js'
import { diskLike, readAll } from '../support/content.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll, withKernelMount, withMount } from '../support/volumes.js'
import { blocksPath } from '../../src/operations/imaging/companions.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576
/** Twenty are the proof; a few show in every run that it still holds. */
const generations = Number(process.env['VDISK_GENERATIONS'] ?? 4)

/** In the order of their partitions. */
const volumes = [
  { type: 'ext4', start: 1, size: 16 },
  { type: 'xfs', start: 18, size: 24 },
  { type: 'ntfs', start: 43, size: 12 },
] as const

/** One generation of life: files changed, deleted, moved, put where others were, and what is unused given back. */
function live(point: string, generation: number): void {
  const at = (name: string): string => join(point, name)
  const random = diskLike(400_000, generation * 7 + 1)
  fs.writeFileSync(at(`new ${generation}`), random.subarray(0, 100_000 + generation * 1000))
  fs.rmSync(at(`new ${generation - 2}`), { force: true })
  fs.writeFileSync(at('log'), `generation ${generation}\n`, { flag: 'a' })
  if (generation % 3 === 1) fs.writeFileSync(at('comes and goes'), diskLike(2 * mebibyte, generation))
  if (generation % 3 === 2) fs.rmSync(at('comes and goes'), { force: true })
  fs.mkdirSync(at(`folder ${generation % 2}`), { recursive: true })
  const [from, to] = [at(`folder ${(generation + 1) % 2}/moved`), at(`folder ${generation % 2}/moved`)]
  if (fs.existsSync(from)) fs.renameSync(from, to)
  else fs.writeFileSync(to, random.subarray(0, 30_000))
}

function change(type: (typeof volumes)[number]['type'], path: string, point: string, generation: number): void {
  const work = (): void => live(point, generation)
  if (type === 'ntfs') withMount('ntfs-3g', path, point, [], work)
  else
    withKernelMount(path, point, 'rw', () => {
      work()
      // What is unused reads as zero then, or as what it was: the disk may do either.
      if (generation % 2 === 0) spawnSync('fstrim', [point])
    })
}

/** The filesystems of a restored disk, as their own tools see them. */
function assertSound(disk: string, folder: string): void {
  for (const { type, start, size } of volumes) {
    const path = join(folder, `restored-${type}`)
    run('dd', 'status=none', `if=${disk}`, `of=${path}`, 'bs=1M', `skip=${start}`, `count=${size}`)
    if (type === 'ext4') run('e2fsck', '-fn', path)
    else if (type === 'xfs') run('xfs_repair', '-n', '-o', 'force_geometry', path)
    else run('ntfsfix', '--no-action', path)
    fs.rmSync(path)
  }
}

/** What a disk was, with zeros where its filesystems use nothing. */
async function inUse(path: string): Promise<Buffer> {
  using disk = openStore(FileStore.openRead(path), undefined, { from: 'raw' })
  const { source } = await usedOnly(disk)
  return Buffer.from(readAll(source))
}

/**
 * Blocks whose digests are others in a child than in its parent, that hold something. @param length bytes of a block: a
 * multiple of those that have digests.
 */
function changedBlocks(child: string, parent: string, length = 262144): number {
  using now = new KnownBlocks(child)
  using then = new KnownBlocks(parent)
  const changed = new Set<number>()
  for (let offset = 0; offset < now.diskSize; offset += now.blockLength) {
    const [one, other] = [now, then].map((known) => Buffer.from(known.digests(offset, 1, now.diskSize)))
    // A part of a larger block that became zero is stored with it.
    if (one!.equals(other!) || (length === now.blockLength && one!.every((byte) => byte === 0))) continue
    changed.add(Math.floor(offset / length))
  }
  return changed.size
}

test(`${generations} generations of a live disk, each restored as it was`, { skip }, async (t) => {
  if (!haveAll(t, 'mkfs.ext4', 'mkfs.xfs', 'mkfs.ntfs', 'ntfs-3g', 'qemu-img')) return
  const [folder, far] = [testFolder(t), farFolder(t)]
  const [disk, point, set] = [join(folder, 'disk'), join(folder, 'point'), join(far, 'set')]
  emptyFile(disk, 56 * mebibyte)
  const table = volumes.map(({ start, size }) => `start=${start * 2048},size=${size * 2048}`).join('\n')
  fs.writeFileSync(join(folder, 'table'), `label: gpt\n${table}\n`)
  run('sh', '-c', `sfdisk --quiet --no-reread --no-tell-kernel ${disk} < ${join(folder, 'table')}`)
  for (const { type, size } of volumes) {
    const path = emptyFile(join(folder, type), size * mebibyte)
    if (type === 'ext4') run('mkfs.ext4', '-q', '-F', path)
    else if (type === 'xfs') run('mkfs.xfs', '-q', '--unsupported', path)
    else run('mkfs.ntfs', '-F', '-Q', '-q', path)
  }
  const loop = loopDevice(t, disk)
  await initSet(set, loop)
  const taken: string[] = []
  let vhdx: string | undefined
  for (let generation = 0; generation < generations; generation++) {
    for (const { type, start } of volumes) {
      change(type, join(folder, type), point, generation)
      run('dd', 'status=none', 'conv=notrunc', `if=${join(folder, type)}`, `of=${disk}`, 'bs=1M', `seek=${start}`)
    }
    run('sync', disk)
    taken.push(join(far, `dd-${generation}`))
    run('dd', 'status=none', `if=${loop}`, `of=${taken[generation]}`, 'bs=1M', 'iflag=direct')
    const { image } = await runSet(set, { threads: 0, now: new Date(Date.UTC(2026, 0, 1 + generation)) })
    assert.deepEqual([image.consistency.state, image.unreadable.bytes], ['cold', 0])
    const child = join(far, `${generation}.vhdx`)
    await imageDisk(loop, child, { usedOnly: {}, since: vhdx, threads: 0, options: { 'block-size': mebibyte } })
    vhdx = child
  }

  // What a VHDX child takes that stores nothing: 1 % of so small a disk is less than its tables.
  const empty = join(far, 'empty.vhdx')
  await imageDisk(loop, empty, { usedOnly: {}, since: vhdx, threads: 0, options: { 'block-size': mebibyte } })
  const { size: tables } = fs.statSync(empty)

  let largest = -1
  const { points } = listSet(set)
  assert.equal(points.length, generations)
  for (const [index, { image }] of points.entries()) {
    const expected = await inUse(taken[index]!)
    const path = join(set, image)
    for (const each of [path, join(far, `${index}.vhdx`)]) {
      using opened = openFile(each)
      assert.ok(Buffer.from(readAll(opened)).equals(expected), `${each} is what the disk was`)
      assert.deepEqual((await check(each)).counts, { error: 0, leak: 0, warning: 0 }, each)
    }
    run('qemu-img', 'check', path)
    const out = join(far, 'restored')
    run('qemu-img', 'convert', '-O', 'raw', path, out)
    assert.ok(fs.readFileSync(out).equals(expected), `qemu-img reads ${image} as what the disk was`)
    assertSound(out, folder)
    if (index === 0) continue
    const parent = join(set, points[index - 1]!.image)
    const changed = changedBlocks(path, parent)
    const most = changed * 262144 + 56 * mebibyte * 0.01
    assert.ok(fs.statSync(path).size <= most, `${fs.statSync(path).size} bytes for ${changed} blocks`)
    largest = Math.max(largest, (fs.statSync(path).size - changed * 262144) / (56 * mebibyte))
    const [child, below] = [join(far, `${index}.vhdx`), join(far, `${index - 1}.vhdx`)]
    const blocks = changedBlocks(child, below, mebibyte)
    const { size } = fs.statSync(child)
    // And a block of sector bitmaps, which one that stores nothing has not.
    assert.ok(size <= (blocks + 1) * mebibyte + tables, `${size} bytes for ${blocks} blocks of ${mebibyte} bytes`)
  }
  t.diagnostic(`a child takes at most ${(largest * 100).toFixed(2)} % of the disk more than its changed blocks`)
  const checked = await checkSet(set, { sample: 100 })
  assert.deepEqual([checked.problems, checked.read === checked.stored], [[], true])

  // Half of them are taken away, and the others are what they were.
  const { images } = await pruneSet(set, { keepLast: Math.ceil(generations / 2) })
  assert.equal(images.filter(({ fate }) => fate === 'merged').length, Math.floor(generations / 2))
  const left = listSet(set).points
  for (const [index, { image, kind, parent }] of left.entries()) {
    const generation = generations - left.length + index
    using opened = openFile(join(set, image))
    assert.ok(Buffer.from(readAll(opened)).equals(await inUse(taken[generation]!)), image)
    assert.deepEqual([kind, parent], index === 0 ? ['full', undefined] : ['incremental', left[index - 1]!.image])
  }
  assert.deepEqual((await checkSet(set, { sample: 100 })).problems, [])
  // The digests fit the images still: the next point is made by them.
  const { image } = await runSet(set, { threads: 0, now: new Date(Date.UTC(2027, 0, 1)) })
  assert.equal(image.parent?.compared, 'digests')
  assert.ok(fs.existsSync(blocksPath(image.target.path)))
})
