import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemoryStore } from '../../../src/block/memory-store.js'
import { OverlaySource } from '../../../src/block/overlay.js'
import { isImageError } from '../../../src/errors.js'
import type { Certainty, DiskImage, OptionValues } from '../../../src/formats/driver.js'
import { vhd } from '../../../src/formats/vhd/index.js'
import { diskLike, readAll } from '../../support/content.js'
import { openContext } from '../../support/drivers.js'
import { assemble, block512K, dynamicVhd, footerBytes, idBytes, type DynamicParts } from '../../support/vhd-bytes.js'

const open = (store: MemoryStore, options: OptionValues = {}): DiskImage => vhd.open(store, { ...openContext, options })
const codes = (image: DiskImage): string[] => image.notes.map(({ code }) => code)
const throwsCode = (code: string, call: () => unknown, ...words: string[]): void => {
  assert.throws(call, (error) => {
    assert.ok(isImageError(error), String(error))
    assert.equal(error.code, code, error.message)
    for (const word of words) assert.ok(error.message.includes(word), `${error.message} does not say ${word}`)
    return true
  })
}
function probe(store: MemoryStore): Certainty {
  const length = Math.min(65536, store.size)
  const head = new Uint8Array(length)
  const tail = new Uint8Array(length)
  store.read(0, head)
  store.read(store.size - length, tail)
  return vhd.probe(head, tail, store.size)
}
/** A fixed disk with these bytes. */
const fixed = (data: Uint8Array, parts = {}): MemoryStore =>
  assemble([
    [0, data],
    [data.length, footerBytes({ type: 2, currentSize: BigInt(data.length), ...parts })],
  ])
const small: DynamicParts = { footer: { currentSize: 1048576n }, header: { blockSize: 524288 } }

test('a fixed disk is what stands before its footer', () => {
  const data = diskLike(1048576)
  const image = open(fixed(data))
  assert.equal(probe(fixed(data)), 'certain')
  assert.deepEqual(
    [image.subformat, image.capacity, image.identity, codes(image)],
    ['fixed', 1048576, '00010203-0405-0607-0809-0a0b0c0d0e0f', []],
  )
  assert.equal(Buffer.compare(readAll(image), data), 0)
})

test('a dynamic disk: blocks in any order, unallocated ones and clear bits read as zero', () => {
  const first = block512K(() => true)
  const second = block512K((sector) => sector % 8 < 3)
  const store = dynamicVhd({
    footer: { currentSize: 1572864n },
    header: { blockSize: 524288 },
    words: [(2048 + second.length) / 512, 0xffffffff, 4],
    blocks: [
      [2048, second],
      [2048 + second.length, first],
    ],
  })
  const image = open(store)
  const bytes = readAll(image)
  assert.equal(Buffer.compare(bytes.subarray(0, 524288), first.subarray(512)), 0)
  assert.ok(bytes.subarray(524288, 1048576).every((byte) => byte === 0))
  for (let sector = 0; sector < 1024; sector++)
    assert.equal(bytes[1048576 + sector * 512], sector % 8 < 3 ? (sector % 255) + 1 : 0)
  assert.deepEqual(image.extentAt(600000, 1e9), { kind: 'zero', offset: 600000, length: 448576 })
  assert.deepEqual(image.extentAt(1048576 + 1536, 1e9), { kind: 'zero', offset: 1048576 + 1536, length: 2560 })
})

test('a block before the BAT, a BAT behind the blocks', () => {
  const block = block512K(() => true)
  const store = dynamicVhd({
    ...small,
    header: { blockSize: 524288, tableOffset: BigInt(1536 + block.length) },
    words: [0xffffffff, 3],
    blocks: [[1536, block]],
  })
  assert.equal(Buffer.compare(readAll(open(store)).subarray(524288), block.subarray(512)), 0)
})

test('bitmaps larger than one sector: a block of 4 MiB', () => {
  const bytes = new Uint8Array(1024 + 4194304).fill(0xff, 0, 1024).fill(9, 1024)
  const store = dynamicVhd({
    footer: { currentSize: 4194304n },
    header: { blockSize: 4194304 },
    words: [4],
    blocks: [[2048, bytes]],
  })
  assert.ok(readAll(open(store)).every((byte) => byte === 9))
})

test('the last block may end with the disk', () => {
  const block = block512K(() => true, 262144)
  const store = dynamicVhd({
    footer: { currentSize: 786432n },
    header: { blockSize: 524288 },
    words: [0xffffffff, 4],
    blocks: [[2048, block]],
  })
  assert.equal(Buffer.compare(readAll(open(store)).subarray(524288), block.subarray(512)), 0)
})

for (const [title, bits] of [
  ['the first', (sector: number) => sector === 0],
  ['the eighth', (sector: number) => sector === 7],
  ['the last', (sector: number) => sector === 1023],
  ['bits 0xA0', (sector: number) => sector === 0 || sector === 2],
] as const) {
  test(`a differencing disk gives exactly its own sectors: ${title}`, () => {
    const parentBytes = diskLike(1048576, 3)
    const parent = open(fixed(parentBytes))
    const block = block512K(bits)
    const child = open(
      dynamicVhd({
        footer: { type: 4, currentSize: 1048576n },
        header: { blockSize: 524288, parentId: idBytes, parentName: 'p.vhd' },
        words: [4, 0xffffffff],
        blocks: [[2048, block]],
      }),
    )
    assert.equal(child.subformat, 'differencing')
    child.parentReference?.verify(parent)
    const expected = Uint8Array.from(parentBytes)
    for (let sector = 0; sector < 1024; sector++)
      if (bits(sector)) expected.fill((sector % 255) + 1, sector * 512, sector * 512 + 512)
    assert.equal(Buffer.compare(readAll(new OverlaySource(child, parent)), expected), 0)
    assert.deepEqual(child.extentAt(524288, 1e9), { kind: 'absent', offset: 524288, length: 524288 })
  })
}

test('the parent is named by its paths, most trusted first', () => {
  const text = (path: string): Uint8Array => Buffer.from(path, 'utf16le')
  const pieces = [
    text('C:\\vm\\p.vhd\0'),
    text('.\\p.vhd'),
    Buffer.from('file:///vm/p.vhd'),
    Buffer.from('.\\ansi.vhd', 'latin1'),
    text('..\\second.vhd'),
    text('a\0b'),
  ]
  const kinds = ['W2ku', 'W2ru', 'MacX', 'Wi2r', 'W2ru', 'W2ru']
  const locators = [
    ...pieces.map((bytes, index) => ({
      code: kinds[index]!,
      offset: BigInt(4096 + index * 512),
      length: bytes.length,
    })),
    { code: 'W2ru', offset: 4096n, length: 0xffffffff },
    { code: 'Mac ', offset: 1n << 60n, length: 7 },
  ]
  const image = open(
    dynamicVhd({
      footer: { type: 4 },
      header: { parentId: idBytes, parentName: 'p\ud800.vhd', locators },
      blocks: pieces.map((bytes, index) => [4096 + index * 512, bytes]),
      endPosition: 8192,
    }),
  )
  assert.deepEqual(image.parentReference?.paths, [
    '.\\p.vhd',
    '..\\second.vhd',
    'C:\\vm\\p.vhd',
    '.\\ansi.vhd',
    'file:///vm/p.vhd',
    'p\ud800.vhd',
  ])
  assert.deepEqual(codes(image), ['W_PARENT_LOCATOR', 'W_PARENT_LOCATOR'])
  assert.equal(image.parentReference.format, 'vhd')
  const reported = image
    .describe()
    .find(({ title }) => title === 'Parent')
    ?.facts.find(({ name }) => name === 'parentUnicodeName')?.value
  assert.equal(reported, 'p\\ud800.vhd')
})

test('another parent is refused with both ids, one of another size too', () => {
  const child = open(
    dynamicVhd({
      ...small,
      footer: { type: 4, currentSize: 1048576n },
      header: { blockSize: 524288, parentId: idBytes },
    }),
  )
  const other = open(fixed(new Uint8Array(1048576), { id: idBytes.map((byte) => byte + 1) }))
  throwsCode('E_PARENT_ID', () => child.parentReference?.verify(other), '00010203-0405', '01020304-0506')
  const larger = open(fixed(new Uint8Array(4096)))
  assert.deepEqual(
    [...(child.parentReference?.check?.(larger, undefined) ?? [])].map(({ code }) => code),
    ['W_PARENT_CAPACITY'],
  )
})

test('a damaged footer at the end: the copy is used, and reported; a damaged copy is reported', () => {
  const word = { ...small, words: [0xffffffff, 0xffffffff] }
  assert.deepEqual(codes(open(dynamicVhd(word))), [])
  assert.deepEqual(codes(open(dynamicVhd({ ...word, end: null }))), ['W_FOOTER_COPY_USED'])
  assert.deepEqual(codes(open(dynamicVhd({ ...word, end: { checksumError: 1 } }))), ['W_FOOTER_COPY_USED'])
  assert.deepEqual(codes(open(dynamicVhd({ ...word, copy: { checksumError: 1 } }))), ['W_FOOTER_COPY_DAMAGED'])
  assert.deepEqual(codes(open(dynamicVhd({ ...word, copy: null }))), ['W_FOOTER_COPY_DAMAGED'])
  assert.deepEqual(codes(open(dynamicVhd({ ...word, copy: { time: 1 } }))), ['W_FOOTERS_DIFFER'])
  for (const parts of [{ end: null }, { end: { checksumError: 1 } }, { copy: { checksumError: 1 } }, { copy: null }])
    assert.equal(probe(dynamicVhd({ ...word, ...parts })), 'certain')
})

test('wrong checksums are errors, and read on request', () => {
  const both = { ...small, copy: { checksumError: 1 }, end: { checksumError: 2 } }
  throwsCode('E_CHECKSUM', () => open(dynamicVhd(both)), '0x')
  assert.deepEqual(codes(open(dynamicVhd(both), { 'ignore-checksums': true })), ['W_CHECKSUM'])
  const header = { ...small, header: { blockSize: 524288, checksumError: 1 } }
  throwsCode('E_CHECKSUM', () => open(dynamicVhd(header)), 'dynamic header', 'byte 512')
  assert.deepEqual(codes(open(dynamicVhd(header), { 'ignore-checksums': true })), ['W_CHECKSUM'])
  const data = new Uint8Array(4096)
  throwsCode('E_CHECKSUM', () => open(fixed(data, { checksumError: 1 })))
  assert.equal(probe(fixed(data, { checksumError: 1 })), 'certain')
  assert.equal(probe(dynamicVhd(both)), 'certain')
})

test('a footer of 511 bytes', () => {
  const data = diskLike(65536, 5)
  const store = assemble([
    [0, data],
    [65536, footerBytes({ type: 2, currentSize: 65536n }).subarray(0, 511)],
  ])
  assert.equal(probe(store), 'certain')
  assert.deepEqual(codes(open(store)), ['W_FOOTER_511'])
  assert.equal(Buffer.compare(readAll(open(store)), data), 0)
})

for (const trailing of [1, 511, 512, 4096, 60000]) {
  test(`a footer with ${trailing} bytes after it is found and reported`, () => {
    const store = fixed(diskLike(131072, 6))
    store.write(store.size, new Uint8Array(trailing))
    assert.equal(probe(store), 'certain')
    assert.deepEqual(codes(open(store)), ['W_FOOTER_NOT_AT_END'])
    assert.equal(Buffer.compare(readAll(open(store)), diskLike(131072, 6)), 0)
    const dynamic = dynamicVhd({ ...small, trailing: new Uint8Array(trailing) })
    assert.equal(probe(dynamic), 'certain')
    assert.deepEqual(codes(open(dynamic)), ['W_FOOTER_NOT_AT_END'])
  })
}

test('raw disks that hold footers in their guest data are no VHDs', () => {
  const guest = diskLike(131072, 8)
  guest.set(footerBytes({ type: 2, currentSize: 4096n }))
  assert.equal(probe(assemble([[0, guest]])), 'no')
  throwsCode('E_NOT_VHD', () => open(assemble([[0, guest]])))
  const inTheMiddle = diskLike(131072, 8)
  inTheMiddle.set(footerBytes({ type: 2, currentSize: 4096n }), 100352)
  assert.equal(probe(assemble([[0, inTheMiddle]])), 'no')
  const word = new Uint8Array(4096)
  word.set(Buffer.from('conectix'))
  assert.equal(probe(assemble([[0, word]])), 'no')
  // A fixed VHD whose guest begins with a whole dynamic VHD: the footer at the end decides.
  const inner = dynamicVhd(small).contents()
  const outer = new Uint8Array(131072)
  outer.set(inner)
  assert.equal(open(fixed(outer)).subformat, 'fixed')
  assert.equal(Buffer.compare(readAll(open(fixed(outer))), outer), 0)
})

test("a dynamic disk without its end whose last block ends with a fixed disk's footer", () => {
  const block = block512K(() => true)
  block.set(footerBytes({ type: 2, currentSize: 4096n }), block.length - 512)
  const image = open(dynamicVhd({ ...small, words: [0xffffffff, 4], blocks: [[2048, block]], end: null }))
  assert.deepEqual([image.subformat, codes(image)], ['dynamic', ['W_FOOTER_COPY_USED']])
  assert.equal(Buffer.compare(readAll(image).subarray(524288), block.subarray(512)), 0)
})

test('which size wins: current_size, with a note for creators that go by the geometry', () => {
  const parts = (creator: string, chs: readonly [number, number, number]): DynamicParts => ({
    footer: { creator, chs, currentSize: 1048576n },
    header: { blockSize: 524288 },
  })
  for (const creator of ['win ', 'd2v ', 'tap\0', 'CTXS', 'qemu', 'qem2', 'vbox', 'wa\0\0']) {
    const image = open(dynamicVhd(parts(creator, [30, 4, 17])))
    assert.deepEqual([image.capacity, codes(image)], [1048576, []], creator)
  }
  for (const creator of ['vpc ', 'vs  ']) {
    assert.deepEqual(
      [open(dynamicVhd(parts(creator, [30, 4, 17]))).capacity, codes(open(dynamicVhd(parts(creator, [30, 4, 17]))))],
      [1048576, ['W_SIZE_CHS']],
    )
    assert.equal(open(dynamicVhd(parts(creator, [30, 4, 17])), { 'vhd-size': 'chs' }).capacity, 1044480)
    const largest = open(dynamicVhd(parts(creator, [65535, 16, 255])), { 'vhd-size': 'chs' })
    assert.deepEqual([largest.capacity, codes(largest)], [1048576, []])
  }
  throwsCode('E_VHD_SIZE', () => open(dynamicVhd(parts('vpc ', [0, 4, 17])), { 'vhd-size': 'chs' }))
  assert.deepEqual(codes(open(dynamicVhd(parts('vpc ', [0, 0, 0])))), ['W_SIZE_CHS'])
})

test('what is odd is reported: saved state, features, sizes, ids, slack', () => {
  const note = (parts: object): string[] => codes(open(fixed(new Uint8Array(4096), parts)))
  assert.deepEqual(note({ savedState: 1 }), ['W_SAVED_STATE'])
  assert.deepEqual(note({ features: 0 }), ['W_FEATURES'])
  assert.deepEqual(note({ features: 3 }), [])
  assert.deepEqual(note({ version: 0x00010001 }), ['W_MINOR_VERSION'])
  assert.deepEqual(note({ id: new Uint8Array(16) }), ['W_UUID_ZERO'])
  assert.deepEqual(note({ dataOffset: 512n }), [])
  assert.deepEqual(note({ currentSize: 4000n }), ['W_SIZE_ROUNDED', 'W_SLACK'])
  assert.deepEqual(note({ currentSize: 0n }), ['W_SIZE_ZERO', 'W_SLACK'])
  assert.deepEqual(
    codes(
      open(
        dynamicVhd({
          footer: { currentSize: 2041n << 30n },
          header: { blockSize: 2 ** 31 },
          words: Array<number>(1021).fill(0xffffffff),
        }),
      ),
    ),
    ['W_SIZE_LIMIT'],
  )
})
