import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test, type TestContext } from 'node:test'
import { blockMap } from '../../fixtures/spec-writer/block-map.js'
import { convert, restore, type RestoreOptions, type RestoreResult } from '../../src/index.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run } from '../support/tools.js'

const skip = loopsMissing()
const mebibyte = 1048576
const size = 8 * mebibyte
const block = 4096
/** Blocks that hold something; all but the first and the last two lie between the ends of the disk. */
const ranges = [
  [0, 3],
  [300, 300],
  [302, 700],
  [1500, 1503],
] as const

const image = Buffer.alloc(size)
for (const [first, last] of ranges)
  image.set(
    diskLike((last - first + 1) * block, first + 1).map((byte) => byte | 1),
    first * block,
  )
// Zeros that are mapped are written.
image.fill(0, 310 * block, 600 * block)
const before = Buffer.alloc(size, 'what was here before ')

/** The target: what is mapped of the image, else what was there; the first and the last mebibyte are the image's. */
function expected(): Buffer {
  const bytes = Buffer.from(before)
  for (const [first, last] of ranges)
    image.copy(bytes, first * block, first * block, Math.min(size, (last + 1) * block))
  image.copy(bytes, 0, 0, mebibyte)
  image.copy(bytes, size - mebibyte, size - mebibyte)
  return bytes
}

interface Bench {
  readonly folder: string
  readonly image: string
  readonly file: string
  restore(options?: Partial<RestoreOptions>, source?: string): Promise<RestoreResult>
}

function bench(t: TestContext, sectorSize: 512 | 4096 = 512): Bench {
  const folder = testFolder(t)
  const path = join(folder, 'disk.img')
  const file = join(folder, 'target')
  fs.writeFileSync(path, image)
  fs.writeFileSync(file, before)
  const device = loopDevice(t, file, sectorSize)
  const options: RestoreOptions = { yes: true, confirm: String(size), allowNoTable: true }
  return {
    folder,
    image: path,
    file,
    restore: (more = {}, source = path) => restore(source, device, { ...options, ...more }),
  }
}

const untouched = ({ file }: Bench): void => assert.ok(fs.readFileSync(file).equals(before), 'something was written')

for (const version of ['1.2', '1.3', '1.4', '2.0'])
  test(`restore writes and verifies what a block map of version ${version} lists`, { skip }, async (t) => {
    const own = bench(t)
    fs.writeFileSync(join(own.folder, 'disk.img.bmap'), blockMap({ image, ranges, version }))
    const plan = await own.restore({ dryRun: true })
    assert.deepEqual(
      plan.steps.map(({ name }) => name).slice(0, 5),
      [...(version === '1.2' ? [] : ['checksums']), 'open', 'clear', 'write', 'verify', 'finish'].slice(0, 5),
    )
    untouched(own)
    const { blockMap: used, bytes, verified } = await own.restore()
    const mapped = ranges.reduce((sum, [first, last]) => sum + (last - first + 1) * block, 0)
    assert.deepEqual([used?.version, used?.ranges, used?.mapped, bytes.written], [version, 4, mapped, mapped])
    assert.ok(verified)
    const [found, wanted] = [fs.readFileSync(own.file), expected()]
    const at = found.findIndex((byte, index) => byte !== wanted[index])
    assert.equal(at, -1)
  })

test('the block map that bmaptool makes, beside a compressed image', { skip }, async (t) => {
  if (!have(t, 'bmaptool')) return
  const own = bench(t)
  // Holes are what bmaptool does not map.
  fs.truncateSync(own.image, 0)
  fs.truncateSync(own.image, size)
  const descriptor = fs.openSync(own.image, 'r+')
  for (const [first, last] of ranges)
    fs.writeSync(descriptor, image, first * block, (last - first + 1) * block, first * block)
  fs.fsyncSync(descriptor)
  fs.closeSync(descriptor)
  const map = join(own.folder, 'disk.bmap')
  run('bmaptool', 'create', own.image, '-o', map)
  const packed = join(own.folder, 'disk.img.gz')
  fs.writeFileSync(packed, gzipSync(image, { level: 1 }))
  fs.rmSync(own.image)
  const { blockMap: used } = await own.restore({}, packed)
  assert.equal(used?.path, map)
  const bytes = fs.readFileSync(own.file)
  for (const [first, last] of ranges) {
    const [start, end] = [first * block, (last + 1) * block]
    assert.ok(bytes.subarray(start, end).equals(image.subarray(start, end)))
  }
  assert.ok(
    bytes
      .subarray(5 * mebibyte, 5 * mebibyte + 100)
      .toString()
      .includes('before'),
    'what is not mapped stays',
  )
})

test('a block of the map is smaller than a sector of the disk', { skip }, async (t) => {
  const own = bench(t, 4096)
  const fine = [
    [0, 7],
    [4097, 4099],
  ] as const
  fs.writeFileSync(join(own.folder, 'disk.bmap'), blockMap({ image, ranges: fine, blockSize: 512 }))
  await own.restore()
  const bytes = fs.readFileSync(own.file)
  assert.ok(bytes.subarray(512 * block, 513 * block).equals(image.subarray(512 * block, 513 * block)))
  assert.ok(bytes.subarray(513 * block, 514 * block).equals(before.subarray(513 * block, 514 * block)))
})

test('an image that differs from its block map is refused before anything is written', { skip }, async (t) => {
  const own = bench(t)
  fs.writeFileSync(join(own.folder, 'disk.img.bmap'), blockMap({ image, ranges }))
  const damaged = Buffer.from(image)
  damaged.writeUInt8(image.readUInt8(302 * block) ^ 4, 302 * block)
  fs.writeFileSync(own.image, damaged)
  await assert.rejects(own.restore(), { code: 'E_BMAP_CHECKSUM', kind: 'corrupt', message: /bytes 1236992 to/ })
  untouched(own)
  await own.restore({ bmap: false })
  assert.ok(fs.readFileSync(own.file).equals(damaged))
})

test('a block map that does not fit is refused', { skip }, async (t) => {
  const own = bench(t)
  const other = join(own.folder, 'other.bmap')
  fs.writeFileSync(other, blockMap({ image: image.subarray(0, size - 512), ranges: ranges.slice(0, 3) }))
  await assert.rejects(own.restore({ bmap: other }), { code: 'E_BMAP_MISFIT', kind: 'refused' })
  fs.writeFileSync(join(own.folder, 'disk.img.bmap'), blockMap({ image, ranges }).replace('> 300 <', '> 301 <'))
  await assert.rejects(own.restore(), { code: 'E_BMAP', kind: 'corrupt' })
  await assert.rejects(own.restore({ bmap: join(own.folder, 'none') }), { code: 'E_NOT_FOUND' })
  fs.rmSync(join(own.folder, 'disk.img.bmap'))
  const qcow2 = join(own.folder, 'disk.qcow2')
  await convert(own.image, qcow2)
  const good = join(own.folder, 'disk.bmap')
  fs.writeFileSync(good, blockMap({ image, ranges }))
  await assert.rejects(own.restore({ bmap: good }, qcow2), { code: 'E_BMAP_MISFIT' })
  untouched(own)
  // Beside an image of another kind it is not looked for.
  const { blockMap: used } = await own.restore({}, qcow2)
  assert.equal(used, undefined)
  assert.ok(fs.readFileSync(own.file).equals(image))
})

test('what is changed of the image for the disk is written, mapped or not', { skip }, async (t) => {
  if (!have(t, 'sgdisk')) return
  const own = bench(t)
  fs.truncateSync(own.image, 0)
  fs.truncateSync(own.image, 6 * mebibyte)
  run('sgdisk', '-n', '1:2048:4095', own.image)
  const small = fs.readFileSync(own.image)
  fs.writeFileSync(join(own.folder, 'disk.img.bmap'), blockMap({ image: small, ranges: [[0, 5]] }))
  await own.restore()
  assert.match(run('sgdisk', '-v', own.file), /No problems found/)
  assert.ok(
    fs
      .readFileSync(own.file)
      .subarray(6 * mebibyte - 512, 6 * mebibyte)
      .every((byte) => byte === 0),
    'the old copy of the table is gone',
  )
})
