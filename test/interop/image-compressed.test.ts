import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import zlib from 'node:zlib'
import { hash, imageDisk, info, restore } from '../../src/index.js'
import { readImageRecord } from '../../src/operations/imaging/record.js'
import { resumeImage } from '../../src/operations/imaging/resume.js'
import { by } from '../support/compress.js'
import { diskLike } from '../support/content.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { faultyDisk, faultyDiskMissing } from '../support/faulty-disk.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { partitionedDisk } from '../support/partitioned-disk.js'
import { have } from '../support/tools.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576

const unpackers = { gz: ['gzip', '-dc'], xz: ['xz', '-dc'], zst: ['zstd', '-qdc'] } as const

test(
  'a disk is imaged into compressed files, which other tools unpack, and is restored from them',
  { skip },
  async (t) => {
    if (!have(t, 'gzip') || !have(t, 'xz') || !have(t, 'zstd') || !have(t, 'qemu-img')) return
    const [folder, far] = [testFolder(t), farFolder(t)]
    const { loop, path, content } = partitionedDisk(t, folder, 512)
    const whole = (await hash(path, { from: 'raw', algorithm: 'tree' })).digests[0]?.digest
    for (const [extension, [program, option]] of Object.entries(unpackers)) {
      const target = join(far, `disk.raw.${extension}`)
      const result = await imageDisk(loop, target, { verify: true, threads: extension === 'gz' ? 0 : 2 })
      assert.deepEqual([result.verified, result.target.format, result.target.capacity], [true, 'raw', content.length])
      assert.ok((result.target.size ?? Infinity) < content.length)
      assert.equal(readImageRecord(target)?.digests.disk.digest, whole)
      assert.equal(Buffer.compare(by(program, [option], fs.readFileSync(target)), content), 0, extension)
      const inside = info(target).sections.find(({ title }) => title === 'Inside')
      assert.equal(inside?.facts.find(({ name }) => name === 'access')?.value, 'at any place, by its blocks')
    }
    const qcow2 = join(far, 'disk.qcow2.zst')
    const result = await imageDisk(loop, qcow2, { verify: true })
    assert.deepEqual([result.verified, result.target.format], [true, 'qcow2'])
    fs.writeFileSync(join(far, 'disk.qcow2'), by('zstd', ['-qdc'], fs.readFileSync(qcow2)))
    assert.match(
      by(
        'qemu-img',
        ['compare', '-f', 'raw', '-F', 'qcow2', path, join(far, 'disk.qcow2')],
        Buffer.alloc(0),
      ).toString(),
      /identical/,
    )
    // The record leads back to the disk, as of other images.
    fs.writeFileSync(join(folder, 'other'), Buffer.alloc(content.length))
    const device = loopDevice(t, join(folder, 'other'))
    const restored = await restore(join(far, 'disk.raw.zst'), device, { yes: true, confirm: String(content.length) })
    assert.equal(restored.verified, true)
    assert.notEqual(restored.origin, undefined)
    assert.equal(Buffer.compare(fs.readFileSync(join(folder, 'other')), content), 0)
    assert.deepEqual(
      fs.readdirSync(far).filter((name) => name.includes('partial')),
      [],
    )
  },
)

test(
  'a dry run says that the image is compressed, and a name is refused where there is a parent',
  { skip },
  async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const { loop } = partitionedDisk(t, folder, 512)
    const { plan } = await imageDisk(loop, join(far, 'disk.raw.gz'), { dryRun: true })
    assert.match(plan.steps[0] ?? '', /raw, flat, compressed/)
    assert.deepEqual(fs.readdirSync(far), [])
    await assert.rejects(imageDisk(loop, join(far, 'disk.qcow2.gz'), { since: join(far, 'older.qcow2') }), {
      code: 'E_STREAM',
      hint: /leave out --since/,
    })
  },
)

test(
  'bad sectors read as zero in a compressed image, and are in its map; it is not resumed in place',
  { skip: faultyDiskMissing() ?? skip },
  async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const content = diskLike(6 * mebibyte + 512, 5)
    const bad = { start: 3 * mebibyte + 4096, length: 8192 }
    fs.writeFileSync(join(folder, 'medium'), content)
    const { path } = await faultyDisk(t, join(folder, 'medium'), { read: [[bad.start, bad.length]] })
    const target = join(far, 'disk.raw.gz')
    const result = await imageDisk(path, target, { verify: true })
    assert.equal(result.unreadable.bytes, bad.length)
    const expected = Buffer.from(content)
    expected.fill(0, bad.start, bad.start + bad.length)
    assert.equal(Buffer.compare(zlib.gunzipSync(fs.readFileSync(target)), expected), 0)
    assert.ok(fs.existsSync(result.unreadable.map ?? ''))
    await assert.rejects(resumeImage(path, target), { code: /E_/ })
  },
)
