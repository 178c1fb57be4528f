import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sparseBundle, sparseBundleInfo, sparseImage } from '../../fixtures/spec-writer/bundles.js'
import { convert, openImage } from '../../src/index.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { sparseimage } from '../../src/formats/sparseimage/index.js'
import { diskLike, readAll } from '../support/content.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import { testDamagedFolders, type DamagedFolder } from '../support/damaged-folders.js'
import { diskFolder, type FolderFiles } from '../support/disk-folder.js'
import { openContext } from '../support/drivers.js'
import { testFolder } from '../support/folder.js'
import { guestSha256 } from '../support/guest-hash.js'

const band = 65536
/** Bands 0, 1, 2 and 4 hold something; 6 is half a band. */
const content = Buffer.alloc(6 * band + 32768)
for (const index of [0, 1, 2, 4]) content.set(diskLike(band, index + 1), index * band)
content.set(diskLike(32768, 7), 6 * band)
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const whole = sha(content)

/** The content with a range of zeros. */
function without(start: number, length: number): string {
  const bytes = Buffer.from(content)
  bytes.fill(0, start, start + length)
  return sha(bytes)
}

const files = sparseBundle(content, band)
const changed =
  (more: FolderFiles, ...gone: string[]) =>
  (): FolderFiles =>
    Object.fromEntries(Object.entries({ ...files, ...more }).filter(([name]) => !gone.includes(name)))
const info = (...given: Parameters<typeof sparseBundleInfo>): (() => FolderFiles) =>
  changed({ 'Info.plist': sparseBundleInfo(...given) })
const edited = (from: string, to: string): (() => FolderFiles) => {
  const text = sparseBundleInfo(content.length, band)
  assert.ok(text.includes(from))
  return changed({ 'Info.plist': text.replace(from, to) })
}
const sound = (what: string, make: () => FolderFiles, rest: Partial<DamagedFolder> = {}): DamagedFolder => ({
  what,
  files: make,
  answer: [],
  reads: whole,
  ...rest,
})
const refused = (
  what: string,
  code: string,
  make: () => FolderFiles,
  rest: Partial<DamagedFolder> = {},
): DamagedFolder => ({
  what,
  files: make,
  answer: code,
  ...rest,
})

testDamagedFolders('damaged.sparsebundle', [
  sound('sound', changed({})),
  sound('opened by its Info.plist', changed({}), { open: 'Info.plist' }),
  sound('a copy of Info.plist alone', changed({}, 'Info.plist'), { answer: ['W_INFO_COPY_USED'] }),
  sound('a band less', changed({}, 'bands/1'), { reads: without(band, band) }),
  sound(
    'no bands',
    changed(
      Object.fromEntries([['bands/.keep', '']]),
      ...Object.keys(files).filter((name) => name.startsWith('bands/')),
    ),
    {
      reads: without(0, content.length),
    },
  ),
  sound('a band that is cut short', changed({ 'bands/2': files['bands/2']!.subarray(0, 1000) }), {
    reads: without(2 * band + 1000, band - 1000),
  }),
  sound('a band of no bytes', changed({ 'bands/2': '' }), { reads: without(2 * band, band) }),
  sound('other files among the bands', changed({ 'bands/.DS_Store': 'x', 'bands/._1': 'x', 'bands/read me': 'x' })),
  sound('a band behind the end of the disk', changed({ 'bands/7': 'x' }), { answer: ['W_BAND_BEYOND'] }),
  sound('an empty token', changed({ token: '' })),
  sound('no token', changed({}, 'token')),
  sound('further keys', info(content.length, band, '<key>other</key><array><true/></array>')),
  refused('encrypted', 'E_ENCRYPTED', changed({ token: 'encrcdsa' })),
  refused('no Info.plist at all', 'E_NOT_A_FILE', changed({}, 'Info.plist', 'Info.bckup')),
  refused(
    'no folder of bands',
    'E_REFERENCE_MISSING',
    changed({}, ...Object.keys(files).filter((name) => name.startsWith('bands/'))),
    {
      open: 'Info.plist',
    },
  ),
  refused('an Info.plist of no bytes', 'E_PLIST', changed({ 'Info.plist': '' })),
  refused(
    'an Info.plist that is cut off',
    'E_PLIST',
    changed({ 'Info.plist': sparseBundleInfo(1, 512).slice(0, 200) }),
  ),
  refused(
    'an Info.plist of 2 MiB',
    'E_TOO_LARGE',
    changed({ 'Info.plist': sparseBundleInfo(1, 512) + ' '.repeat(2 ** 21) }),
  ),
  refused('entities that grow', 'E_PLIST', edited('<dict>', '<dict>&lol9;')),
  refused('a bundle of another type', 'E_TYPE', edited('diskimage.sparsebundle', 'diskimage.other')),
  refused('version 2', 'E_VERSION', edited('<integer>1</integer>', '<integer>2</integer>')),
  refused('bands of 0 bytes', 'E_HEADER', info(content.length, 0)),
  refused('bands of −1 bytes', 'E_HEADER', info(content.length, -1)),
  refused('bands of 2^50 bytes', 'E_TOO_LARGE', info(content.length, 2 ** 50)),
  refused('bands of half a byte', 'E_HEADER', edited('<integer>65536</integer>', '<real>1000.5</real>')),
  refused('a size of 2^70', 'E_HEADER', info(String(2n ** 70n), band)),
  refused('a size that is text', 'E_HEADER', edited(`<integer>${content.length}</integer>`, '<string>big</string>')),
  refused('no size', 'E_HEADER', edited('<key>size</key>', '<key>other</key>')),
  refused('a band that is too long', 'E_EXTENT_SIZE', changed({ 'bands/1': Buffer.alloc(band + 1) })),
  refused('a band in upper case', 'E_MAP', changed({ 'bands/A': 'x' })),
  refused('a band with a leading zero', 'E_MAP', changed({ 'bands/01': 'x' })),
  refused('a band of 30 digits', 'E_MAP', changed({ [`bands/${'f'.repeat(30)}`]: 'x' })),
  refused('a band that is a link out of the folder', 'E_REFERENCE_NOT_ALLOWED', changed({}, 'bands/1'), {
    prepare: (folder) => fs.symlinkSync('/etc/passwd', join(folder, 'bands/1')),
  }),
  refused('a band that is a folder', 'E_REFERENCE_NOT_ALLOWED', changed({ 'bands/3/x': '' })),
  refused('a folder of bands that is a link', 'E_REFERENCE_NOT_ALLOWED', changed({}), {
    prepare: (folder) => {
      fs.renameSync(join(folder, 'bands'), join(folder, 'moved'))
      fs.symlinkSync('moved', join(folder, 'bands'))
    },
  }),
  refused('an Info.plist that is a link', 'E_UNSUPPORTED_FORMAT', changed({}), {
    prepare: (folder) => {
      fs.rmSync(join(folder, 'Info.plist'))
      fs.symlinkSync('Info.bckup', join(folder, 'Info.plist'))
    },
  }),
])

test('a disk of more bands than are held open is read, forwards and backwards', async (t) => {
  const disk = diskLike(300 * 512, 9)
  const folder = diskFolder(testFolder(t), 'many.sparsebundle', sparseBundle(Buffer.from(disk), 512))
  using image = await openImage(folder)
  assert.equal(guestSha256(image), sha(disk))
  for (let offset = disk.length - 512; offset >= 0; offset -= 512) {
    assert.ok(Buffer.from(image.read(offset, 512)).equals(disk.subarray(offset, offset + 512)))
  }
})

test('a sparse bundle is converted; none of its bands can be the target', async (t) => {
  const parent = testFolder(t)
  const folder = diskFolder(parent, 'disk.sparsebundle', files)
  const target = join(parent, 'disk.raw')
  await convert(folder, target, { verify: true })
  assert.equal(sha(fs.readFileSync(target)), whole)
  for (const file of ['Info.plist', 'bands/4'])
    await assert.rejects(convert(folder, join(folder, file), { to: 'raw', force: true }), { kind: 'refused' })
  using image = await openImage(folder)
  assert.equal(guestSha256(image), whole)
})

class Bytes {
  bytes = sparseImage(content, band / 512)
  u32(position: number, value: number): this {
    this.bytes.writeUInt32BE(value, position)
    return this
  }
  cut(length: number): this {
    this.bytes = this.bytes.subarray(0, length)
    return this
  }
}

type Change = (file: Bytes) => Bytes
const image = (what: string, answer: Damaged['answer'], change: Change): Damaged => ({
  what,
  make: () => new MemoryStore(change(new Bytes()).bytes, 'damaged.sparseimage'),
  answer,
})
/** Bands 6, 4, 2, 1, 0 are in slots 0 to 4. */
const slot = (index: number): number => 64 + index * 4
const node = (file: Bytes, at: number, next = 0, mark = 'sprs'): Bytes => {
  const bytes = Buffer.alloc(4096)
  bytes.write(mark)
  bytes.writeUInt32BE(next, 16)
  file.bytes = Buffer.concat([file.bytes, bytes])
  return file.u32(24, at)
}
const end = 4096 + 5 * band

testDamaged(sparseimage, [
  image('sound', [], (file) => file),
  image('a header that is cut off', 'refused E_TRUNCATED', (file) => file.cut(4095)),
  image('64 bytes', 'refused E_TRUNCATED', (file) => file.cut(64)),
  image('another mark', 'refused E_HEADER', (file) => file.u32(0, 0x73707274)),
  image('version 2', 'refused E_VERSION', (file) => file.u32(4, 2)),
  image('version 4', 'refused E_VERSION', (file) => file.u32(4, 4)),
  image('bands of 0 sectors', 'refused E_HEADER', (file) => file.u32(8, 0)),
  image('bands of 2^31 sectors', 'refused E_HEADER', (file) => file.u32(8, 2 ** 31)),
  image('bands of 2^32-1 sectors', 'refused E_HEADER', (file) => file.u32(8, 2 ** 32 - 1)),
  image('unknown flags', [], (file) => file.u32(12, 0xffffffff)),
  image('two sizes', 'refused E_HEADER', (file) => file.u32(16, 7)),
  image('the short size alone', [], (file) => file.u32(32, 0)),
  image('a disk of 2^60 sectors', 'refused E_TOO_LARGE', (file) => file.u32(28, 2 ** 28)),
  image('a disk of 2^63 sectors', 'refused E_TOO_LARGE', (file) => file.u32(28, 2 ** 31)),
  image('a disk that ends before its bands', 'refused E_MAP', (file) => file.u32(16, 128).u32(32, 128)),
  image('an empty disk', 'refused E_MAP', (file) => file.u32(16, 0).u32(32, 0)),
  image('a slot of a band behind the end', 'refused E_MAP', (file) => file.u32(slot(1), 8)),
  image('a slot of 2^32-1', 'refused E_MAP', (file) => file.u32(slot(1), 0xffffffff)),
  image('a slot of 2^31', 'refused E_MAP', (file) => file.u32(slot(1007), 2 ** 31)),
  image('a band in two slots', ['E_OVERLAP'], (file) => file.u32(slot(1), 7)),
  image('a band in three slots', ['E_OVERLAP'], (file) => file.u32(slot(1), 7).u32(slot(2), 7)),
  image('all bands in two slots', ['E_OVERLAP', 'E_OVERLAP', 'E_OVERLAP', 'E_OVERLAP', 'E_OVERLAP'], (file) => {
    for (const [index, band] of [6, 4, 2, 1, 0].entries()) file.u32(slot(index + 5), band + 1)
    return file
  }),
  image('a slot that is not used, in the middle', [], (file) => file.u32(slot(2), 0)),
  image('a slot behind the end of the file', ['E_TRUNCATED'], (file) => file.u32(slot(900), 6)),
  image('a slot behind an empty one', ['E_TRUNCATED'], (file) => file.u32(slot(6), 6)),
  image('a byte short', ['E_TRUNCATED'], (file) => file.cut(end - 1)),
  image('a band short', ['E_TRUNCATED'], (file) => file.cut(end - band)),
  image('no bands', ['E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED'], (file) =>
    file.cut(4096),
  ),
  image('half of a band', ['E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED'], (file) => file.cut(4096 + 2 * band + 32768)),
  image('rubbish behind the end', [], (file) => {
    file.bytes = Buffer.concat([file.bytes, Buffer.alloc(700, 1)])
    return file
  }),
  image('a second node without bands', [], (file) => node(file, end)),
  image('a next node that is the first', 'refused E_MAP', (file) => file.u32(24, 1)),
  image('a next node inside the first', 'refused E_MAP', (file) => file.u32(24, 4095)),
  image('a next node inside the bands', 'refused E_MAP', (file) => file.u32(24, end - 4096)),
  image('a next node behind the end', 'refused E_TRUNCATED', (file) => file.u32(24, end)),
  image('a next node beyond every file', 'refused E_TOO_LARGE', (file) => file.u32(20, 2 ** 31)),
  image('a next node without a mark', 'refused E_MAP', (file) => node(file, end, 0, 'none')),
  image('a second node that leads to the first', 'refused E_MAP', (file) => node(file, end, 4096)),
  image('a second node that leads to itself', 'refused E_MAP', (file) => node(file, end, end)),
  image('a second node that leads behind the end', 'refused E_TRUNCATED', (file) => node(file, end, end + 4096)),
  image('a second node whose band is not there', ['E_TRUNCATED'], (file) => node(file, end).u32(end + 56, 6)),
  image('a second node with a band of the first', ['E_OVERLAP'], (file) => node(file, end).u32(end + 56, 7)),
])

test('sparseimage: bands are where their slots say, in two nodes', () => {
  const disk = Buffer.from(diskLike(1100 * 512, 3).map((byte) => byte | 1))
  const file = new MemoryStore(sparseImage(disk, 1), 'two-nodes')
  assert.ok(Buffer.from(readAll(sparseimage.open(file, openContext))).equals(disk))
})
