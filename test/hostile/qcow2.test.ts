import assert from 'node:assert/strict'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError } from '../../src/errors.js'
import { copy } from '../../src/engine/index.js'
import type { DiskImage, OpenContext, OptionValues } from '../../src/formats/driver.js'
import { qcow2 } from '../../src/formats/qcow2/index.js'
import { headerV3Compression } from '../../src/formats/qcow2/format/structs.js'
import { diskLike } from '../support/content.js'
import { createContext, openWith, shape } from '../support/drivers.js'
import { compressedEntry, HandImage, type FileBytes, type HandShape } from '../support/qcow2-bytes.js'
import { ProcessorTime } from '../support/processor-time.js'

const open = (file: FileBytes, context: Partial<OpenContext> = {}): DiskImage =>
  openWith('qcow2', file.store(), context)

/** Looks at everything a conversion looks at, but no more than `most` extents; gives the content of small disks. */
function examine(image: DiskImage, most = 2000): Uint8Array {
  image.describe()
  try {
    assert.ok((image.parentReference?.paths.length ?? 1) > 0)
  } catch (error) {
    if (!isImageError(error)) throw error
  }
  const content = new Uint8Array(Math.min(image.capacity, 1048576))
  let offset = 0
  for (let extents = 0; offset < image.capacity && extents < most; extents++) {
    const extent = image.extentAt(offset, Infinity)
    assert.ok(extent.offset === offset && extent.length > 0 && offset + extent.length <= image.capacity)
    if (extent.kind === 'data') assert.ok(extent.position >= 0 && extent.position + extent.length <= extent.store.size)
    if (extent.kind === 'packed')
      assert.ok(
        extent.position >= 0 && extent.storedLength > 0 && extent.position + extent.storedLength <= extent.store.size,
      )
    if (offset < content.length)
      image.read(offset, content.subarray(offset, Math.min(content.length, offset + extent.length)))
    offset += extent.length
  }
  return content
}

/**
 * Opens and examines; gives the content, or the code of the error. Anything but an ImageError, or more than two
 * seconds, fails.
 */
function outcome(file: FileBytes | MemoryStore): { code?: string; content?: Uint8Array; notes?: string[] } {
  const start = new ProcessorTime()
  try {
    using image = openWith('qcow2', file instanceof MemoryStore ? file : file.store())
    const content = examine(image)
    return { content, notes: image.notes.map(({ code }) => code) }
  } catch (error) {
    assert.ok(isImageError(error), error instanceof Error ? error.stack : String(error))
    return { code: error.code }
  } finally {
    start.atMost(2000)
  }
}

const sample = diskLike(512, 8).fill(66, 0, 100)

/**
 * A small image with a bit of everything: data, zero, compressed, a snapshot, a bitmap directory, a backing file,
 * feature names.
 */
function rich(rest: HandShape = {}): HandImage {
  const bitmaps = Buffer.alloc(24)
  bitmaps.writeUInt32BE(1, 0)
  bitmaps.writeBigUInt64BE(32n, 8)
  bitmaps.writeBigUInt64BE(10n * 512n, 16)
  const file = new HandImage({
    clusterBits: 9,
    size: 10 * 512,
    backing: 'base.raw',
    extensions: [
      [0xe2792aca, 'raw'],
      [0x23852875, bitmaps],
      [0x12345678, 'unknown'],
    ],
    ...rest,
  })
  file
    .data(0, 5, sample)
    .data(
      1,
      6,
      sample.map((byte) => byte ^ 255),
    )
    .map(2, 1)
  file.put(7 * 512 + 200, zlib.deflateRawSync(new Uint8Array(512).fill(4))).map(3, compressedEntry(9, 7 * 512 + 200, 0))
  // A snapshot with its own L1, which is a copy.
  file.u32(60, 1).u64(64, 8 * 512)
  file
    .u64(8 * 512, 9 * 512)
    .u32(8 * 512 + 8, 1)
    .u16(8 * 512 + 12, 1)
    .u16(8 * 512 + 14, 3)
    .u32(8 * 512 + 36, 24)
    .u64(8 * 512 + 48, 10 * 512)
    .put(8 * 512 + 64, '1abc')
  file.u64(9 * 512, BigInt(file.l2))
  file
    .u32(10 * 512 + 8, 1)
    .u8(10 * 512 + 16, 1)
    .u8(10 * 512 + 17, 16)
    .u16(10 * 512 + 18, 2)
    .put(10 * 512 + 24, 'b0')
    .pad(11 * 512)
  return file
}

test('the sample is sound', () => {
  const { content, notes } = outcome(rich())
  assert.deepEqual(notes, [])
  assert.deepEqual(content?.subarray(0, 512), sample)
  assert.ok(content.subarray(1536, 2048).every((byte) => byte === 4))
  using snapshot = open(rich(), { snapshot: 'abc' })
  assert.equal(snapshot.capacity, 5120)
})

test('every header field at its extremes: an error or an answer, quickly', () => {
  for (const [name, { offset, length }] of Object.entries(headerV3Compression.fields)) {
    const most = 2n ** BigInt(8 * length) - 1n
    for (const value of [
      0n,
      1n,
      7n,
      8n,
      9n,
      105n,
      511n,
      512n,
      513n,
      most >> 1n,
      (most >> 1n) + 1n,
      most - 1n,
      most,
      2n ** 53n,
      2n ** 53n - 1n,
      2n ** 32n,
      2n ** 31n,
      2n ** 20n,
    ]) {
      if (value > most) continue
      const bytes = Buffer.alloc(length)
      for (let index = 0; index < length; index++)
        bytes[length - 1 - index] = Number((value >> BigInt(8 * index)) & 255n)
      const { code } = outcome(rich().put(offset, bytes))
      if (name === 'magic') assert.equal(code, value === 0x514649fbn ? undefined : 'E_HEADER')
    }
  }
})

test('every entry of the tables at its extremes', () => {
  const base = rich()
  for (const position of [
    base.l1,
    base.l2,
    base.l2 + 24,
    512,
    9 * 512,
    8 * 512,
    8 * 512 + 8,
    8 * 512 + 36,
    8 * 512 + 48,
    10 * 512,
    10 * 512 + 16,
  ]) {
    for (let bit = 0; bit < 64; bit++) {
      for (const word of [1n << BigInt(bit), (1n << BigInt(bit)) - 1n, 2n ** 64n - 1n - (1n << BigInt(bit))])
        outcome(rich().u64(position, word))
    }
  }
})

/** The codes that check finds. */
function findings(file: FileBytes): string[] {
  using image = open(file)
  return [...(image.check?.() ?? [])].flatMap((item) => ('severity' in item ? [item.code] : []))
}

/** A snapshot table that is no use: the disk is read, check finds it, and the snapshot cannot be opened. */
function spoiled(file: FileBytes, code: string): void {
  assert.ok(findings(file).includes(code), code)
  assert.throws(() => open(file, { snapshot: '7' }), { code })
}

test('cut off anywhere: never another content', () => {
  const whole = rich()
  const expected = outcome(rich()).content!
  let readable = 0
  for (let size = 0; size < whole.size; size++) {
    const { content, notes, code } = outcome(rich().cut(size))
    if (content === undefined) {
      assert.ok(['E_TRUNCATED', 'E_HEADER', 'E_COMPRESSED'].includes(code ?? ''), `${size}: ${code ?? ''}`)
      continue
    }
    readable++
    assert.deepEqual(notes, [], `${size} bytes`)
    assert.deepEqual(content, expected, `${size} bytes`)
  }
  // Only what the active disk does not need may be missing: what follows the last byte that decoding needs.
  assert.equal(readable, whole.size - 3791)
  for (let size = 8 * 512; size < 8 * 512 + 68; size++) assert.ok(findings(rich().cut(size)).includes('E_TRUNCATED'))
})

test('an image of ours cut in half is never read to its end', async () => {
  const content = diskLike(1_500_000, 12)
  const variants: OptionValues[] = [
    {},
    { compat: '0.10' },
    { 'cluster-size': 512 },
    { 'cluster-size': 2097152 },
    { compress: 'zlib' },
    { compress: 'zstd', 'cluster-size': 4096 },
    { 'extended-l2': true },
    { preallocation: 'metadata' },
  ]
  for (const options of variants) {
    const store = new MemoryStore()
    using writer = qcow2.create!(store, shape(content.length), options, createContext)
    await copy({ source: openWith('raw', new MemoryStore(content)), target: writer })
    writer.finish()
    const bytes = store.contents()
    for (const part of [0.5, 0.25, 0.75, 0.9, 0.99]) {
      const { code } = outcome(new MemoryStore(bytes.subarray(0, Math.floor(bytes.length * part))))
      assert.ok(
        code === 'E_TRUNCATED' || code === 'E_HEADER',
        `${JSON.stringify(options)} at ${part}: ${code ?? 'read to its end'}`,
      )
    }
  }
})

test('bytes changed at random: only errors of ours', () => {
  const bytes = rich().bytes()
  let state = 77
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % below
  }
  for (let round = 0; round < 3000; round++) {
    const changed = Uint8Array.from(bytes)
    for (let count = 1 + random(6); count > 0; count--)
      changed[random(random(2) === 0 ? 120 : changed.length)] = random(3) === 0 ? 255 : random(256)
    outcome(new MemoryStore(changed))
  }
})

const refused = (file: FileBytes, code: string, message?: RegExp): void => {
  assert.throws(() => open(file), message === undefined ? { code } : { code, message })
}

test('v2 of 71 and of 72 bytes', () => {
  const header = (): HandImage => new HandImage({ version: 2, size: 0 })
  refused(header().cut(71), 'E_TRUNCATED')
  const tiny = header().u32(36, 0).u64(40, 0).u64(48, 0).u32(56, 0).cut(72)
  using image = open(tiny)
  assert.equal(image.capacity, 0)
  assert.deepEqual(
    image.notes.map(({ code }) => code),
    ['W_REFCOUNT_TABLE'],
  )
})

test('header_length, cluster_bits, refcount_order, version', () => {
  for (const length of [0, 72, 96, 100, 101, 105, 4294967295, 65544])
    refused(new HandImage().u32(100, length), 'E_HEADER')
  for (const length of [104, 112, 120]) assert.equal(open(new HandImage().u32(100, length)).capacity, 8 * 65536)
  for (const bits of [0, 8, 22, 63, 4294967295]) refused(new HandImage().u32(20, bits), 'E_HEADER', /cluster_bits/)
  for (let bits = 9; bits <= 21; bits++) assert.equal(open(new HandImage({ clusterBits: bits })).grain, 2 ** bits)
  for (let bits = 9; bits < 14; bits++) refused(new HandImage({ clusterBits: bits, extended: true }), 'E_HEADER')
  for (const order of [7, 255, 4294967295]) refused(new HandImage().u32(96, order), 'E_HEADER', /refcount_order/)
  for (let order = 0; order <= 6; order++) assert.equal(open(new HandImage().u32(96, order)).capacity, 8 * 65536)
  for (const version of [0, 4, 4294967295])
    assert.throws(() => open(new HandImage().u32(4, version)), { kind: 'unsupported', code: 'E_UNSUPPORTED_VERSION' })
})

test('sizes: not a multiple of the sector, and absurd', () => {
  for (const size of [0, 1, 511, 513]) {
    using image = open(new HandImage({ size }).data(0, 5, new Uint8Array(65536).fill(1)))
    assert.equal(image.capacity, size)
    assert.deepEqual(
      image.notes.map(({ code }) => code),
      size === 0 ? [] : ['W_SIZE_NOT_SECTORS'],
    )
    const bytes = new Uint8Array(size)
    image.read(0, bytes)
    assert.ok(bytes.every((byte) => byte === 1))
  }
  for (const size of [2n ** 63n - 1n, 2n ** 64n - 1n, 2n ** 53n]) refused(new HandImage().u64(24, size), 'E_TOO_LARGE')
})

test('l1_size and l1_table_offset', () => {
  const two = 8192 * 65536 + 1
  refused(new HandImage({ size: two }).u32(36, 1), 'E_HEADER', /l1_size is 1 entries, too few/)
  assert.equal(open(new HandImage({ size: two }).u32(36, 3)).capacity, two)
  refused(new HandImage().u32(36, 4194305), 'E_HEADER')
  refused(new HandImage().u32(36, 4294967295), 'E_HEADER')
  refused(new HandImage().u32(36, 4194304), 'E_TRUNCATED')
  for (const [offset, code] of [
    [0, 'E_OVERLAP'],
    [1, 'E_HEADER'],
    [512, 'E_HEADER'],
    [2 ** 40, 'E_TRUNCATED'],
    [5 * 65536, 'E_TRUNCATED'],
    [2n ** 60n, 'E_TOO_LARGE'],
  ] as const)
    refused(new HandImage().u64(40, offset), code)
})

test('the refcount table: unaligned, past the end, over the limit, with blocks nowhere', () => {
  refused(new HandImage().u64(48, 65537), 'E_HEADER')
  refused(new HandImage().u64(48, 2 ** 40), 'E_TRUNCATED')
  refused(new HandImage().u32(56, 2 ** 31), 'E_HEADER')
  using image = open(
    new HandImage()
      .u64(65536, 12345)
      .u64(65544, 2n ** 55n)
      .data(0, 5, sample),
  )
  assert.equal(image.extentAt(0, 1).kind, 'data')
})

test('compression type and its feature bit go together', () => {
  refused(new HandImage().u8(104, 1), 'E_HEADER')
  refused(new HandImage().u64(72, 8n), 'E_HEADER')
  refused(new HandImage().u8(104, 2).u64(72, 8n), 'E_UNSUPPORTED_FEATURE')
  refused(new HandImage().u8(104, 2), 'E_UNSUPPORTED_FEATURE')
  assert.equal(open(new HandImage({ compressionType: 1 })).capacity, 8 * 65536)
})

test('the backing file name: where it may lie, how long it may be', () => {
  refused(new HandImage().u64(8, 65530).u32(16, 10), 'E_HEADER')
  refused(new HandImage().u64(8, 65536).u32(16, 1), 'E_HEADER')
  refused(new HandImage().u64(8, 2 ** 40).u32(16, 1), 'E_HEADER')
  refused(new HandImage().u64(8, 50).u32(16, 10), 'E_HEADER')
  refused(new HandImage().u64(8, 200).u32(16, 1024), 'E_HEADER')
  const upon = new HandImage({ extensions: [[0x12345678, 'x'.repeat(64)]] }).u64(8, 140).u32(16, 5)
  assert.ok(findings(upon).includes('E_HEADER_EXTENSION'))
  assert.equal(open(new HandImage().u64(8, 200).u32(16, 0)).parentReference, undefined)
  assert.deepEqual(open(new HandImage({ backing: 'x'.repeat(1023) })).parentReference?.paths[0]?.length, 1023)
  assert.deepEqual(open(new HandImage({ backing: 'name\0rest' })).parentReference?.paths, ['name'])
})

test('header extensions: too long, unknown, no end mark, ten thousand, up to the last byte of the cluster', () => {
  for (const length of [0xffffffff, 65536])
    assert.ok(findings(new HandImage().u32(112, 0x12345678).u32(116, length)).includes('E_HEADER_EXTENSION'))
  assert.equal(open(new HandImage({ extensions: [[0x12345678, 'abc']] })).capacity, 8 * 65536)
  const last = new HandImage({ clusterBits: 9, extensions: [[0x12345678, 'x'.repeat(512 - 112 - 8)]] })
  assert.equal(open(last.u32(512, 0)).capacity, 4096)
  const many = new HandImage({ clusterBits: 17 })
  for (let index = 0; index < 10000; index++) many.u32(112 + 8 * index, 0x1000 + index)
  assert.match(
    String(
      open(many)
        .describe()[0]
        ?.facts.find(({ name }) => name === 'headerExtensions')?.value,
    ),
    /and 9936 more$/,
  )
})

test('snapshots: how many, where, how large, with a size of their own', () => {
  const one = (): HandImage =>
    new HandImage({ clusterBits: 12, size: 2 * 4096 })
      .data(0, 5, sample)
      .pad(8 * 4096)
      .u32(60, 1)
      .u64(64, 6 * 4096)
      .u64(6 * 4096, 7 * 4096)
      .u32(6 * 4096 + 8, 2)
      .u16(6 * 4096 + 12, 1)
      .u16(6 * 4096 + 14, 1)
      .u32(6 * 4096 + 36, 16)
      .u64(6 * 4096 + 48, 513 * 4096)
      .put(6 * 4096 + 56, '7s')
      .u64(7 * 4096, 4 * 4096)
  using image = open(one(), { snapshot: '7' })
  assert.equal(image.capacity, 513 * 4096)
  assert.equal(image.extentAt(0, 1).kind, 'data')
  assert.equal(image.extentAt(512 * 4096, 1).kind, 'absent')
  for (const [count, position] of [
    [65537, 6 * 4096],
    [4294967295, 6 * 4096],
    [1, 0],
    [1, 6 * 4096 + 8],
  ])
    spoiled(one().u32(60, count!).u64(64, position!), 'E_SNAPSHOT_TABLE')
  spoiled(one().u64(64, 2 ** 40), 'E_TRUNCATED')
  spoiled(one().u32(6 * 4096 + 36, 1025), 'E_SNAPSHOT_TABLE')
  spoiled(one().u32(6 * 4096 + 36, 2 ** 31), 'E_SNAPSHOT_TABLE')
  spoiled(
    one()
      .u16(6 * 4096 + 12, 65535)
      .cut(7 * 4096),
    'E_TRUNCATED',
  )
  const select =
    (file: FileBytes): (() => DiskImage) =>
    () =>
      open(file, { snapshot: '7' })
  assert.throws(select(one().u32(6 * 4096 + 8, 1)), { code: 'E_SNAPSHOT_TABLE' })
  assert.throws(select(one().u32(6 * 4096 + 8, 4294967295)), { code: 'E_SNAPSHOT_TABLE' })
  assert.throws(select(one().u64(6 * 4096, 100)), { code: 'E_SNAPSHOT_TABLE' })
  assert.throws(select(one().u64(6 * 4096, 0)), { code: 'E_SNAPSHOT_TABLE' })
  assert.throws(select(one().u64(6 * 4096, 8 * 4096)), { code: 'E_TRUNCATED' })
  assert.throws(select(one().u64(6 * 4096 + 48, 2n ** 60n)), { code: 'E_TOO_LARGE' })
  using active = open(one().u32(6 * 4096 + 8, 4294967295))
  assert.equal(active.extentAt(0, 1).kind, 'data', 'a damaged snapshot does not spoil the active disk')
  const escapes = one()
    .u16(6 * 4096 + 14, 5)
    .put(6 * 4096 + 57, '\u001b[1m\n')
  assert.ok(
    open(escapes)
      .describe()[1]
      ?.facts.every(({ value }) => typeof value !== 'string' || !/[\u0000-\u001f]/.test(value)),
  )
  assert.throws(() => open(escapes, { snapshot: 'none' }), { message: /7 \(\\u001b\[1m\\u000a\)/ })
})

test('65536 snapshots are listed in time', () => {
  const file = new HandImage({ clusterBits: 12 })
  const table = Buffer.alloc(65536 * 48)
  for (let index = 0; index < 65536; index++) {
    table.writeUInt16BE(4, index * 48 + 12)
    table.write(String(index % 10000).padStart(4, '0'), index * 48 + 40)
  }
  file
    .put(6 * 4096, table)
    .u32(60, 65536)
    .u64(64, 6 * 4096)
  const start = new ProcessorTime()
  const sections = open(file).describe()
  start.atMost(2000)
  assert.ok(sections[1]!.facts.length < 1000)
})

test('legal but unusual: tables in any order, garbage at the end, the L1 table behind the data', () => {
  const file = new HandImage({ clusterBits: 12, size: 2 * 4096 }).data(0, 5, sample).pad(7 * 4096)
  file
    .u64(40, 6 * 4096)
    .u64(6 * 4096, 4 * 4096)
    .put(7 * 4096, 'garbage')
  const { content } = outcome(file)
  assert.deepEqual(content?.subarray(0, 512), sample)
})

test('a vast sparse disk with one cluster at its end is mapped in little memory', () => {
  const clusterBits = 21
  const size = 2 ** 53 - 2 ** 21
  const entries = Math.ceil(size / 2 ** 39)
  const file = new HandImage({ clusterBits: 9, size: 0 })
  file
    .u32(20, clusterBits)
    .u64(24, size)
    .u32(36, entries)
    .u64(40, 2 ** 21)
    .u64(48, 0)
    .u32(56, 0)
  const store = file.store()
  const write = (position: number, word: bigint): void => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(word)
    store.write(position, bytes)
  }
  const last = size / 2 ** 21 - 1
  write(2 ** 21 + (entries - 1) * 8, BigInt(2 * 2 ** 21))
  write(2 * 2 ** 21 + (last % 2 ** 18) * 8, BigInt(3 * 2 ** 21))
  store.write(4 * 2 ** 21 - 1, Uint8Array.of(9))
  using image = openWith('qcow2', store)
  assert.equal(image.capacity, size)
  let extents = 0
  for (let offset = 0; offset < size; extents++) {
    const extent = image.extentAt(offset, Infinity)
    offset += extent.length
    if (extent.kind === 'data') assert.equal(offset, size)
  }
  assert.ok(extents < 100)
})
