import assert from 'node:assert/strict'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { OverlaySource } from '../../../src/block/overlay.js'
import type { Extent } from '../../../src/block/types.js'
import { qcow2 } from '../../../src/formats/qcow2/index.js'
import type { DiskImage, OpenContext } from '../../../src/formats/driver.js'
import { diskLike, readAll } from '../../support/content.js'
import { createContext, openContext, openWith, shape } from '../../support/drivers.js'
import { compressedEntry, HandImage, type FileBytes } from '../../support/qcow2-bytes.js'

const open = (file: FileBytes, context: Partial<OpenContext> = {}): DiskImage =>
  openWith('qcow2', file.store(), context)

function kinds(image: DiskImage): string {
  const found: string[] = []
  for (let offset = 0; offset < image.capacity;) {
    const extent = image.extentAt(offset, Infinity)
    found.push(`${extent.kind} ${offset}+${extent.length}`)
    offset += extent.length
  }
  return found.join(', ')
}

const factOf = (image: DiskImage, name: string): unknown =>
  image
    .describe()
    .flatMap((section) => section.facts)
    .find((fact) => fact.name === name)?.value

test('data, zero, preallocated zero and absent clusters; neighbours become one run', () => {
  const a = diskLike(4096, 1)
  const file = new HandImage({ clusterBits: 12, size: 8 * 4096 })
    .data(0, 6, a)
    .data(1, 7, a)
    .data(2, 5, a)
    .map(3, 1)
    .map(4, (1n << 63n) | BigInt(5 * 4096) | 1n)
  using image = open(file)
  assert.equal(kinds(image), 'data 0+8192, data 8192+4096, zero 12288+8192, absent 20480+12288')
  const expected = new Uint8Array(8 * 4096)
  expected.set(a, 0)
  expected.set(a, 4096)
  expected.set(a, 8192)
  assert.deepEqual(readAll(image), expected)
  assert.deepEqual(image.notes, [])
})

test('extentAt keeps to its limit and to what it was asked, and answers the rest of a run', () => {
  const file = new HandImage({ clusterBits: 12, size: 8 * 4096 }).data(0, 6, diskLike(4096)).data(1, 7, diskLike(4096))
  using image = open(file)
  const at = (offset: number, limit: number): Extent => image.extentAt(offset, limit)
  assert.deepEqual(
    { ...at(100, 50), store: undefined },
    { kind: 'data', offset: 100, length: 50, store: undefined, position: 6 * 4096 + 100 },
  )
  assert.equal(at(0, 1).length, 1)
  assert.equal(at(0, Infinity).length, 8192)
  assert.deepEqual(
    { ...at(5000, 10000), store: undefined },
    { kind: 'data', offset: 5000, length: 3192, store: undefined, position: 6 * 4096 + 5000 },
  )
  assert.equal(at(8192, Infinity).length, 6 * 4096)
  assert.throws(() => at(image.capacity, 1), RangeError)
})

test('compressed clusters of every size: span of one sector, crossing host clusters, shared sectors, padding', () => {
  for (let clusterBits = 9; clusterBits <= 21; clusterBits++) {
    const cluster = 2 ** clusterBits
    const plain = [new Uint8Array(cluster).fill(3), diskLike(cluster, clusterBits), new Uint8Array(cluster).fill(9)]
    const file = new HandImage({ clusterBits, size: 4 * cluster })
    // The first ends on the last byte of a sector; the next begin in the middle of one, the second may cross into a
    // further cluster.
    let position = 0
    for (const [guest, bytes] of plain.entries()) {
      const packed = zlib.deflateRawSync(bytes, { windowBits: guest === 1 ? 15 : 12 })
      if (packed.length > cluster) continue
      if (guest === 0) position = 6 * cluster - packed.length
      file
        .pad(6 * cluster)
        .put(position, packed)
        .map(
          guest,
          compressedEntry(
            clusterBits,
            position,
            Math.floor((position + packed.length - 1) / 512) - Math.floor(position / 512),
          ),
        )
      position += packed.length
    }
    // Garbage after the streams, then the end of the file within the last sector.
    file.put(position, new Uint8Array(5).fill(0xff))
    using image = open(file)
    for (const [guest, bytes] of plain.entries()) {
      const extent = image.extentAt(guest * cluster, Infinity)
      if (extent.kind !== 'packed') continue
      assert.equal(extent.length, cluster)
      assert.ok(extent.position + extent.storedLength <= file.size)
      const found = new Uint8Array(cluster)
      image.read(guest * cluster, found)
      assert.equal(Buffer.compare(found, bytes), 0, `bits ${clusterBits}, cluster ${guest}`)
    }
    assert.equal(image.extentAt(0, 1).kind, 'packed')
  }
})

test('a compressed cluster that gives too little or too much is refused, one with a zlib header too', () => {
  for (const stream of [
    zlib.deflateRawSync(new Uint8Array(4095)),
    zlib.deflateRawSync(new Uint8Array(4097)),
    zlib.deflateSync(diskLike(4096)),
  ]) {
    const file = new HandImage({ clusterBits: 12 }).put(5 * 4096, stream).map(0, compressedEntry(12, 5 * 4096, 7))
    using image = open(file)
    assert.throws(() => image.read(0, new Uint8Array(512)), {
      kind: 'corrupt',
      code: 'E_COMPRESSED',
      message: /hand\.qcow2.*byte 20480.*guest offset 0/,
    })
  }
})

test('extended L2: mixed subclusters, alone and over a parent', () => {
  const clusterBits = 14
  const cluster = 2 ** clusterBits
  const sub = cluster / 32
  const own = diskLike(cluster, 21)
  const below = diskLike(3 * cluster, 22)
  for (const [allocated, zeroed] of [
    [0x55555555n, 0xaaaaaaaan],
    [0x0000ffffn, 0xf0f00000n],
    [1n, 2n],
    [0xffffffffn, 0n],
    [0n, 0xffffffffn],
    [0n, 1n],
    [0x80000000n, 0n],
  ] as const) {
    const file = new HandImage({ clusterBits, extended: true, size: 3 * cluster })
      .data(1, 5, own)
      .map(1, (1n << 63n) | BigInt(5 * cluster), (zeroed << 32n) | allocated)
    const expected = (parent: Uint8Array): Uint8Array => {
      const bytes = Uint8Array.from(parent)
      for (let index = 0; index < 32; index++) {
        const from = cluster + index * sub
        if ((allocated >> BigInt(index)) & 1n) bytes.set(own.subarray(index * sub, (index + 1) * sub), from)
        else if ((zeroed >> BigInt(index)) & 1n) bytes.fill(0, from, from + sub)
      }
      return bytes
    }
    using image = open(file)
    assert.equal(image.grain, sub)
    assert.deepEqual(readAll(image), expected(new Uint8Array(3 * cluster)))
    using overlay = new OverlaySource(open(file), openWith('raw', new MemoryStore(below)))
    assert.deepEqual(readAll(overlay), expected(below))
  }
})

test('damaged entries spoil their own range only', () => {
  const file = new HandImage({ clusterBits: 12, size: 8 * 4096 })
    .data(0, 5, diskLike(4096))
    .map(1, (1n << 63n) | BigInt(5 * 4096 + 512))
    .data(2, 6, diskLike(4096))
    .map(3, BigInt(4096 * 4096))
    .map(4, (1n << 62n) | BigInt(4096 * 4096))
  using image = open(file)
  assert.equal(image.extentAt(0, Infinity).length, 4096)
  assert.throws(() => image.extentAt(4096, 1), {
    kind: 'corrupt',
    code: 'E_CORRUPT',
    message: /L2 entry at byte 16392 .*not cluster aligned/,
  })
  assert.equal(image.extentAt(8192, Infinity).length, 4096)
  assert.throws(() => image.extentAt(3 * 4096, 1), { kind: 'corrupt', code: 'E_TRUNCATED' })
  assert.throws(() => image.extentAt(4 * 4096, 1), { kind: 'corrupt', code: 'E_TRUNCATED' })
  assert.equal(image.extentAt(5 * 4096, 1).kind, 'absent')
})

test(
  'L1 entries: two that share a table are legal; one with reserved bits, unaligned, past the end or over ' +
    'another structure is not',
  () => {
    const size = 2 * 512 * 4096
    const shared = new HandImage({ clusterBits: 12, size }).data(0, 5, diskLike(4096)).u64(3 * 4096 + 8, 4n * 4096n)
    using image = open(shared)
    const first = new Uint8Array(4096)
    const second = new Uint8Array(4096)
    image.read(0, first)
    image.read(512 * 4096, second)
    assert.deepEqual(first, second)
    for (const [entry, code] of [
      [(1n << 56n) | 0x4000n, 'E_CORRUPT'],
      [0x4001n, 'E_CORRUPT'],
      [0x4200n, 'E_CORRUPT'],
      [1n << 40n, 'E_TRUNCATED'],
      [0x3000n, 'E_OVERLAP'],
      [0x1000n, 'E_OVERLAP'],
      [0x2000n, 'E_OVERLAP'],
    ] as const) {
      using bad = open(new HandImage({ clusterBits: 12, size }).u64(3 * 4096 + 8, entry))
      assert.throws(() => bad.extentAt(512 * 4096, 1), { kind: 'corrupt', code }, entry.toString(16))
      assert.equal(bad.extentAt(0, 1).kind, 'absent')
    }
  },
)

test('a last cluster that is cut short ends in zeros, and says so; one that begins behind the end is an error', () => {
  const bytes = diskLike(4096, 4).fill(0x41, 0, 700)
  const file = new HandImage({ clusterBits: 12, size: 2 * 4096 }).data(0, 5, bytes).cut(5 * 4096 + 700)
  using image = open(file)
  const expected = new Uint8Array(8192)
  expected.set(bytes.subarray(0, 700))
  assert.deepEqual(readAll(image), expected)
  assert.deepEqual(
    image.notes.map(({ code }) => code),
    ['W_SHORT_CLUSTER'],
  )
  using one = open(new HandImage({ clusterBits: 12 }).data(0, 5, bytes).cut(5 * 4096 + 1))
  assert.equal(one.extentAt(0, 4096).length, 1)
  using none = open(new HandImage({ clusterBits: 12 }).data(0, 5, bytes).cut(5 * 4096))
  assert.throws(() => none.extentAt(0, 1), { code: 'E_TRUNCATED' })
})

test('an L2 table may be cut behind the last entry that maps the disk, not before', () => {
  const full = new HandImage({ clusterBits: 12, size: 3 * 4096 }).map(2, 1)
  using image = open(new HandImage({ clusterBits: 12, size: 3 * 4096 }).map(2, 1).cut(4 * 4096 + 24))
  assert.equal(kinds(image), 'absent 0+8192, zero 8192+4096')
  using cut = open(full.cut(4 * 4096 + 16))
  assert.throws(() => cut.extentAt(0, 1), { kind: 'corrupt', code: 'E_TRUNCATED', message: /L2 table/ })
})

test('external data file: position 0, wrong places, too short, not recorded, not opened, itself', () => {
  const cluster = 4096
  const hand = (): HandImage =>
    new HandImage({ clusterBits: 12, size: 4 * cluster, incompatible: 4n, extensions: [[0x44415441, 'disk.bin']] })
      .map(0, 1n << 63n)
      .map(1, (1n << 63n) | 4096n)
  const content = diskLike(4 * cluster, 6)
  const disposed: string[] = []
  const data = (bytes: Uint8Array): MemoryStore =>
    Object.assign(new MemoryStore(bytes, 'disk.bin'), { [Symbol.dispose]: () => disposed.push('disk.bin') })
  {
    using image = open(hand().map(2, 0n).map(3, 1), { openReference: () => data(content) })
    assert.equal(kinds(image), 'data 0+8192, absent 8192+4096, zero 12288+4096')
    const extent = image.extentAt(4096, 10)
    assert.ok(extent.kind === 'data' && extent.store.name === 'disk.bin' && extent.position === 4096)
    assert.deepEqual(image.references, [{ role: 'data-file', path: 'disk.bin' }])
  }
  assert.deepEqual(disposed, ['disk.bin'])
  using misplaced = open(hand().map(1, (1n << 63n) | 8192n), { openReference: () => data(content) })
  assert.throws(() => misplaced.extentAt(4096, 1), { code: 'E_CORRUPT' })
  using packed = open(hand().map(1, compressedEntry(12, 4096, 0)), { openReference: () => data(content) })
  assert.throws(() => packed.extentAt(4096, 1), { code: 'E_CORRUPT' })
  using short = open(hand(), { openReference: () => data(content.subarray(0, 4096)) })
  assert.equal(short.extentAt(0, 4096).kind, 'data')
  assert.throws(() => short.extentAt(4096, 1), { code: 'E_TRUNCATED', message: /disk\.bin/ })
  using alone = open(hand())
  assert.equal(factOf(alone, 'dataFile'), 'disk.bin')
  assert.throws(() => alone.extentAt(0, 1), { kind: 'reference', code: 'E_REFERENCE_NOT_OPENED' })
  using unnamed = open(new HandImage({ clusterBits: 12, incompatible: 4n }).map(0, 1n << 63n))
  assert.throws(() => unnamed.extentAt(0, 1), { kind: 'reference', code: 'E_REFERENCE_NOT_RECORDED' })
  const store = hand().store()
  assert.throws(() => qcow2.open(store, { ...openContext, openReference: () => store }), { code: 'E_DATA_FILE' })
})

test(
  'backing files: the formats of qemu in our words, prefixes, json; what is no plain file is refused when ' +
    'its path is asked for',
  () => {
    const of = (backing: string, format?: string): DiskImage =>
      open(new HandImage({ backing, extensions: format === undefined ? undefined : [[0xe2792aca, format]] }))
    for (const [recorded, ours] of [
      ['raw', 'raw'],
      ['qcow2', 'qcow2'],
      ['qcow', 'qcow'],
      ['vpc', 'vhd'],
      ['vhdx', 'vhdx'],
      ['xyz', 'xyz'],
      [undefined, undefined],
    ] as const) {
      using image = of('base.img', recorded)
      assert.deepEqual(image.parentReference?.paths, ['base.img'])
      assert.equal(image.parentReference.format, ours)
    }
    for (const [name, path, format] of [
      ['dir/ä:b', 'dir/ä:b', undefined],
      ['file:base', 'base', undefined],
      ['C:\\disks\\base.vhd', 'C:\\disks\\base.vhd', undefined],
      ['json:{"driver":"qcow2","file":{"driver":"file","filename":"b.qcow2"}}', 'b.qcow2', 'qcow2'],
      ['json:{"driver":"vpc","file.driver":"file","file.filename":"b.vhd","read-only":true}', 'b.vhd', 'vhd'],
      ['json:{"file.filename":"b"}', 'b', undefined],
      ['json:{"driver":"file","filename":"b"}', 'b', undefined],
    ] as const) {
      using image = of(name)
      assert.deepEqual(image.parentReference?.paths, [path], name)
      assert.equal(image.parentReference.format, format, name)
    }
    for (const name of [
      'nbd://host/x',
      'nbd:host:10809',
      'rbd:pool/x',
      'https://example.org/x',
      'ssh://x',
      'host_device:/dev/sda',
      'json:{',
      'json:7',
      'json:[]',
      'json:{"driver":"nbd","host":"x"}',
      'json:{"driver":"qcow2","file":{"driver":"nbd","filename":"x"}}',
      'json:{"driver":"raw","offset":512,"file":{"driver":"file","filename":"x"}}',
      'json:{"driver":"throttle","file":{"driver":"file","filename":"x"}}',
      'json:{"driver":"raw","file":"node"}',
      'json:{"driver":"raw"}',
      'json:{"driver":"null-co"}',
      `json:${'{"a":'.repeat(60)}1${'}'.repeat(60)}`,
    ]) {
      using image = of(name)
      assert.equal(factOf(image, 'backingFile'), name, 'info shows it nevertheless')
      assert.throws(() => image.parentReference?.paths, { kind: 'reference', code: 'E_BACKING_UNSUPPORTED' }, name)
    }
    using hidden = of('evil\u001b[2Jname')
    assert.equal(factOf(hidden, 'backingFile'), 'evil\\u001b[2Jname')
  },
)

test('feature bits: dirty and corrupt are notes, unknown ones are refused by their recorded names', () => {
  using image = open(new HandImage({ incompatible: 3n }).data(0, 5, diskLike(512)))
  assert.deepEqual(
    image.notes.map(({ code }) => code),
    ['W_CORRUPT', 'W_DIRTY'],
  )
  assert.equal(image.extentAt(0, 1).kind, 'data')
  const name = Buffer.alloc(48)
  name.writeUInt8(5, 1)
  name.write('time travel', 2)
  const table = Buffer.concat([name, Buffer.from([3, 9, 65]), Buffer.alloc(44)])
  assert.throws(
    () => open(new HandImage({ incompatible: (1n << 5n) | (1n << 63n), extensions: [[0x6803f857, table]] })),
    {
      kind: 'unsupported',
      code: 'E_UNSUPPORTED_FEATURE',
      message: /bit 5 \(time travel\), bit 63 \(no name recorded\)/,
    },
  )
})

test('encryption: describe works, reading says which it is', () => {
  for (const [method, name] of [
    [1, 'AES'],
    [2, 'LUKS'],
    [3, 'method 3'],
  ] as const) {
    using image = open(new HandImage({}).data(0, 5, diskLike(512)).u32(32, method))
    assert.equal(image.unreadable?.code, 'E_ENCRYPTED')
    assert.throws(() => image.extentAt(0, 1), { kind: 'unsupported', code: 'E_ENCRYPTED', message: new RegExp(name) })
    assert.throws(() => image.read(0, new Uint8Array(1)), { code: 'E_ENCRYPTED' })
    assert.ok(factOf(image, 'encryption') !== undefined)
  }
})

test('bitmaps are reported; a stale or damaged directory does not matter for reading', () => {
  const extension = Buffer.alloc(24)
  extension.writeUInt32BE(1, 0)
  extension.writeBigUInt64BE(32n, 8)
  extension.writeBigUInt64BE(5n * 65536n, 16)
  const file = new HandImage({ extensions: [[0x23852875, extension]] }).pad(6 * 65536)
  file
    .u64(5 * 65536, 0)
    .u32(5 * 65536 + 8, 1)
    .u32(5 * 65536 + 12, 2)
    .u8(5 * 65536 + 16, 1)
    .u8(5 * 65536 + 17, 16)
    .u16(5 * 65536 + 18, 2)
    .put(5 * 65536 + 24, 'b0')
  using image = open(file)
  assert.equal(factOf(image, 'bitmapsConsistent'), false)
  assert.equal(factOf(image, 'bitmap1'), 'b0, 65536 bytes a bit, auto')
  using cut = open(file.cut(5 * 65536 + 10))
  assert.match(String(factOf(cut, 'bitmapError')), /bitmap directory/)
  assert.equal(cut.extentAt(0, 1).kind, 'absent')
})

test('what is written for a parent: zero flag, zeros of their own in version 2, its name and format', () => {
  using image = openWith('raw', new MemoryStore(new Uint8Array(100_000).fill(7)))
  const parent = { image, path: '/x/a:b.raw', relativePath: 'a:b.raw', time: 0 }
  for (const [options, kind] of [
    [{}, 'zero'],
    [{ 'extended-l2': true }, 'zero'],
    [{ compat: '0.10' }, 'data'],
  ] as const) {
    const store = new MemoryStore()
    using writer = qcow2.create!(store, shape(300_000, { parent }), options, createContext)
    assert.equal(writer.capacity, 300_032)
    const placed = writer.place(65536, 65536)
    store.write(placed.position, new Uint8Array(65536).fill(1))
    writer.zero(131072, writer.capacity - 131072)
    writer.finish()
    using child = openWith('qcow2', store)
    assert.deepEqual(child.parentReference?.paths, ['./a:b.raw'])
    assert.equal(child.parentReference.format, 'raw')
    // The parent ends in the second cluster: what lies behind needs no zeros.
    assert.equal(kinds(child), 'absent 0+65536, data 65536+65536, absent 131072+168960')
    const again = new MemoryStore()
    using second = qcow2.create!(again, shape(300_000, { parent }), options, createContext)
    second.zero(0, 65536)
    second.finish()
    using zeroed = openWith('qcow2', again)
    assert.equal(zeroed.extentAt(0, 1).kind, kind)
    assert.ok(readAll(zeroed).every((byte) => byte === 0))
  }
  const longName = { ...parent, relativePath: 'x'.repeat(1024) }
  assert.throws(() => qcow2.create!(new MemoryStore(), shape(512, { parent: longName }), {}, createContext), {
    kind: 'usage',
    code: 'E_PARENT_NAME',
  })
  const crowded = { ...parent, relativePath: 'x'.repeat(500) }
  assert.throws(
    () => qcow2.create!(new MemoryStore(), shape(512, { parent: crowded }), { 'cluster-size': 512 }, createContext),
    { code: 'E_PARENT_NAME' },
  )
})

test('zstd without a level is level 2, zlib the usual of its library', () => {
  const level = (compress: string): number | undefined =>
    qcow2.create!(new MemoryStore(), shape(1048576), { compress }, createContext).packedUnit?.level
  assert.deepEqual(['zstd', 'zstd:3', 'zlib', 'zlib:6'].map(level), [2, 3, undefined, 6])
})

test('options that are out of range or do not go together are refused before anything is written', () => {
  using image = openWith('raw', new MemoryStore(new Uint8Array(512)))
  const parent = { image, path: '/x/a', relativePath: 'a', time: 0 }
  for (const options of [
    { 'cluster-size': 256 },
    { 'cluster-size': 4194304 },
    { 'cluster-size': 1000 },
    { 'refcount-bits': 3 },
    { 'refcount-bits': 128 },
    { 'refcount-bits': 0.5 },
    { compress: 'lzma' },
    { compress: 'zlib:10' },
    { compress: 'zlib:0' },
    { compress: 'zstd:23' },
    { compress: 'zlib', preallocation: 'full' },
    { compat: '2.0' },
    { compat: '0.10', 'extended-l2': true },
    { compat: 'v2', 'refcount-bits': 1 },
    { compat: '0.10', compress: 'zstd' },
    { compat: 'v3', subformat: 'v2' },
    { 'extended-l2': true, 'cluster-size': 8192 },
    { preallocation: 'some' },
    { 'data-file-raw': true },
    { 'data-file': '../x' },
    { 'data-file': 'a/b' },
    { 'data-file': 'nbd:x' },
    { 'data-file': 'x', compress: 'zlib' },
    { compat: '0.10', 'lazy-refcounts': true },
  ]) {
    const store = new MemoryStore()
    assert.throws(
      () => qcow2.create!(store, shape(1048576), options, createContext),
      { kind: 'usage', code: 'E_OPTION' },
      JSON.stringify(options),
    )
    assert.equal(store.size, 0)
  }
  for (const options of [{ preallocation: 'metadata' }, { 'data-file': 'x', 'data-file-raw': true }]) {
    assert.throws(() => qcow2.create!(new MemoryStore(), shape(512, { parent }), options, createContext), {
      kind: 'usage',
    })
  }
  assert.throws(() => qcow2.create!(new MemoryStore(), shape(2 ** 50), { 'cluster-size': 512 }, createContext), {
    kind: 'usage',
    code: 'E_CAPACITY',
  })
})

test('a place is as long as it was asked for, whatever the cluster size, and calls only go up', () => {
  for (const size of [512, 65536, 2097152]) {
    const store = new MemoryStore()
    using writer = qcow2.create!(store, shape(64 * 1048576), { 'cluster-size': size }, createContext)
    assert.equal(writer.place(0, 1048576).length, 1048576)
    const second = writer.place(4194304, 8388608)
    assert.equal(second.length, 8388608)
    assert.throws(() => writer.place(0, size), RangeError)
    writer.finish()
    using image = openWith('qcow2', store)
    const extent = image.extentAt(4194304, Infinity)
    assert.ok(extent.kind === 'data' && extent.length === 8388608 && extent.position === second.position)
  }
})

test('a 16 TiB disk with one cluster at its end: constant memory, both ways', () => {
  const capacity = 16 * 2 ** 40
  const store = new MemoryStore()
  using writer = qcow2.create!(store, shape(capacity), {}, createContext)
  const at = writer.place(capacity - 65536, 65536)
  store.write(at.position, new Uint8Array(65536).fill(5))
  writer.finish()
  assert.ok(store.size < 1048576)
  using image = openWith('qcow2', store)
  assert.equal(image.extentAt(0, Infinity).length, capacity - 65536)
  assert.equal(image.extentAt(capacity - 1, 1).kind, 'data')
})
