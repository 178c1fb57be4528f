import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError } from '../../src/errors.js'
import type { DiskImage } from '../../src/formats/driver.js'
import { vhd } from '../../src/formats/vhd/index.js'
import { readAll } from '../support/content.js'
import { openContext } from '../support/drivers.js'
import {
  assemble,
  block512K,
  dynamicVhd,
  footerBytes,
  headerBytes,
  idBytes,
  noOffset,
  tableBytes,
  type DynamicParts,
  type FooterParts,
  type HeaderParts,
} from '../support/vhd-bytes.js'
import { codes, open, probe, throwsCode } from '../support/vhd-make.js'
import { ProcessorTime } from '../support/processor-time.js'

/** Numbers are those of the list "VHD (VPC)" of malformed inputs. */

const block = block512K(() => true)
/** 1 MiB in two blocks of 512 KiB, the second of them in the file. */
const disk = (footer: FooterParts = {}, header: HeaderParts = {}, more: DynamicParts = {}): MemoryStore =>
  dynamicVhd({
    footer: { currentSize: 1048576n, ...footer },
    header: { blockSize: 524288, ...header },
    words: [0xffffffff, 4],
    blocks: [[2048, block]],
    ...more,
  })
const fixed = (parts: FooterParts = {}, length = 4096): MemoryStore =>
  assemble([[length, footerBytes({ type: 2, currentSize: BigInt(length), ...parts })]])
const refused = (code: string, store: MemoryStore, ...words: string[]): void =>
  throwsCode(code, () => open(store), ...words)

test('4: checksums that are off by one, or zero', () => {
  for (const checksumError of [1, -1]) refused('E_CHECKSUM', disk({}, { checksumError }), 'dynamic header')
  const store = disk()
  store.write(512 + 36, new Uint8Array(4))
  refused('E_CHECKSUM', store, '0x00000000')
  assert.equal(readAll(open(store, { 'ignore-checksums': true }))[524288], 1)
})

test('6: the largest geometry with a larger disk', () => {
  const image = open(
    disk(
      { currentSize: 200n << 30n, chs: [65535, 16, 255], creator: 'vpc ' },
      { blockSize: 2 ** 31 },
      { words: Array<number>(100).fill(0xffffffff), blocks: [] },
    ),
  )
  assert.deepEqual([image.capacity, codes(image)], [200 * 1024 ** 3, []])
})

test('7: sizes that cannot be', () => {
  refused('E_TOO_LARGE', disk({ currentSize: 1n << 63n }), 'current_size')
  refused('E_TOO_LARGE', fixed({ currentSize: 0xffffffffffffffffn }))
  refused('E_TRUNCATED', fixed({ currentSize: 4608n }), '512')
  refused('E_TRUNCATED', fixed({ currentSize: 1n << 52n }))
})

test('8: data_offset', () => {
  refused('E_DATA_OFFSET', disk({ dataOffset: noOffset }))
  refused('E_DATA_OFFSET', disk({ dataOffset: 513n }))
  refused('E_OVERLAP', disk({ dataOffset: 0n }))
  refused('E_TRUNCATED', disk({ dataOffset: 1n << 40n }))
  refused('E_TRUNCATED', disk({ dataOffset: BigInt(disk().size - 512) }))
  assert.deepEqual(codes(open(fixed({ dataOffset: 512n }))), [])
})

test('9: table_offset', () => {
  const at = (tableOffset: bigint): MemoryStore => {
    const store = disk()
    store.write(512, headerBytes({ blockSize: 524288, tableOffset }))
    return store
  }
  refused('E_TABLE_OFFSET', at(1537n))
  for (const offset of [0n, 512n, 1024n]) refused('E_OVERLAP', at(offset))
  refused('E_OVERLAP', at(BigInt(disk().size - 512)), 'footer')
  refused('E_TRUNCATED', at(BigInt(disk().size)))
  refused('E_TRUNCATED', at(1n << 50n))
  refused('E_TOO_LARGE', at(0xfffffffffffffe00n))
})

test('10: numbers of entries', () => {
  refused('E_BAT_SMALL', disk({}, { entries: 1 }), 'needs 2')
  refused('E_BAT_SMALL', disk({}, { entries: 0 }))
  for (const entries of [0x40000001, 0xffffffff]) refused('E_BAT_LARGE', disk({}, { entries }))
  refused('E_TRUNCATED', disk({}, { entries: 2000000 }), 'BAT')
  // Larger than needed is legal, and entries past the disk are not looked at (33).
  assert.equal(readAll(open(disk({}, { entries: 4 }, { words: [0xffffffff, 4, 0, 77] })))[524288], 1)
})

test('11: block sizes', () => {
  for (const blockSize of [0, 1, 256, 1536, 2097151, 3 * 1048576, 0xffffffff])
    refused('E_BLOCK_SIZE', disk({}, { blockSize }), String(blockSize))
  const words = (blockSize: number): number[] => Array<number>(Math.ceil(1048576 / blockSize)).fill(0xffffffff)
  for (const blockSize of [512, 4096, 2 ** 28, 2 ** 31]) {
    assert.ok(
      readAll(open(disk({}, { blockSize }, { words: words(blockSize), blocks: [] }))).every((byte) => byte === 0),
    )
  }
})

test('12, 34: entries that point nowhere are found when they are used; other blocks can be read', () => {
  const broken: [number, string][] = [
    [0, 'E_OVERLAP'],
    [1, 'E_OVERLAP'],
    [2, 'E_OVERLAP'],
    [3, 'E_OVERLAP'],
    [0xfffffffe, 'E_TRUNCATED'],
    [0x80000000, 'E_TRUNCATED'],
    [1029, 'E_TRUNCATED'],
  ]
  for (const [word, code] of broken) {
    const image = open(disk({}, {}, { words: [word, 4] }))
    throwsCode(code, () => image.extentAt(0, 512), 'block 0', `sector ${word}`, 'byte 1536')
    throwsCode(code, () => image.read(0, new Uint8Array(16)))
    const second = new Uint8Array(524288)
    image.read(524288, second)
    assert.equal(Buffer.compare(second, block.subarray(512)), 0)
  }
  // Partly behind the footer: what is there can be read.
  const image = open(disk({}, {}, { words: [5, 4] }))
  image.read(0, new Uint8Array(1024))
  throwsCode('E_TRUNCATED', () => image.read(0, new Uint8Array(524288)), 'footer', 'block 0')
})

test('13: two entries for one block: both are read', () => {
  const bytes = readAll(open(disk({}, {}, { words: [4, 4] })))
  assert.equal(Buffer.compare(bytes.subarray(0, 524288), bytes.subarray(524288)), 0)
})

test('14: sectors whose bit is clear read as zero, whatever stands there', () => {
  const store = disk({}, {}, { blocks: [[2048, block512K(() => false)]] })
  assert.ok(readAll(open(store)).every((byte) => byte === 0))
})

test('19, 20: another parent, and one that is no VHD', () => {
  const child = open(disk({ type: 4 }, { parentId: idBytes.map((byte) => 255 - byte), parentName: 'parent.vhd' }))
  throwsCode(
    'E_PARENT_ID',
    () => child.parentReference!.verify(open(disk())),
    'fffefdfc-fbfa',
    '00010203-0405',
    'parent.vhd',
  )
  throwsCode(
    'E_PARENT_ID',
    () => child.parentReference!.verify({ format: 'qcow2', capacity: 1048576 } as DiskImage),
    'qcow2',
  )
})

test('22, 23: parent locators that cannot be, or want out', () => {
  const text = Buffer.from('\\\\server\\share\\x.vhd', 'utf16le')
  const out = Buffer.from('C:\\..\\..\\etc\\passwd', 'utf16le')
  const locators = [
    { code: 'W2ru', offset: 540000n, length: text.length },
    { code: 'W2ku', offset: 540672n, length: out.length + 1 },
    { code: 'W2ru', offset: 1n << 63n, length: 8 },
    { code: 'W2ru', offset: 600000n, length: 2000000 },
    { code: 'W2ru', offset: 540000n, length: 0 },
    { code: 'W2ku', offset: 0xfffffffffffffff0n, length: 0xffffffff },
    { code: '\n\t\u0001x', offset: 0n, length: 0 },
    { code: 'W2ku', offset: 541000n, length: 3 },
  ]
  const image = open(
    disk(
      { type: 4 },
      { locators },
      {
        blocks: [
          [2048, block],
          [540000, text],
          [540672, out],
          [541000, Buffer.from([0, 0xd8, 1])],
        ],
        endPosition: 700000 - (700000 % 512),
      },
    ),
  )
  // What is stored is handed on as it is: the gate decides what may be opened.
  assert.deepEqual(image.parentReference!.paths, ['\\\\server\\share\\x.vhd', 'C:\\..\\..\\etc\\passwd', '\ud800'])
  assert.ok(codes(image).every((code) => code === 'W_PARENT_LOCATOR'))
  assert.doesNotMatch(
    image
      .describe()
      .flatMap(({ facts }) => facts.map(({ label, value }) => `${label ?? ''} ${value}`))
      .join(' '),
    /[\u0000-\u001f]/,
  )
})

test('24: disk types', () => {
  for (const type of [0, 1, 5, 6, 7, 0xffffffff]) refused('E_TYPE', disk({ type }), String(type))
  refused('E_TYPE', disk({ type: 5 }), 'reserved')
})

test('25, 36: versions', () => {
  refused('E_VERSION', disk({ version: 0x00020000 }), '0x00020000')
  refused('E_VERSION', fixed({ version: 0 }))
  refused('E_VERSION', disk({}, { version: 0x00010001 }))
  refused('E_VERSION', disk({}, { version: 0x00020000 }))
  assert.deepEqual(codes(open(disk({}, { dataOffset: 4096n }))), [])
})

test('28: a fixed disk whose guest begins with another format', () => {
  const store = fixed({}, 65536)
  store.write(0, Buffer.from('QFI\u00fb\0\0\0\x03', 'latin1'))
  assert.equal(probe(store), 'certain')
  assert.equal(open(store).references, undefined)
  assert.equal(readAll(open(store))[0], 0x51)
})

test('30: times at both ends', () => {
  const reported = (time: number): unknown =>
    open(fixed({ time }))
      .describe()[0]
      ?.facts.find(({ name }) => name === 'timeStamp')?.value
  assert.deepEqual([reported(0), reported(0xffffffff)], ['2000-01-01T00:00:00Z', '2136-02-07T06:28:15Z'])
})

test('35: a damaged cookie of the dynamic header', () => {
  refused('E_DYN_MAGIC', disk({}, { cookie: 'cxspars?' }), 'cxspars?', 'byte 512')
  assert.notEqual(probe(disk({}, { cookie: 'cxspars?' })), 'no')
})

test('37: a geometry of nothing', () => {
  const image = open(disk({ chs: [0, 0, 0], creator: 'vpc ' }))
  assert.equal(image.capacity, 1048576)
  image.describe()
})

test('38: parts of a split disk are named', () => {
  const store = (name: string, parts: MemoryStore): MemoryStore => assemble([[0, parts.contents()]], 0, name)
  const cut = store('/vm/big.vhd', disk({}, {}, { end: null }))
  throwsCode('E_SPLIT_VHD', () => open(cut, {}, ['big.vhd', 'BIG.V01']), 'split')
  assert.deepEqual(codes(open(cut, {}, ['other.v01'])), ['W_FOOTER_COPY_USED'])
  throwsCode('E_SPLIT_VHD', () => open(store('/vm/big.v01', fixed({ currentSize: 1n << 40n }))))
  throwsCode('E_SPLIT_VHD', () => open(assemble([], 4096, 'C:\\vm\\big.v00')))
})

test('39: three truncations, three messages', () => {
  const whole = disk(
    {},
    {},
    { words: Array<number>(300).fill(0xffffffff).fill(8, 1, 2), blocks: [[4096, block]] },
  ).contents()
  const cut = (size: number): MemoryStore => assemble([[0, whole.subarray(0, size)]])
  refused('E_TRUNCATED', cut(1536 + 600), 'BAT', '2136')
  throwsCode('E_TRUNCATED', () => open(cut(4096 + 100)).read(524288, new Uint8Array(1)), 'bitmap', '4196')
  throwsCode('E_TRUNCATED', () => open(cut(4096 + 512 + 1000)).read(524288, new Uint8Array(4096)), 'data', 'block 1')
  const image = open(cut(whole.length - 200))
  assert.deepEqual(codes(image), ['W_FOOTER_COPY_USED'])
  assert.match(image.notes[0]!.message, /cut off after 312 bytes/)
  refused(
    'E_TRUNCATED',
    assemble([
      [
        0,
        fixed()
          .contents()
          .subarray(0, 4096 + 300),
      ],
    ]),
    '300 bytes into the footer',
  )
})

/** A whole small disk, every sector known: 3 blocks of 1 KiB, one of them not in the file. */
function tiny(type: 3 | 4): Uint8Array {
  const data = (fill: number): Uint8Array => new Uint8Array(1536).fill(0xff, 0, 1).fill(fill, 512)
  const store = assemble([
    [0, footerBytes({ type, currentSize: 3072n })],
    [512, headerBytes({ entries: 3, blockSize: 1024 })],
    [1536, tableBytes([4, 0xffffffff, 7])],
    [2048, data(1)],
    [3584, data(2)],
    [5120, footerBytes({ type, currentSize: 3072n })],
  ])
  return store.contents()
}

test('every truncation of a dynamic disk: an error, or the right bytes with a note', () => {
  const whole = tiny(3)
  const wanted = Buffer.concat([Buffer.alloc(1024, 1), Buffer.alloc(1024), Buffer.alloc(1024, 2)])
  assert.equal(Buffer.compare(readAll(open(assemble([[0, whole]]))), wanted), 0)
  for (let size = 0; size < whole.length; size++) {
    const store = assemble([[0, whole.subarray(0, size)]])
    probe(store)
    const image = attempt(() => open(store))
    if (image === undefined) continue
    assert.ok(image.notes.length > 0, `${size} bytes are taken for a whole disk`)
    for (let offset = 0; offset < 3072; offset += 512) {
      const bytes = attempt(() => {
        const sector = new Uint8Array(512)
        image.read(offset, sector)
        return sector
      })
      if (bytes !== undefined)
        assert.equal(Buffer.compare(bytes, wanted.subarray(offset, offset + 512)), 0, `size ${size}, offset ${offset}`)
    }
  }
})

test('every truncation of a fixed disk is an error, but for the footer of 511 bytes', () => {
  const whole = fixed({}, 2048).contents()
  for (let size = 0; size < whole.length; size++) {
    const image = attempt(() => open(assemble([[0, whole.subarray(0, size)]])))
    assert.deepEqual(
      image?.notes.map(({ code }) => code),
      size === whole.length - 1 ? ['W_FOOTER_511'] : undefined,
      `size ${size}`,
    )
  }
})

/** The value; undefined when an ImageError was thrown; any other exception fails the test. */
function attempt<Value>(call: () => Value): Value | undefined {
  try {
    return call()
  } catch (error) {
    assert.ok(isImageError(error), error instanceof Error ? error.stack : String(error))
    return undefined
  }
}

/** Everything a user can ask of an image, within bounds. */
function exercise(store: MemoryStore, options = {}): void {
  probe(store)
  const image = attempt(() => vhd.open(store, { ...openContext, options }))
  if (image === undefined) return
  image.describe()
  let offset = 0
  for (let calls = 0; calls < 64 && offset < image.capacity; calls++) {
    const extent = attempt(() => image.extentAt(offset, image.capacity - offset))
    if (extent !== undefined) {
      assert.ok(extent.length > 0 && extent.offset === offset && offset + extent.length <= image.capacity)
      if (extent.kind === 'data') assert.ok(extent.position >= 0 && extent.position + extent.length <= store.size)
    }
    offset += extent?.length ?? 524288
  }
  for (const at of [0, Math.floor(image.capacity / 1024) * 512, image.capacity - 512]) {
    if (at >= 0 && at + 512 <= image.capacity) attempt(() => image.read(at, new Uint8Array(512)))
  }
}

test('every byte range of every structure at its extremes: only ImageErrors, in bounded time and memory', () => {
  const started = new ProcessorTime()
  const extremes = [0x00, 0x01, 0x7f, 0x80, 0xff]
  for (const type of [3, 4] as const) {
    const whole = tiny(type)
    // Footer copy and header in words of 4 bytes, the first BAT entries; checksums both wrong and made right.
    const places = [
      ...Array.from({ length: 22 }, (_, index) => index * 4),
      ...Array.from({ length: 16 }, (_, index) => 512 + index * 4),
      ...Array.from({ length: 48 }, (_, index) => 512 + 576 + index * 4),
      1536,
      1540,
      1544,
    ]
    for (const place of places) {
      for (const fill of extremes) {
        for (const length of [1, 4, 8]) {
          const bytes = Uint8Array.from(whole)
          bytes.fill(fill, place, place + length)
          exercise(assemble([[0, bytes]]))
          exercise(assemble([[0, bytes]]), { 'ignore-checksums': true, 'vhd-size': 'chs' })
          reseal(bytes, 0, 512, 64)
          reseal(bytes, 512, 1024, 36)
          const alone = assemble([[0, bytes.subarray(0, 5120)]])
          exercise(alone)
          bytes.copyWithin(5120, 0, 512)
          exercise(assemble([[0, bytes]]))
        }
      }
    }
  }
  started.atMost(60_000)
})

function reseal(bytes: Uint8Array, at: number, length: number, field: number): void {
  let total = 0
  for (let index = 0; index < length; index++) if (index < field || index >= field + 4) total += bytes[at + index]!
  Buffer.from(bytes.buffer, bytes.byteOffset).writeUInt32BE(~total >>> 0, at + field)
}

test('2040 GiB in blocks of 512 bytes: a table of 17 GB is never read whole', () => {
  const entries = 2040 * 2 ** 21
  const store = assemble(
    [
      [0, footerBytes({ currentSize: 2040n << 30n })],
      [512, headerBytes({ entries, blockSize: 512 })],
    ],
    1536 + entries * 4,
  )
  store.write(store.size, footerBytes({ currentSize: 2040n << 30n }))
  const before = process.memoryUsage().rss
  const started = new ProcessorTime()
  const image = open(store)
  for (let index = 0; index < 2000; index++) throwsCode('E_OVERLAP', () => image.extentAt(index * 1024 ** 3, 1024 ** 3))
  started.atMost(5000)
  assert.ok(process.memoryUsage().rss - before < 256 * 1048576)
  // The same with unallocated entries: one answer looks at a bounded number of them.
  store.write(1536, new Uint8Array(1048576).fill(0xff))
  assert.deepEqual(open(store).extentAt(0, 2 ** 40), { kind: 'zero', offset: 0, length: 65536 * 512 })
})
