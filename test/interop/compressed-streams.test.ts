import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { UnitSource } from '../../src/block/unit-source.js'
import { FileStore } from '../../src/block/file-store.js'
import { ForwardStore } from '../../src/codec/stream/forward-store.js'
import { compare, convert, hash, measure, restore } from '../../src/index.js'
import { by } from '../support/compress.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have } from '../support/tools.js'

const mebibyte = 1024 * 1024
const disk = Buffer.concat([diskLike(3 * mebibyte + 512, 1), Buffer.alloc(2 * mebibyte), diskLike(2 * mebibyte, 2)])
const part = diskLike(2 * mebibyte, 3)

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

interface Stream {
  readonly name: string
  readonly tools: readonly string[]
  readonly make: () => Buffer
  readonly content?: Buffer
  readonly access?: 'units'
}

const streams: readonly Stream[] = [
  { name: 'disk.raw.gz', tools: ['gzip'], make: () => by('gzip', ['-1c'], disk) },
  {
    // The last four bytes are the size of the second member, which is not that of the content.
    name: 'members.gz',
    tools: ['gzip'],
    make: () => Buffer.concat([by('gzip', ['-c'], disk), by('gzip', ['-c'], disk)]),
    content: Buffer.concat([disk, disk]),
  },
  {
    // They are padding: there is no likely size.
    name: 'padded.gz',
    tools: ['gzip'],
    make: () => Buffer.concat([by('gzip', ['-c'], disk), Buffer.alloc(1024)]),
  },
  { name: 'disk.raw.xz', tools: ['xz'], make: () => by('xz', ['-0c', '-T1'], disk) },
  { name: 'x86.raw.xz', tools: ['xz'], make: () => by('xz', ['-c', '-T1', '--x86', '--lzma2=preset=0'], disk) },
  { name: 'disk.raw.lzma', tools: ['xz'], make: () => by('xz', ['--format=lzma', '-0c'], disk) },
  {
    name: 'disk.raw.zst',
    tools: ['zstd'],
    make: () => by('zstd', ['-qc', `--stream-size=${disk.length}`], disk),
  },
  { name: 'no-size.raw.zst', tools: ['zstd'], make: () => by('zstd', ['-qc'], disk) },
  {
    name: 'two.raw.zst',
    tools: ['zstd'],
    make: () => Buffer.concat([disk, disk].map((bytes) => by('zstd', ['-qc', `--stream-size=${bytes.length}`], bytes))),
    content: Buffer.concat([disk, disk]),
  },
  { name: 'disk.raw.lz4', tools: ['lz4'], make: () => by('lz4', ['-qc'], disk) },
  { name: 'disk.raw.bz2', tools: ['bzip2'], make: () => by('bzip2', ['-1c'], disk), access: 'units' },
  {
    name: 'large.raw.xz',
    tools: ['xz'],
    make: () => by('xz', ['-0c', '--block-size=6MiB'], Buffer.concat([disk, disk])),
    content: Buffer.concat([disk, disk]),
    access: 'units',
  },
]

for (const { name, tools, make, content = disk, access } of streams) {
  test(`${name}: read ${access ?? 'as a stream, and no scratch file is made'}`, async (t) => {
    if (!tools.every((tool) => have(t, tool))) return
    if (name.startsWith('x86') && process.env['VDISK_NO_NATIVE_CODECS'] !== undefined) {
      t.skip('BCJ filters need liblzma')
      return
    }
    const folder = testFolder(t)
    const at = (file: string): string => join(folder, file)
    fs.writeFileSync(at(name), make())
    fs.writeFileSync(at('plain.raw'), content)
    const hashed = await hash(at(name))
    assert.equal(hashed.digests[0]?.digest, sha256(content))
    assert.equal(hashed.source.access, access ?? 'stream')
    // Where scratch files have no place, making one fails.
    const scratchFolder = at('not-there')
    const converted = await convert(at(name), at('out.raw'), { scratchFolder, verify: true })
    assert.equal(converted.source.access, access ?? 'stream')
    assert.equal(sha256(fs.readFileSync(at('out.raw'))), sha256(content))
    if (!['disk.raw.gz', 'no-size.raw.zst'].includes(name)) return
    assert.equal((await compare(at(name), at('plain.raw'))).same, true)
    assert.equal((await compare(at('plain.raw'), at(name))).same, true)
    await convert(at(name), at('out.qcow2'), {})
    assert.equal((await measure(at(name), { to: 'qcow2' })).required, fs.statSync(at('out.qcow2')).size)
    assert.equal((await compare(at('out.qcow2'), at('plain.raw'))).sameContent, true)
    const pieces: Buffer[] = []
    const output = (bytes: Uint8Array): Promise<void> => Promise.resolve(void pieces.push(Buffer.from(bytes)))
    await convert(at(name), { output }, {})
    assert.equal(sha256(Buffer.concat(pieces)), sha256(content))
  })
}

test('an image that only its end shows to be one is not read as a raw disk', async (t) => {
  if (!have(t, 'gzip') || !have(t, 'xz')) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  fs.writeFileSync(at('disk.raw'), disk.subarray(0, 6 * mebibyte))
  await convert(at('disk.raw'), at('disk.vhd'), { options: { subformat: 'fixed' } })
  const bytes = fs.readFileSync(at('disk.vhd'))
  // The names do not say what is inside.
  fs.writeFileSync(at('disk.gz'), by('gzip', ['-1c'], bytes))
  fs.writeFileSync(at('disk.xz'), by('xz', ['-0c'], bytes))
  for (const name of ['disk.gz', 'disk.xz']) {
    const { source, digests } = await hash(at(name))
    assert.deepEqual([source.format, source.subformat, source.access], ['vhd', 'fixed', 'scratch'])
    assert.equal(digests[0]?.digest, (await hash(at('disk.vhd'))).digests[0]?.digest)
    await convert(at(name), at('out.raw'), { force: true })
    assert.equal((await compare(at('out.raw'), at('disk.vhd'))).same, true)
    assert.equal((await compare(at(name), at('disk.vhd'))).same, true)
  }
})

test('large blocks of xz: the last is decoded while the first are read, and what it shows counts', async (t) => {
  if (!have(t, 'xz') || process.env['VDISK_NO_NATIVE_CODECS'] !== undefined) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  const xz = (bytes: Uint8Array): Buffer => by('xz', ['-0c', '--block-size=6MiB'], bytes)
  const raw = Buffer.concat([disk, disk])
  fs.writeFileSync(at('raw'), raw)
  await convert(at('raw'), at('disk.vhd'), { from: 'raw', options: { subformat: 'fixed' } })
  fs.writeFileSync(at('vhd.xz'), xz(fs.readFileSync(at('disk.vhd'))))
  fs.writeFileSync(at('raw.xz'), xz(raw))
  const end = t.mock.method(UnitSource.prototype, 'decodeEnd')
  const { source } = await convert(at('vhd.xz'), at('vhd.raw'), {})
  assert.deepEqual([source.format, source.subformat, source.access], ['vhd', 'fixed', 'units'])
  assert.equal((await compare(at('vhd.raw'), at('disk.vhd'))).same, true)
  assert.equal((await hash(at('vhd.xz'))).source.format, 'vhd')
  await convert(at('raw.xz'), at('out.raw'), {})
  assert.ok(fs.readFileSync(at('out.raw')).equals(raw))
  assert.deepEqual(
    end.mock.calls.map(({ result }) => result),
    [true, true, true],
  )
  // Something in the last block.
  const bad = fs.readFileSync(at('raw.xz'))
  bad[bad.length - 4096]! ^= 1
  fs.writeFileSync(at('bad.xz'), bad)
  await assert.rejects(convert(at('bad.xz'), at('bad.raw'), {}), { code: 'E_COMPRESSED' })
  await assert.rejects(hash(at('bad.xz')), { code: 'E_COMPRESSED' })
  assert.ok(fs.readdirSync(folder).every((name) => !name.includes('bad.raw')))
})

test('damage behind what was read already is found, and no target is left', async (t) => {
  if (!['gzip', 'xz', 'zstd'].every((tool) => have(t, tool))) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  const zst = by('zstd', ['-qc', `--stream-size=${disk.length}`], disk)
  const sum = Buffer.from(zst)
  sum[zst.length - 1]! ^= 1
  const gz = by('gzip', ['-1c'], disk)
  const changed = Buffer.from(gz)
  changed[gz.length - 6]! ^= 1
  const xz = by('xz', ['-0c', '-T1'], disk)
  const check = Buffer.from(xz)
  check[xz.length - 40]! ^= 1
  const blocks = by('xz', ['-0c', '--block-size=6MiB'], Buffer.concat([disk, disk]))
  blocks[500_000]! ^= 1
  const cases = {
    'first-block.xz': [blocks, 'E_COMPRESSED'],
    'cut.gz': [gz.subarray(0, gz.length - 100_000), 'E_TRUNCATED'],
    'cut-trailer.gz': [gz.subarray(0, gz.length - 3), 'E_TRUNCATED'],
    'crc.gz': [changed, 'E_COMPRESSED'],
    'behind.gz': [Buffer.concat([gz, Buffer.from('rubbish')]), 'E_TRAILING_DATA'],
    'check.xz': [check, 'E_COMPRESSED'],
    'cut.zst': [zst.subarray(0, zst.length - 100_000), 'E_TRUNCATED'],
    'cut-sum.zst': [zst.subarray(0, zst.length - 3), 'E_TRUNCATED'],
    'sum.zst': [sum, 'E_COMPRESSED'],
    'behind.zst': [Buffer.concat([zst, Buffer.from('rubbish')]), 'E_TRAILING_DATA'],
  } as const
  for (const [name, [bytes, code]] of Object.entries(cases)) {
    fs.writeFileSync(at(name), bytes)
    await assert.rejects(convert(at(name), at('out.raw')), { code }, name)
    await assert.rejects(convert(at(name), at('out.qcow2')), { code }, name)
    await assert.rejects(hash(at(name)), { code }, name)
    // Of the first bytes alone everything is there; the rest of the file counts too.
    await assert.rejects(hash(at(name), { ranges: [{ offset: 0, length: 4096 }] }), { code }, name)
  }
  assert.deepEqual(fs.readdirSync(folder).sort(), Object.keys(cases).sort())
})

test(
  'restore: a compressed file is decoded once before anything is written, so that a damaged one costs nothing',
  { skip: loopsMissing() },
  async (t) => {
    if (!have(t, 'gzip')) return
    const folder = testFolder(t)
    const at = (file: string): string => join(folder, file)
    const gz = by('gzip', ['-1c'], disk)
    fs.writeFileSync(at('disk.raw.gz'), gz)
    fs.writeFileSync(at('cut.raw.gz'), gz.subarray(0, gz.length - 9))
    const before = Buffer.alloc(8 * mebibyte, 'what was here before ')
    fs.writeFileSync(at('device'), before)
    const device = loopDevice(t, at('device'))
    const options = { yes: true, confirm: String(before.length), allowNoTable: true }
    await assert.rejects(restore(at('cut.raw.gz'), device, options), { code: 'E_TRUNCATED' })
    assert.equal(Buffer.compare(fs.readFileSync(at('device')), before), 0)
    const { source } = await restore(at('disk.raw.gz'), device, options)
    assert.equal(source.access, 'stream')
    assert.equal(Buffer.compare(fs.readFileSync(at('device')).subarray(0, disk.length), disk), 0)
  },
)

for (const [codec, args] of [
  ['gzip', ['-1c']],
  ['zstd', ['-qc']],
] as const)
  test(`${codec}: read as a stream it can be read anywhere, and is unpacked when that happens often`, async (t) => {
    if (!have(t, codec)) return
    const folder = testFolder(t)
    const path = join(folder, 'disk')
    const content = Buffer.concat([part, disk])
    fs.writeFileSync(path, by(codec, args, content))
    const below = FileStore.openRead(path)
    using store = new ForwardStore({
      name: 'disk',
      request: { descriptor: below.fd, start: 0, end: below.size, name: 'disk', codec },
      size: content.length,
      below,
      scratchFolder: folder,
    })
    const agrees = (position: number, length: number): void => {
      const bytes = new Uint8Array(length)
      store.read(position, bytes)
      assert.equal(Buffer.compare(bytes, content.subarray(position, position + length)), 0, `${position}`)
    }
    agrees(0, 4096)
    agrees(5 * mebibyte - 7, 2 * mebibyte)
    agrees(100, 4096)
    agrees(content.length - 100, 100)
    assert.equal(store.isUnpacked, false)
    // Several at once, in order, while others look at the beginning.
    const pieces = [2, 3, 4].map((index) => ({ at: index * mebibyte + 5, bytes: new Uint8Array(mebibyte) }))
    const fetched = pieces.map(({ at, bytes }) => store.fetch(at, bytes))
    agrees(512, 512)
    await Promise.all(fetched)
    for (const { at, bytes } of pieces)
      assert.equal(Buffer.compare(bytes, content.subarray(at, at + bytes.length)), 0, `${at}`)
    for (const position of [6, 2, 5, 3]) agrees(position * mebibyte, 1000)
    assert.equal(store.isUnpacked, true)
    agrees(0, content.length)
    assert.equal(store.changed(), undefined)
    assert.throws(() => store.read(content.length - 1, new Uint8Array(2)), RangeError)
  })
