import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { openImage } from '../../src/formats/open.js'
import { hash } from '../../src/operations/hash.js'
import { imageDisk } from '../../src/operations/image-disk.js'
import { readImageRecord } from '../../src/operations/image-record.js'
import { resumeImage } from '../../src/operations/resume-image.js'
import { diskLike, readAll } from '../support/content.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { faultyDisk, faultyDiskMissing } from '../support/faulty-disk.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { partitionedDisk } from '../support/partitioned-disk.js'
import { assertSchema } from '../support/schemas.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576

/** The disk that an image holds, as far as the source went; what a format added to it must be zero. */
function diskOf(path: string, format: string, size: number): Buffer {
  using image = openImage(path, { from: format })
  const bytes = Buffer.from(readAll(image))
  assert.ok(bytes.subarray(size).every((byte) => byte === 0))
  return bytes.subarray(0, size)
}

for (const sectorSize of [512, 4096] as const) {
  test(`a disk with sectors of ${sectorSize} bytes and its partitions, as images of every format`, { skip }, async (t) => {
    const [folder, far] = [testFolder(t), farFolder(t)]
    const { loop, path, content, start, length } = partitionedDisk(t, folder, sectorSize)
    const { digests: own } = await hash(path, { from: 'raw', algorithm: 'tree', perPartition: true })
    const { digests: [whole] } = await hash(path, { from: 'raw', algorithm: 'tree' })
    const kinds = [['raw', {}], ['raw', { preallocation: 'full' }], ['vhd', {}], ['vhd', { subformat: 'fixed' }], ['vhdx', {}], ['qcow2', {}], ['qcow2', { compress: 'zlib' }], ['qcow2', { 'cluster-size': '2M' }]] as const
    for (const [index, [format, options]] of kinds.entries()) {
      const target = join(far, `${index}.${format}`)
      const result = await imageDisk(loop, target, { options, verify: true, ...(index === 0 ? { threads: 0 } : {}) })
      assert.deepEqual([result.consistency.state, result.unreadable.bytes, result.bytesRead, result.verified], ['cold', 0, content.length, true])
      assert.ok(diskOf(target, format, content.length).equals(content), format)
      assertSchema('image-record', JSON.parse(fs.readFileSync(`${target}.vdisk.json`, 'utf8')))
      const record = readImageRecord(target)!
      assert.deepEqual(record.digests, result.digests)
      assert.deepEqual([record.source.kind, record.source.size, record.source.logicalSectorSize, record.source.table?.scheme, record.image.format], ['disk', content.length, sectorSize, 'gpt', format])
      // The digests are those of the disk's own bytes; the second partition is not aligned to their blocks.
      assert.equal(record.digests.disk.digest, whole!.digest)
      assert.deepEqual(record.digests.partitions.map(({ number, digest }) => [number, digest]), own.map(({ partition, digest }) => [partition, digest]))
      assert.deepEqual(fs.readdirSync(far).filter((name) => name.startsWith(`${index}.`) || name.startsWith('.')).sort(), [`${index}.${format}`, `${index}.${format}.vdisk.json`])
    }
    for (const number of [1, 2]) {
      const target = join(far, `part-${number}.vhdx`)
      const { source, digests } = await imageDisk(`${loop}@${number}`, target, { verify: true })
      const bytes = content.subarray(start[number - 1], start[number - 1]! + length[number - 1]!)
      assert.ok(diskOf(target, 'vhdx', bytes.length).equals(bytes), `partition ${number}`)
      const { uuid, ...partition } = source.partition!
      assert.deepEqual([source.kind, partition, uuid?.length], ['partition', { number, start: start[number - 1], size: length[number - 1], label: `part${number}` }, 36])
      assert.equal(digests!.disk.digest, own[number - 1]!.digest)
    }
  })
}

test('a disk with bad sectors: all else is right, the map is, and --resume completes it when they can be read again', { skip: faultyDiskMissing() ?? skip }, async (t) => {
  const [folder, far] = [testFolder(t), farFolder(t)]
  const medium = join(folder, 'medium')
  const content = Buffer.from(diskLike(8 * mebibyte, 21))
  const bad = [[mebibyte + 8192, 4096], [5 * mebibyte - 4096, 4096]] as const
  for (const [at, length] of bad) content.fill(0xa5, at, at + length)
  fs.writeFileSync(medium, content)
  const holed = Buffer.from(content)
  for (const [at, length] of bad) holed.fill(0, at, at + length)
  for (const [sectorSize, format, options] of [[512, 'raw', {}], [4096, 'vhdx', {}], [512, 'qcow2', { compress: 'zlib' }], [512, 'vhd', {}]] as const) {
    const disk = await faultyDisk(t, medium, { read: bad }, sectorSize)
    const target = join(far, `disk.${format}`)
    const first = await imageDisk(disk.path, target, { options, verify: true })
    assert.deepEqual([first.unreadable.bytes, first.unreadable.count, first.unreadable.ranges], [8192, 2, bad.map(([offset, length]) => ({ offset, length }))], format)
    assert.ok(diskOf(target, format, content.length).equals(holed), format)
    assert.deepEqual(fs.readFileSync(`${target}.map`, 'utf8').split('\n').filter((line) => !line.startsWith('#')), [
      '0x00000000     +               1', '0x00000000  0x00102000  +', '0x00102000  0x00001000  -', '0x00103000  0x003FC000  +', '0x004FF000  0x00001000  -', '0x00500000  0x00300000  +', '',
    ])
    assert.deepEqual(readImageRecord(target)!.unreadable, { bytes: 8192, map: `disk.${format}.map` })

    // One of the two is still bad, but for a sector of it.
    disk.setFaults({ read: [[bad[1][0], sectorSize === 512 ? 512 : 4096]] })
    const second = await resumeImage(disk.path, target)
    const stillBad = { offset: bad[1][0], length: sectorSize === 512 ? 512 : 4096 }
    assert.deepEqual([second.unreadable.ranges, second.bytesWritten], [[stillBad], 8192 - stillBad.length])
    const almost = Buffer.from(content).fill(0, stillBad.offset, stillBad.offset + stillBad.length)
    assert.ok(diskOf(target, format, content.length).equals(almost))

    disk.setFaults({})
    const third = await resumeImage(disk.path, target)
    assert.equal(third.unreadable.bytes, 0)
    assert.ok(diskOf(target, format, content.length).equals(content))
    assert.deepEqual(fs.readdirSync(far).sort(), [`disk.${format}`, `disk.${format}.vdisk.json`])
    const { digests: [whole] } = await hash(medium, { from: 'raw', algorithm: 'tree' })
    const record = readImageRecord(target)!
    assert.deepEqual([record.digests.disk.digest, record.unreadable, record.consistency.state], [whole!.digest, { bytes: 0 }, 'cold'])
    await assert.rejects(resumeImage(disk.path, target), { code: 'E_NO_MAP' })
    for (const name of fs.readdirSync(far)) fs.rmSync(join(far, name))
  }
})

test('--resume takes no other disk, and no map or record that is not right', { skip: faultyDiskMissing() ?? skip }, async (t) => {
  const [folder, far] = [testFolder(t), farFolder(t)]
  const { path } = partitionedDisk(t, folder, 512)
  const disk = await faultyDisk(t, path, { read: [[20 * mebibyte, 512]] })
  const target = join(far, 'disk.raw')
  await imageDisk(disk.path, target)
  const image = fs.readFileSync(target)
  const map = fs.readFileSync(`${target}.map`, 'utf8')
  const refuse = async (source: string, code: string): Promise<void> => {
    await assert.rejects(resumeImage(source, target), { code })
    assert.ok(fs.readFileSync(target).equals(image))
  }
  // Another disk of the same size: its table has another id.
  await refuse(partitionedDisk(t, testFolder(t), 512).loop, 'E_OTHER_DISK')
  // One of which the table cannot be read either: by what it holds.
  const blank = join(folder, 'blank')
  fs.writeFileSync(blank, new Uint8Array(fs.statSync(path).size))
  await refuse(loopDevice(t, blank), 'E_OTHER_DISK')
  await refuse(`${disk.path}@1`, 'E_OTHER_DISK')
  for (const wrong of ['', map.replace('0x00000200  -', '0x00000300  -'), map.replace('-', '!'), `${map}0x7FFFFFFFFFFFFF  0x00000200  -\n`, map.replace(/\n[^\n]*\n$/, '\n')]) {
    fs.writeFileSync(`${target}.map`, wrong)
    await refuse(disk.path, 'E_MAP')
  }
  fs.writeFileSync(`${target}.map`, map)
  const dry = await resumeImage(disk.path, target, { dryRun: true })
  assert.deepEqual([dry.plan.bytes, dry.dryRun], [512, true])
  fs.rmSync(`${target}.vdisk.json`)
  await refuse(disk.path, 'E_NO_RECORD')
})
