import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { ewfImage, type EwfRecipe } from '../../../fixtures/spec-writer/ewf.js'
import { dmgImage, dmgSegments, dmgType } from '../../../fixtures/spec-writer/dmg.js'
import { partcloneImage, partcloneOneImage } from '../../../fixtures/spec-writer/backups.js'
import { androidSparseImage } from '../../../fixtures/spec-writer/read-only.js'
import { crc32Zeros } from '../../../src/binary/checksum.js'
import { compare } from '../../../src/operations/inspect/compare.js'
import { hash } from '../../../src/operations/inspect/hash.js'
import { measure } from '../../../src/operations/transfer/measure.js'
import { convert, type ConvertOptions } from '../../../src/operations/transfer/convert.js'
import { vdisk } from '../../support/cli.js'
import { skipReason } from '../../support/complete.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'

const chunk = 64 * 512
/** Data, zeros, and a word that is repeated; two chunks of the last part are left out. */
const content = Buffer.alloc(8 * chunk)
for (const index of [0, 1, 4]) content.set(diskLike(chunk, index + 1), index * chunk)
content.fill('word', 5 * chunk, 6 * chunk)

/** Every way by which content gets into a target: plain, compressed in its place, in one unit, by a scratch file. */
const targets: readonly (readonly [string, ConvertOptions])[] = [
  ['b.raw', {}],
  ['b.raw', { size: 16 * chunk }],
  ['b.raw', { rate: 1e9 }],
  ['b.raw', { threads: 0, sparse: 0 }],
  ['b.raw', { dryRun: true }],
  ['b.qcow2', {}],
  ['b.qcow2', { options: { compress: 'zstd' } }],
  ['b.qcow2', { options: { compress: 'zlib' }, threads: 2, rate: 1e9 }],
  ['b.vhdx', { verify: true }],
  ['b.vmdk', { options: { subformat: 'streamOptimized' } }],
  ['b.raw.gz', {}],
  ['b.raw.zst', { threads: 0 }],
  ['b.qcow2.zst', {}],
  ['b.ova', {}],
]

type Files = Readonly<Record<string, Buffer>>
const recipe = { content, chunkSectors: 64, types: [dmgType.raw, dmgType.zlib], parts: [256] }
const dmg = (change: (bytes: Buffer) => void = () => undefined): Files => {
  const bytes = dmgImage(recipe)
  change(bytes)
  return { 'a.dmg': bytes }
}
const sparse = (sums: 'zeros' | 'without' | undefined, change: (bytes: Buffer) => void = () => undefined): Files => {
  const bytes = androidSparseImage(content, 4096, 0, sums)
  change(bytes)
  return { 'a.simg': bytes }
}
const withHeaderSum = (sum: number) => (bytes: Buffer) => bytes.writeUInt32LE(sum, 24)

/** Changes the checksum of a part, in the property list. */
const ofPart = (part: number) => (bytes: Buffer) => {
  const text = bytes.toString('latin1')
  let start = 0
  for (let index = 0; index <= part; index++) start = text.indexOf('<data>', start) + 6
  const end = text.indexOf('</data>', start)
  const table = Buffer.from(text.slice(start, end), 'base64')
  table.writeUInt32BE((table.readUInt32BE(72) ^ 1) >>> 0, 72)
  bytes.write(table.toString('base64').padEnd(end - start, ' '), start, 'latin1')
}
const flipped = (position: number) => (bytes: Buffer) => {
  bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position)
}

/** The last checksum that lies between chunks. */
const lastSum = (bytes: Buffer): void => {
  flipped(bytes.lastIndexOf(Buffer.from([0xc4, 0xca, 0, 0])) + 12)(bytes)
}

const segments = dmgSegments(recipe, 'a', [3000, 3001])
const damagedSegment = Buffer.from(segments['a.dmg'] ?? [])
flipped(1000)(damagedSegment)

const damaged: Readonly<Record<string, Files>> = {
  'dmg: a byte of stored data': dmg(flipped(1000)),
  'dmg: the checksum of the data': dmg((bytes) => flipped(bytes.length - 512 + 88)(bytes)),
  'dmg: the checksum of the first part': dmg(ofPart(0)),
  'dmg: the checksum of the second part': dmg(ofPart(1)),
  'dmg: a byte of stored data in a segment': { ...segments, 'a.dmg': damagedSegment },
  'simg: a byte of a raw chunk': sparse('zeros', flipped(1000)),
  'simg: the last checksum between chunks': sparse('without', lastSum),
  'simg: the checksum in the header': sparse(undefined, withHeaderSum((crc32(content) ^ 1) >>> 0)),
}

const partcloneOne = (byte: number): Files => {
  const bytes = partcloneOneImage(content)
  bytes.writeUInt8(bytes.readUInt8(byte) ^ 1, byte)
  return { 'a.pcl': bytes }
}
/** Where the first block begins: behind the header, a byte for each block, and a mark. */
const firstBlock = 4160 + content.length / 4096 + 8

const sound: Readonly<Record<string, Files>> = {
  dmg: dmg(),
  'dmg in segments': segments,
  'simg without checksums': sparse(undefined),
  'simg, zeros counted': sparse('zeros'),
  'simg, zeros left out': sparse('without'),
  'simg, a checksum in the header': sparse(undefined, withHeaderSum(crc32(content))),
}

/** The files in a folder; gives the path of the first. */
function placed(folder: string, files: Files): string {
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(folder)
  for (const [name, bytes] of Object.entries(files)) fs.writeFileSync(join(folder, name), bytes)
  return join(folder, Object.keys(files)[0] ?? '')
}

test('a wrong checksum in an image stops what reads all of it, and leaves no target', async (t) => {
  const folder = join(testFolder(t), 'images')
  for (const [what, files] of Object.entries(damaged)) {
    const path = placed(folder, files)
    const before = fs.readdirSync(folder)
    const corrupt = { code: 'E_CHECKSUM', kind: 'corrupt' }
    for (const [target, options] of targets)
      await assert.rejects(convert(path, join(folder, target), options), corrupt, `${what}, ${target}`)
    await assert.rejects(convert(path, { output: () => assert.fail('something was given out') }), corrupt, what)
    await assert.rejects(measure(path, { to: 'qcow2' }), corrupt, what)
    await assert.rejects(hash(path, { algorithm: 'tree' }), corrupt, what)
    await assert.rejects(compare(path, path, { first: true }), corrupt, what)
    const input = (async function* () {
      yield await fs.promises.readFile(path)
    })()
    if (Object.keys(files).length === 1) await assert.rejects(convert({ input }, join(folder, 'b.raw')), corrupt, what)
    await assert.rejects(hash(path), corrupt, what)
    await assert.rejects(compare(path, path), corrupt, what)
    assert.deepEqual(fs.readdirSync(folder), before, what)
    // Single places are read without reading everything first.
    await hash(path, { ranges: [{ offset: 0, length: 512 }] })
  }
})

test('partclone of version 1: the checksums of the first bytes of its blocks count where all is read', async (t) => {
  const folder = join(testFolder(t), 'images')
  for (const block of [0, 9, 20]) {
    // The byte that the checksum is of, and one that it does not see.
    const path = placed(folder, { ...partcloneOne(firstBlock + block * 4100), 'sound.raw': content })
    const corrupt = { code: 'E_CHECKSUM', kind: 'corrupt' }
    await assert.rejects(convert(path, join(folder, 'b.qcow2')), corrupt)
    await assert.rejects(convert(path, join(folder, 'b.raw'), { rate: 1e9, threads: 2 }), corrupt)
    await assert.rejects(hash(path), corrupt)
    await assert.rejects(compare(join(folder, 'sound.raw'), path), corrupt)
    assert.deepEqual(fs.readdirSync(folder), ['a.pcl', 'sound.raw'])
    await hash(path, { ranges: [{ offset: 4 * chunk, length: 512 }] })
  }
  // Of version 2, checksums that go on from one to the next; the disk ends inside a block.
  const odd = content.subarray(0, 6 * chunk - 512)
  for (const [change, isWrong] of [
    [0, false],
    [1, true],
  ] as const) {
    const image = partcloneImage(odd, { reseed: false })
    const at = image.indexOf(content.subarray(4 * chunk, 4 * chunk + 4096)) + 100
    image.writeUInt8(image.readUInt8(at) ^ change, at)
    const path = placed(folder, { 'a.pcl': image })
    for (const work of [
      () => hash(path),
      () => convert(path, join(folder, 'b.vhdx')),
      () => measure(path, { to: 'vdi' }),
    ])
      if (isWrong) await assert.rejects(work(), { code: 'E_CHECKSUM', kind: 'corrupt' })
      else await work()
  }
  await hash(placed(folder, partcloneOne(firstBlock + 4096 * 3 + 5)))
  await hash(placed(folder, { 'a.pcl': partcloneOneImage(content, true) }))
})

test('images whose checksums are right are converted, with no more to say', async (t) => {
  const folder = join(testFolder(t), 'images')
  for (const [what, files] of Object.entries(sound)) {
    const path = placed(folder, files)
    const { notes } = await convert(path, join(folder, 'b.raw'))
    assert.deepEqual(notes, [], what)
    assert.ok(fs.readFileSync(join(folder, 'b.raw')).equals(content), what)
    await convert(path, join(folder, 'b.qcow2'), { options: { compress: 'zlib' } })
    await convert(path, join(folder, 'b.raw.gz'))
    for (const name of ['b.raw', 'b.qcow2', 'b.raw.gz']) fs.rmSync(join(folder, name))
  }
})

test('the command ends with 4; its hint reads the image nevertheless, with a warning', async (t) => {
  const cwd = join(testFolder(t), 'images')
  for (const what of ['dmg: the checksum of the data', 'simg: the last checksum between chunks']) {
    const files = damaged[what] ?? {}
    const [name = ''] = Object.keys(files)
    placed(cwd, files)
    const refused = await vdisk(['convert', name, 'b.raw'], { cwd })
    assert.equal(refused.code, 4, refused.stderr)
    assert.match(refused.stderr, /^Error: .*checksum/)
    assert.deepEqual(fs.readdirSync(cwd), [name])
    const hint = /--from-option \S+/.exec(refused.stderr)?.[0].split(' ') ?? []
    const read = await vdisk(['convert', name, 'b.raw', ...hint], { cwd })
    assert.equal(read.code, 0, read.stderr)
    assert.match(read.stderr, /checksum .*recorded/)
    assert.ok(fs.readFileSync(join(cwd, 'b.raw')).equals(content))
    const checked = await vdisk(['check', '--deep', name, ...hint], { cwd })
    assert.equal(checked.code, 1, checked.stdout.toString())
  }
})

test('a checksum of all parts that is wrong is warned of', async (t) => {
  const folder = join(testFolder(t), 'images')
  const path = placed(
    folder,
    dmg((bytes) => flipped(bytes.length - 512 + 360)(bytes)),
  )
  const { notes } = await convert(path, join(folder, 'b.raw'))
  assert.deepEqual(
    notes.map(({ code }) => code),
    ['W_MASTER_CHECKSUM'],
  )
})

test('the CRC-32 of zeros is that of zlib', () => {
  const start = crc32('abc')
  for (const length of [0, 1, 2, 3, 7, 8, 511, 4096, 1_000_003])
    assert.equal(crc32Zeros(length, start), crc32(Buffer.alloc(length), start))
  // 2^33 zeros are 2^13 times 2^20.
  let sum = start
  for (let piece = 0; piece < 2 ** 13; piece++) sum = crc32Zeros(2 ** 20, sum)
  assert.equal(crc32Zeros(2 ** 33, start), sum)
})

test('a forensic image whose digest is another than that of its content is not given out', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const image = (kind: 'encase6' | 'ex01', section: string, byte: number): void => {
    const edit: EwfRecipe['edit'] = (name, data, when) => {
      if (name === section && when === 'before') data.writeUInt8(data.readUInt8(byte) ^ 1, byte)
    }
    fs.writeFileSync(at('a.E01'), Buffer.concat(ewfImage({ content, kind, edit })))
  }
  for (const [kind, section, byte] of [
    ['encase6', 'digest', 20],
    ['ex01', 'sha1', 0],
  ] as const) {
    image(kind, section, byte)
    const before = fs.readdirSync(folder)
    const wrong = { code: 'E_DIGEST', kind: 'corrupt', hint: /ignore-checksums=true/ }
    await assert.rejects(convert(at('a.E01'), at('b.qcow2')), wrong)
    await assert.rejects(hash(at('a.E01')), wrong)
    await assert.rejects(compare(at('a.E01'), at('a.E01')), wrong)
    assert.deepEqual(fs.readdirSync(folder), before)
    const { notes } = await convert(at('a.E01'), at('b.raw'), { fromOptions: { 'ignore-checksums': true } })
    assert.deepEqual([notes.length, notes[0]?.code], [1, 'W_DIGEST'])
    assert.ok(fs.readFileSync(at('b.raw')).equals(content))
    fs.rmSync(at('b.raw'))
  }
  image('encase6', 'none', 0)
  assert.deepEqual((await convert(at('a.E01'), at('b.raw'))).notes, [])
})

const needsProc = skipReason(fs.existsSync('/proc/self/io') ? undefined : 'there is no /proc/self/io')

test('an image whose digest is compared is read once', { skip: needsProc }, async (t) => {
  const folder = testFolder(t)
  const path = join(folder, 'a.E01')
  // Its chunks do not compress, and larger ones than a disk that is moved by one thread.
  const bytes = Buffer.concat([randomBytes(12 * 1048576), Buffer.alloc(1048576)])
  fs.writeFileSync(path, Buffer.concat(ewfImage({ content: bytes, kind: 'encase6', sectorsPerChunk: 64 })))
  const other = join(folder, 'other.raw')
  fs.writeFileSync(other, bytes)
  const { size } = fs.statSync(path)
  const wholly: Readonly<Record<string, () => Promise<unknown>>> = {
    'convert to raw': () => convert(path, join(folder, 'b.raw')),
    'convert to qcow2': () => convert(path, join(folder, 'b.qcow2'), { options: { compress: 'zlib' } }),
    'convert to raw.gz': () => convert(path, join(folder, 'b.raw.gz')),
    measure: () => measure(path, { to: 'vhdx' }),
    hash: () => hash(path),
    'hash by tree': () => hash(path, { algorithm: 'tree' }),
  }
  for (const [what, work] of Object.entries(wholly)) {
    const before = bytesRead()
    await work()
    const read = bytesRead() - before
    assert.ok(read > size && read < 1.3 * size, `${what}: ${read} bytes of ${size}`)
  }
  const before = bytesRead()
  assert.ok((await compare(path, other)).same)
  const read = bytesRead() - before
  assert.ok(read < 1.3 * (size + bytes.length), `compare: ${read} bytes`)
})

/** What this process and its threads have read, in bytes. */
function bytesRead(): number {
  return Number(/^rchar: (\d+)$/m.exec(fs.readFileSync('/proc/self/io', 'utf8'))?.[1])
}
