import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { dmgSegments, dmgType } from '../../fixtures/spec-writer/dmg.js'
import { androidSparseImage } from '../../fixtures/spec-writer/read-only.js'
import { convert, openImage } from '../../src/index.js'
import { diskLike } from '../support/content.js'
import { testDamagedFolders, type DamagedFolder } from '../support/damaged-folders.js'
import { diskFolder, type FolderFiles } from '../support/disk-folder.js'
import { testFolder } from '../support/folder.js'
import { have, run } from '../support/tools.js'

const block = 4096
const content = Buffer.alloc(40 * block)
for (const index of [0, 1, 10, 20, 21, 39]) content.set(diskLike(block, index + 1), index * block)
for (let at = 0; at < 2 * block; at++) content.writeUInt8((at * 7) % 251, at)
content.fill('fill', 30 * block, 33 * block)
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const whole = sha(content)

/** What lies in blocks [start, end); zeros elsewhere. */
function only(start: number, end: number, from = content): Buffer {
  const bytes = Buffer.alloc(from.length)
  from.copy(bytes, start * block, start * block, end * block)
  return bytes
}
const part = (start: number, end: number): Buffer => androidSparseImage(only(start, end))
const three = { 'super_1.simg': part(0, 15), 'super_2.simg': part(15, 31), 'super_3.simg': part(31, 40) }
const changed =
  (more: FolderFiles, ...gone: string[]) =>
  (): FolderFiles =>
    Object.fromEntries(Object.entries({ ...three, ...more }).filter(([name]) => !gone.includes(name)))
const renamed = (of: (number: number) => string, first: number) => (): FolderFiles =>
  Object.fromEntries(Object.values(three).map((bytes, index) => [of(first + index), bytes]))
const sums = androidSparseImage(content, block, 0, 'zeros')

const sound = (what: string, files: () => FolderFiles, rest: Partial<DamagedFolder> = {}): DamagedFolder => ({
  what,
  files,
  open: 'super_1.simg',
  answer: [],
  reads: whole,
  ...rest,
})
const refused = (
  what: string,
  code: string,
  files: () => FolderFiles,
  rest: Partial<DamagedFolder> = {},
): DamagedFolder => ({ what, files, open: 'super_1.simg', answer: code, ...rest })

const android: readonly DamagedFolder[] = [
  sound('three parts', changed({})),
  sound('three parts, the last one given', changed({}), { open: 'super_3.simg', answer: ['W_EXTENT_GIVEN'] }),
  sound(
    'parts of other names',
    renamed((number) => `super.img_sparsechunk.${number}`, 0),
    {
      open: 'super.img_sparsechunk.0',
    },
  ),
  sound(
    'parts as simg2simg names them',
    renamed((number) => `system.img.${number}`, 0),
    { open: 'system.img.0' },
  ),
  sound(
    'numbers of two digits, and the name of a raw disk',
    renamed((number) => `super_${String(number).padStart(2, '0')}.img`, 0),
    {
      open: 'super_00.img',
      answer: ['W_EXTENSION'],
    },
  ),
  sound('one part alone', changed({}), { options: { parts: false }, reads: sha(only(0, 15)) }),
  sound('one part, others are not there', changed({}, 'super_2.simg', 'super_3.simg'), { reads: sha(only(0, 15)) }),
  sound('a number that is of something else', changed({ 'super_4.simg': content }), { answer: ['W_PART_OTHER'] }),
  refused('a part is missing in the middle', 'E_PART_MISSING', changed({}, 'super_2.simg')),
  refused('the first part is missing', 'E_PART_MISSING', changed({}, 'super_1.simg'), { open: 'super_2.simg' }),
  refused(
    'a part of another disk',
    'E_MAP',
    changed({ 'super_2.simg': androidSparseImage(content.subarray(0, 20 * block)) }),
  ),
  refused('a part of other blocks', 'E_MAP', changed({ 'super_2.simg': androidSparseImage(only(15, 31), 8192) })),
  refused('two parts hold the same', 'E_OVERLAP', changed({ 'super_2.simg': part(10, 31) })),
  refused('one part twice', 'E_OVERLAP', changed({ 'super_2.simg': part(0, 15) })),
  refused('a part that is cut off', 'E_TRUNCATED', changed({ 'super_2.simg': part(15, 31).subarray(0, 5000) })),
  sound('a part that is a link', changed({}, 'super_2.simg'), {
    prepare: (folder) => {
      fs.writeFileSync(join(folder, 'elsewhere'), three['super_2.simg'])
      fs.symlinkSync('elsewhere', join(folder, 'super_2.simg'))
    },
  }),
  refused('two parts that are one file', 'E_REFERENCE_LOOP', changed({}, 'super_2.simg'), {
    prepare: (folder) => fs.linkSync(join(folder, 'super_1.simg'), join(folder, 'super_2.simg')),
  }),
  sound('checksums, empty chunks counted as zeros', () => ({ 'super_1.simg': sums })),
  sound('checksums, empty chunks left out', () => ({
    'super_1.simg': androidSparseImage(content, block, 0, 'without'),
  })),
  sound(
    'a checksum that is wrong',
    () => {
      const bytes = Buffer.from(sums)
      const at = bytes.lastIndexOf(Buffer.from([0xc4, 0xca, 0, 0]))
      bytes.writeUInt8(bytes.readUInt8(at + 12) ^ 1, at + 12)
      return { 'super_1.simg': bytes }
    },
    { answer: ['E_CHECKSUM'] },
  ),
  sound(
    'a byte that is wrong',
    () => {
      const bytes = Buffer.from(sums)
      bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
      return { 'super_1.simg': bytes }
    },
    {
      answer: ['E_CHECKSUM'],
      reads: sha(
        Buffer.concat([content.subarray(0, 60), Buffer.from([content.readUInt8(60) ^ 1]), content.subarray(61)]),
      ),
    },
  ),
  sound('checksums in every part', () => ({
    'super_1.simg': androidSparseImage(only(0, 15), block, 0, 'zeros'),
    'super_2.simg': androidSparseImage(only(15, 40), block, 0, 'without'),
  })),
]

const recipe = { content, chunkSectors: 16, types: [dmgType.zlib, dmgType.raw] }
const segments = dmgSegments(recipe, 'x', [3000, 3001])
const edited = (name: string, change: (koly: Buffer) => void) => (): FolderFiles => {
  const bytes = Buffer.from(segments[name] ?? '')
  change(bytes.subarray(bytes.length - 512))
  return { ...segments, [name]: bytes }
}
const first = { open: 'x.dmg' }

const apple: readonly DamagedFolder[] = [
  sound('three segments', () => segments, first),
  sound('the second segment given', () => segments, { open: 'x.002.dmgpart', answer: ['W_EXTENT_GIVEN'] }),
  sound(
    'the list in the last segment',
    () => {
      const [start, middle, end] = ['x.dmg', 'x.002.dmgpart', 'x.003.dmgpart'].map(
        (name) => segments[name] ?? Buffer.alloc(0),
      ) as [Buffer, Buffer, Buffer]
      const list = start.subarray(3000, start.length - 512)
      const one = Buffer.concat([start.subarray(0, 3000), start.subarray(start.length - 512)])
      const three = Buffer.concat([end.subarray(0, end.length - 512), list, end.subarray(end.length - 512)])
      one.fill(0, one.length - 512 + 216, one.length - 512 + 232)
      three.writeBigUInt64BE(BigInt(end.length - 512), three.length - 512 + 216)
      three.writeBigUInt64BE(BigInt(list.length), three.length - 512 + 224)
      return { 'x.dmg': one, 'x.002.dmgpart': middle, 'x.003.dmgpart': three }
    },
    first,
  ),
  refused(
    'a segment is missing',
    'E_PART_MISSING',
    () => ({ 'x.dmg': segments['x.dmg'] ?? '', 'x.003.dmgpart': segments['x.003.dmgpart'] ?? '' }),
    first,
  ),
  refused(
    'a segment of another image',
    'E_PART_MISSING',
    edited('x.002.dmgpart', (koly) => koly.fill(1, 64, 80)),
    first,
  ),
  refused(
    "two segments in each other's place",
    'E_PART_MISSING',
    () => ({
      ...segments,
      'x.002.dmgpart': segments['x.003.dmgpart'] ?? '',
      'x.003.dmgpart': segments['x.002.dmgpart'] ?? '',
    }),
    first,
  ),
  refused(
    'a segment of another number',
    'E_PART_MISSING',
    edited('x.003.dmgpart', (koly) => koly.writeUInt32BE(4, 56)),
    first,
  ),
  refused(
    'another count',
    'E_PART_MISSING',
    edited('x.003.dmgpart', (koly) => koly.writeUInt32BE(4, 60)),
    first,
  ),
  refused(
    'data that do not follow',
    'E_MAP',
    edited('x.003.dmgpart', (koly) => koly.writeBigUInt64BE(3002n, 16)),
    first,
  ),
  refused(
    'data past the end of a segment',
    'E_TRUNCATED',
    edited('x.002.dmgpart', (koly) => koly.writeBigUInt64BE(3000n, 32)),
    first,
  ),
  refused(
    'no list in any segment',
    'E_PLIST',
    edited('x.dmg', (koly) => koly.fill(0, 216, 232)),
    first,
  ),
  refused('a segment that is none', 'E_NOT_DMG', () => ({ ...segments, 'x.002.dmgpart': Buffer.alloc(700) }), first),
  refused('a segment of another name', 'E_PART_MISSING', () => ({ ...segments, 'y.dmg': segments['x.dmg'] ?? '' }), {
    open: 'y.dmg',
  }),
]

testDamagedFolders('android', android)
testDamagedFolders('dmg', apple)

test('simg2img makes the same of three parts', (t) => {
  if (!have(t, 'simg2img')) return
  const folder = diskFolder(testFolder(t), 'parts', three)
  run('simg2img', ...Object.keys(three).map((name) => join(folder, name)), join(folder, 'disk'))
  assert.equal(sha(fs.readFileSync(join(folder, 'disk'))), whole)
})

test('segments and parts are converted, and none of them can be the target', async (t) => {
  const parent = testFolder(t)
  for (const [files, name, other] of [
    [segments, 'x.dmg', 'x.003.dmgpart'],
    [three, 'super_1.simg', 'super_3.simg'],
  ] as const) {
    const folder = diskFolder(parent, `of ${name}`, files)
    await convert(join(folder, name), join(folder, 'disk.qcow2'), { verify: true })
    using image = await openImage(join(folder, 'disk.qcow2'))
    assert.equal(image.capacity, content.length)
    await assert.rejects(convert(join(folder, name), join(folder, other), { to: 'raw', force: true }), {
      kind: 'refused',
    })
  }
})
