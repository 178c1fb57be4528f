import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noise } from '../../fixtures/content.js'
import { ffuEntries, ffuImage, type FfuDisk, type FfuOptions } from '../../fixtures/spec-writer/ffu.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError } from '../../src/errors.js'
import { ffu } from '../../src/formats/ffu/index.js'
import { Random } from '../fuzz/random.js'
import { readAll, sha256 } from '../support/content.js'
import { testDamagedFolders, type DamagedFolder } from '../support/damaged-folders.js'
import { openContext } from '../support/drivers.js'

const block = 4096
/** Blocks 0 to 3, 8, 9 and 19 of 20 are stored. */
const content = Buffer.alloc(20 * block)
for (const index of [0, 1, 2, 3, 8, 9, 19]) content.set(noise(index + 1, block), index * block)
const right = sha256(content)
const entries = ffuEntries(content, block)
const disk: FfuDisk = { capacity: content.length, entries }
const other: FfuDisk = { capacity: 4 * block, entries: ffuEntries(noise(40, 4 * block), block) }

const pieces = (index: number): Buffer => content.subarray(index * block, (index + 1) * block)

const made = (
  what: string,
  answer: DamagedFolder['answer'],
  disks: readonly FfuDisk[] = [disk],
  options: FfuOptions = {},
  change: (file: Buffer) => Buffer | undefined = () => undefined,
  says?: RegExp,
): DamagedFolder => ({
  what,
  files: () => {
    const file = ffuImage(disks, options)
    return { 'disk.ffu': change(file) ?? file }
  },
  open: 'disk.ffu',
  answer,
  reads: typeof answer === 'string' || answer.length === 0 ? right : (answer[0] ?? ''),
  says,
})
const fine = (what: string, disks?: readonly FfuDisk[], options?: FfuOptions): DamagedFolder =>
  made(what, [], disks, options)
const file = (
  what: string,
  answer: DamagedFolder['answer'],
  change: (file: Buffer) => Buffer | undefined,
): DamagedFolder => made(what, answer, [disk], {}, change)
/** With the header of the store changed, and its hash right. */
const store = (
  what: string,
  answer: DamagedFolder['answer'],
  change: (header: Buffer) => void,
  options: FfuOptions = {},
  says?: RegExp,
): DamagedFolder =>
  made(
    what,
    answer,
    [disk],
    {
      ...options,
      store: (header) => {
        change(header)
        return header
      },
    },
    undefined,
    says,
  )
const flip =
  (position: number) =>
  (bytes: Buffer): undefined => {
    const at = position < 0 ? bytes.length + position : position
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  }
const u32 =
  (position: number, value: number) =>
  (bytes: Buffer): undefined => {
    bytes.writeUInt32LE(value, position)
  }
const u16 =
  (position: number, value: number) =>
  (bytes: Buffer): undefined => {
    bytes.writeUInt16LE(value, position)
  }
const v2: FfuOptions = { version: 2 }

const cases: readonly DamagedFolder[] = [
  fine('sound'),
  fine('sound, version 2', [disk], v2),
  fine('sound, chunks larger than blocks', [disk], { chunkSize: 16384 }),
  fine('sound, blocks larger than chunks', [{ ...disk, entries: ffuEntries(content, 8192) }], { blockSize: 8192 }),
  fine('sound, SHA-1', [disk], { algorithm: 'sha1' }),
  fine('several blocks of one entry', [
    { ...disk, entries: [{ blocks: [0, 1, 2, 3].map(pieces), places: [{ block: 0 }] }, ...entries.slice(4)] },
  ]),
  fine('the last block counted from the end', [
    { ...disk, entries: [...entries.slice(0, -1), { blocks: [pieces(19)], places: [{ fromEnd: true, block: 0 }] }] },
  ]),
  fine('a place that is written twice: the later counts', [
    { ...disk, entries: [{ blocks: [noise(99, block)], places: [{ block: 0 }, { block: 8 }] }, ...entries] },
  ]),
  fine('an entry without a place', [{ ...disk, entries: [{ blocks: [noise(98, block)], places: [] }, ...entries] }]),
  fine('blocks backwards', [{ ...disk, entries: [...entries].reverse() }]),
  made('a manifest that does not say how large the disk is', ['W_CAPACITY'], [disk], { manifest: '[FullFlash]\n' }),
  made('two disks, none chosen', 'E_WHICH_MEMBER', [disk, other], v2),
  { ...made('two disks, the first chosen', [], [disk, other], v2), open: 'disk.ffu@disk=store1' },
  { ...made('a disk that is not there', 'E_NO_MEMBER', [disk, other], v2), open: 'disk.ffu@disk=store3' },
  file('31 bytes', 'E_TRUNCATED', (bytes) => bytes.subarray(0, 31)),
  file('cut in the hashes', 'E_TRUNCATED', (bytes) => bytes.subarray(0, 200)),
  file('cut behind the hashes', 'E_TRUNCATED', (bytes) => bytes.subarray(0, 4096)),
  file('cut in the manifest', 'E_CHECKSUM', (bytes) => bytes.subarray(0, 4096 + 100)),
  file('cut before the store', 'E_TRUNCATED', (bytes) => bytes.subarray(0, 8192)),
  file('cut in the blocks', 'E_TRUNCATED', (bytes) => bytes.subarray(0, -block)),
  file('the last byte is missing', 'E_TRUNCATED', (bytes) => bytes.subarray(0, -1)),
  file('a header of 33 bytes', 'E_HEADER', u32(0, 33)),
  file('chunks of 0 KiB', 'E_HEADER', u32(16, 0)),
  file('chunks of 4 TiB', 'E_HEADER', u32(16, 0xffffffff)),
  file('chunks of another size', 'E_HEADER', u32(16, 3)),
  file('hashes of an unknown kind', 'E_UNSUPPORTED_FEATURE', u32(20, 0x8003)),
  file('a catalog of 4 GiB', 'E_TRUNCATED', u32(24, 0xffffffff)),
  file('a catalog of other length', 'E_CHECKSUM', u32(24, 20)),
  file('no hashes', 'E_HEADER', u32(28, 0)),
  file('too few hashes', 'E_HEADER', u32(28, 64)),
  file('a damaged hash of the manifest', 'E_CHECKSUM', flip(61)),
  file('a damaged hash of a block', ['E_CHECKSUM'], flip(60 + 2 * 32 + 3)),
  file('a damaged manifest', 'E_CHECKSUM', flip(4096 + 30)),
  file('a damaged header of the store', 'E_CHECKSUM', flip(8192 + 10)),
  file('a damaged descriptor', 'E_CHECKSUM', flip(8192 + 250)),
  file('a damaged block', ['E_CHECKSUM'], flip(-100)),
  file('two blocks swapped', ['E_CHECKSUM'], (bytes) =>
    Buffer.concat([bytes.subarray(0, -2 * block), bytes.subarray(-block), bytes.subarray(-2 * block, -block)]),
  ),
  made('no image header', 'E_HEADER', [disk], { body: (body) => (body.write('ImageFlush  ', 4), body) }),
  made('an image header of 25 bytes', 'E_HEADER', [disk], { body: (body) => (body.writeUInt32LE(25, 0), body) }),
  made('a manifest of 4 GiB', 'E_HEADER', [disk], { body: (body) => (body.writeUInt32LE(0xffffffff, 16), body) }),
  made('a manifest with a disk of no size', 'E_MAP', [disk], { manifest: '[Store]\nMinSectorCount = 8\n' }),
  made('a manifest with a size that is no number', ['W_CAPACITY'], [disk], {
    manifest: '[Store]\nMinSectorCount = x\n',
  }),
  store('a compressed image of DISM', 'E_UNSUPPORTED_FEATURE', u16(8, 3), {}, /DISM|compressed/),
  store('version 3', 'E_VERSION', u16(4, 3)),
  store('version 1 of another kind', 'E_VERSION', u16(8, 1)),
  store('a partial update', 'E_UNSUPPORTED_FEATURE', u32(0, 1), {}, /update of parts/),
  store('blocks of 0 bytes', 'E_HEADER', u32(204, 0)),
  store('blocks of 1000 bytes', 'E_HEADER', u32(204, 1000)),
  store('blocks of 2 GiB', 'E_HEADER', u32(204, 0x80000000)),
  store('larger blocks than are stored', 'E_TRUNCATED', u32(204, 65536)),
  store('more descriptors than bytes', 'E_MAP', u32(208, 100)),
  store('fewer descriptors than bytes', 'E_MAP', u32(208, 2)),
  store('4 GiB of descriptors', 'E_HEADER', u32(212, 0xffffffff)),
  store('descriptors behind the end', 'E_TRUNCATED', u32(212, 0x0fffffff)),
  store('validation entries behind the end', 'E_TRUNCATED', u32(220, 0x7fffffff)),
  store('a descriptor with 2^32-1 places', 'E_MAP', u32(248, 0xffffffff)),
  store('a descriptor with 2^32-1 blocks', 'E_MAP', u32(252, 0xffffffff)),
  store('a block counted from the middle', 'E_MAP', u32(256, 1)),
  store('a block outside the disk', 'E_MAP', u32(260, 20)),
  store('a block far outside the disk', 'E_MAP', u32(260, 0xfffffff0)),
  store('version 2: the second store first', 'E_HEADER', u16(250, 2), v2),
  store('version 2: no stores', 'E_HEADER', u16(248, 0), v2),
  store('version 2: 60000 stores', 'E_HEADER', u16(248, 60000), v2),
  store('version 2: another length of the payload', 'E_MAP', u32(252, 4096), v2),
  store('version 2: a device path of 128 KiB', 'E_TRUNCATED', u16(260, 65535), v2),
]
testDamagedFolders(
  'ffu',
  cases.map((item) =>
    item.what.startsWith('a manifest') && Array.isArray(item.answer) ? { ...item, reads: right } : item,
  ),
)

test('ffu: 40 damaged files', () => {
  assert.ok(cases.filter(({ answer }) => answer.length > 0).length >= 40)
})

test('ffu: 300 files with bytes changed at random are refused, or give what was put in', () => {
  const whole = ffuImage([disk])
  const random = new Random(4, 0)
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(whole)
    for (let change = 0; change < 1 + (round % 3); change++)
      bytes.writeUInt8(random.below(256), random.below(round % 2 === 0 ? 512 : bytes.length))
    try {
      using image = ffu.open(new MemoryStore(bytes, 'disk.ffu'), openContext)
      if (image.capacity === content.length) assert.equal(sha256(readAll(image)), right)
      else assert.fail(`the disk has ${image.capacity} bytes`)
    } catch (error) {
      assert.ok(isImageError(error), String(error))
    }
  }
})
