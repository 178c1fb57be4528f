import assert from 'node:assert/strict'
import { test } from 'node:test'
import { vdiImage, type VdiRecipe } from '../../fixtures/spec-writer/vdi.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { ByteStore } from '../../src/block/types.js'
import { vdi } from '../../src/formats/vdi/index.js'
import { diskLike, readAll } from '../support/content.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import { ImageBytes } from '../support/image-bytes.js'
import { openContext } from '../support/drivers.js'

const blockSize = 65536
const blocks = 6
const capacity = blocks * blockSize
/** Blocks 0, 1, 2 and 4 of the disk are stored, in descending order: as blocks 3, 2, 1 and 0 of the file. */
const content = Buffer.alloc(capacity)
for (const block of [0, 1, 2, 4]) content.set(diskLike(blockSize, block + 1), block * blockSize)
const dataAt = 1024
const uuids = { image: '11'.repeat(16), modification: '22'.repeat(16) }

class Bytes extends ImageBytes {
  constructor(recipe: Partial<VdiRecipe> = {}) {
    super(vdiImage({ capacity, blockSize, content, uuids, ...recipe }))
  }
  map(block: number, value: number): this {
    return this.u32(512 + block * 4, value)
  }
  override store(): MemoryStore {
    return super.store('damaged.vdi')
  }
}

const made = (change: (file: Bytes) => Bytes, recipe?: Partial<VdiRecipe>) => (): ByteStore =>
  change(new Bytes(recipe)).store()
const refused = (what: string, code: string, change: (file: Bytes) => Bytes, says?: RegExp): Damaged => ({
  what,
  make: made(change),
  answer: `refused ${code}`,
  says,
})
const found = (
  what: string,
  answer: readonly string[],
  change: (file: Bytes) => Bytes,
  recipe?: Partial<VdiRecipe>,
): Damaged => ({ what, make: made(change, recipe), answer })

const child = { type: 4, uuids: { ...uuids, link: '55'.repeat(16), parentModification: '66'.repeat(16) } }

const images: readonly Damaged[] = [
  found('sound', [], (file) => file),
  found('sound, version 0', [], (file) => file, { version: 0 }),
  found('sound, fixed', [], (file) => file, { type: 2, block: () => 'stored' }),
  found('sound, extra bytes', [], (file) => file, { extra: 4096 }),
  found('sound, a short header', [], (file) => file, { headerSize: 0x180 }),
  found('version 1.2', ['W_MINOR_VERSION'], (file) => file.u32(68, 0x00010002)),
  found('version 1.0', ['W_MINOR_VERSION'], (file) => file.u32(68, 0x00010000)),
  refused('version 2.0', 'E_VERSION', (file) => file.u32(68, 0x00020000), /byte 68/),
  refused('version 0.1', 'E_VERSION', (file) => file.u32(68, 1)),
  refused('no signature', 'E_NOT_VDI', (file) => file.u32(64, 0xbeda107e)),
  refused('a file of 60 bytes', 'E_NOT_VDI', (file) => file.cut(60)),
  refused('cut off within the header', 'E_TRUNCATED', (file) => file.cut(399), /456 bytes/),
  refused('cut off within the map', 'E_TRUNCATED', (file) => file.cut(520), /6 blocks/),
  refused('header size 0', 'E_HEADER', (file) => file.u32(72, 0), /byte 72/),
  refused('header size 2^32-1', 'E_HEADER', (file) => file.u32(72, 0xffffffff), /byte 72/),
  refused('image type 0', 'E_TYPE', (file) => file.u32(76, 0)),
  refused('image type 5', 'E_TYPE', (file) => file.u32(76, 5), /byte 76/),
  refused('an unknown flag', 'E_UNSUPPORTED_FEATURE', (file) => file.u32(80, 2), /byte 80/),
  found('zero-expand', [], (file) => file.u32(80, 1)),
  found('a comment without an end, not UTF-8', [], (file) => file.fill(84, 256, 0xe9)),
  refused('a map at byte 0', 'E_HEADER', (file) => file.u32(340, 0)),
  refused('a map within the header', 'E_HEADER', (file) => file.u32(340, 256)),
  refused('a map that begins no sector', 'E_HEADER', (file) => file.u32(340, 516), /byte 340/),
  refused('a map past the end', 'E_OVERLAP', (file) => file.u32(340, 0x7ffffe00)),
  refused('map and data past the end', 'E_TRUNCATED', (file) => file.u32(340, 0x7ffffe00).u32(344, 0xfffffe00)),
  refused('data that begins no sector', 'E_HEADER', (file) => file.u32(344, 1025), /byte 344/),
  refused('data before the end of the map', 'E_OVERLAP', (file) => file.u32(344, 512)),
  found('data that begins behind the end', ['E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED'], (file) =>
    file.u32(344, 0xfffffe00),
  ),
  found('a geometry of rubbish', [], (file) => file.fill(348, 12, 0xff)),
  found('sector size 0', [], (file) => file.u32(360, 0)),
  refused('sector size 4096', 'E_HEADER', (file) => file.u32(360, 4096), /4096.*byte 360/),
  found('a logical geometry without sector size', ['W_GEOMETRY'], (file) => file.u32(468, 0)),
  refused('a disk of no bytes', 'E_DISK_SIZE', (file) => file.u64(368, 0n)),
  refused('a disk larger than its blocks', 'E_DISK_SIZE', (file) => file.u64(368, BigInt(capacity) + 1n), /byte 384/),
  refused('a disk of 2^64-1 bytes', 'E_TOO_LARGE', (file) => file.u64(368, 2n ** 64n - 1n)),
  found('a disk that ends in a sector', ['W_SIZE_NOT_SECTORS'], (file) => file.u64(368, BigInt(capacity) - 100n)),
  found('a disk with more blocks than it needs', ['L_BLOCK_BEYOND_DISK', 'W_BLOCKS'], (file) =>
    file.u64(368, BigInt(3 * blockSize)),
  ),
  refused('block size 0', 'E_BLOCK_SIZE', (file) => file.u32(376, 0)),
  refused('block size 64 KiB + 1', 'E_BLOCK_SIZE', (file) => file.u32(376, blockSize + 1)),
  refused('block size 256', 'E_BLOCK_SIZE', (file) => file.u32(376, 256)),
  found(
    'block size 2 GiB',
    ['E_TRUNCATED', 'L_BLOCK_BEYOND_DISK', 'L_BLOCK_BEYOND_DISK', 'L_BLOCK_BEYOND_DISK', 'W_BLOCKS'],
    (file) => file.u32(376, 2 ** 31),
  ),
  refused('3 extra bytes', 'E_HEADER', (file) => file.u32(380, 3), /byte 380/),
  found('extra bytes that are not there', ['E_TRUNCATED'], (file) => file.u32(380, 512)),
  refused('2^30 blocks in a small file', 'E_OVERLAP', (file) => file.u32(384, 2 ** 30)),
  refused('2^30 blocks, and data far away', 'E_TRUNCATED', (file) => file.u32(384, 2 ** 29).u32(344, 0xfffffe00)),
  found('one block less is counted', ['E_MAP'], (file) => file.u32(388, 3)),
  found('one block more is counted', ['W_BLOCKS_ALLOCATED'], (file) => file.u32(388, 5)),
  found('more blocks are counted than the disk has', ['W_BLOCKS_ALLOCATED'], (file) => file.u32(388, 0xffffffff)),
  found('a map entry past the count', ['E_MAP'], (file) => file.map(3, 4)),
  found('a map entry far past the end', ['E_MAP'], (file) => file.map(3, 0xfffffffd)),
  found('a map entry past the end that is counted', ['E_TRUNCATED'], (file) => file.map(3, 9).u32(388, 10)),
  found('two entries with one block', ['E_OVERLAP'], (file) => file.map(3, 1)),
  found('all entries with one block', ['E_OVERLAP'], (file) => file.fill(512, blocks * 4, 0)),
  found('a block that no entry names', ['L_UNREFERENCED', 'W_BLOCKS_ALLOCATED'], (file) => file.map(2, 0xffffffff)),
  found('the last block that no entry names', ['L_UNREFERENCED', 'W_BLOCKS_ALLOCATED'], (file) =>
    file.map(0, 0xfffffffe),
  ),
  found('cut off within the last block', ['E_TRUNCATED'], (file) => file.cut(dataAt + 4 * blockSize - 1)),
  found('cut off before the first block', ['E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED'], (file) =>
    file.cut(dataAt),
  ),
  found('cut off behind the end of the disk', ['W_BLOCKS'], (file) =>
    file.u64(368, BigInt(capacity) - BigInt(blockSize) - 512n).cut(dataAt + 4 * blockSize),
  ),
  found('rubbish behind the last block', ['L_UNREFERENCED'], (file) => file.add(blockSize, 0xdd)),
  found('a little rubbish behind the last block', [], (file) => file.add(100, 0xdd)),
  found('an image UUID of zeros', ['W_UUID_ZERO'], (file) => file.fill(392, 16, 0)),
  found('a modification UUID of zeros', ['W_MODIFICATION_UUID_ZERO'], (file) => file.fill(408, 16, 0)),
  found('a parent of an image that has none', ['W_PARENT_UNUSED'], (file) => file.fill(424, 16, 0x55)),
  found('a child', [], (file) => file, child),
  found('an undo image', [], (file) => file, { ...child, type: 3 }),
  found('a child without a parent', ['E_PARENT_ID'], (file) => file.fill(424, 16, 0), child),
  found('a child of itself', ['E_PARENT_ID'], (file) => file.fill(424, 16, 0x11), child),
  {
    what: 'a disk of 2^53-1 bytes in a vast hole',
    make: () => {
      const store = new Bytes()
        .u64(368, 2n ** 51n)
        .u32(376, 2 ** 31)
        .u32(384, 2 ** 20)
        .u32(340, 0x00400000)
        .u32(344, 0x00800000)
        .store()
      store.truncate(2 ** 45)
      return store
    },
    answer: ['E_OVERLAP'],
  },
]

testDamaged(vdi, images)

test('damage is met when it is read, never zeros or other bytes in its place', () => {
  const cases: readonly (readonly [string, (file: Bytes) => Bytes, number])[] = [
    ['E_MAP', (file) => file.map(3, 4), 3],
    ['E_OVERLAP', (file) => file.map(3, 1), 3],
    ['E_TRUNCATED', (file) => file.map(3, 9).u32(388, 10), 3],
    ['E_TRUNCATED', (file) => file.cut(dataAt + 4 * blockSize - 1), 0],
  ]
  for (const [code, change, block] of cases) {
    const image = vdi.open(change(new Bytes()).store(), openContext)
    assert.throws(() => readAll(image), { code, kind: 'corrupt' })
    const alone = vdi.open(change(new Bytes()).store(), openContext)
    const target = new Uint8Array(blockSize)
    if (code !== 'E_OVERLAP') assert.throws(() => alone.read(block * blockSize, target), { code })
    // What is whole is read.
    alone.read(4 * blockSize, target)
    assert.ok(Buffer.from(target).equals(content.subarray(4 * blockSize, 5 * blockSize)))
  }
})

test('an image whose map is damaged is not changed', () => {
  for (const change of [
    (file: Bytes): Bytes => file.map(3, 4),
    (file: Bytes): Bytes => file.map(3, 1),
    (file: Bytes): Bytes => file.cut(dataAt + 4 * blockSize - 1),
  ])
    assert.throws(() => vdi.openWritable!(change(new Bytes()).store(), openContext), { kind: 'corrupt' })
  for (const recipe of [{ version: 0 as const }, { extra: 256 }])
    assert.throws(() => vdi.openWritable!(new Bytes(recipe).store(), openContext), { code: 'E_NOT_WRITABLE' })
})

test('the count of blocks is mended where the map proves it, and nothing else is', () => {
  const mended = (file: Bytes): readonly [string[], Uint8Array] => {
    const store = file.store()
    const actions = [...vdi.repair!(store, openContext)].flatMap((item) => ('code' in item ? [item.code] : []))
    return [actions, store.contents()]
  }
  for (const [code, file] of [
    ['E_MAP', new Bytes().u32(388, 2)],
    ['W_BLOCKS_ALLOCATED', new Bytes().u32(388, 6)],
    ['W_BLOCKS_ALLOCATED', new Bytes({ version: 0 }).u32(368, 6)],
  ] as const) {
    const [actions, bytes] = mended(file)
    assert.deepEqual(actions, [code])
    const image = vdi.open(new MemoryStore(bytes), openContext)
    assert.deepEqual(
      [...image.check!()].filter((item) => 'severity' in item),
      [],
    )
    assert.ok(Buffer.from(readAll(image)).equals(content))
  }
  for (const file of [
    new Bytes(),
    new Bytes().map(3, 1).u32(388, 2),
    new Bytes().map(3, 9),
    new Bytes().cut(dataAt + 3 * blockSize).u32(388, 2),
  ]) {
    const before = Buffer.from(file.bytes)
    const [actions, bytes] = mended(file)
    assert.deepEqual(actions, [])
    assert.ok(before.equals(bytes))
  }
})
