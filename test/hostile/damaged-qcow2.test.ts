import zlib from 'node:zlib'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { ByteStore } from '../../src/block/types.js'
import { qcow2 } from '../../src/formats/qcow2/index.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import { compressedEntry, HandImage, type FileBytes } from '../support/qcow2-bytes.js'
import { bitmapImage, counted, refcount, snapshotEntry, snapshotImage, soundImage } from '../support/qcow2-sound.js'

const cluster = 4096
const copied = 1n << 63n
const at = (host: number): bigint => BigInt(host * cluster)
const many = (code: string, count: number): string[] => Array.from({ length: count }, () => code)
/** A change of the sound image. */
const changed = (change: (file: HandImage) => FileBytes) => (): ByteStore => change(soundImage()).store()
const refused = (what: string, code: string, change: (file: HandImage) => FileBytes): Damaged => ({
  what,
  make: changed(change),
  answer: `refused ${code}`,
})
/** The sound image with another entry for guest cluster 2, which leaves host cluster 7. */
const entry = (word: bigint | number) => changed((file) => file.map(2, word))
const packed =
  (data: Uint8Array, flags = 0n) =>
  (): ByteStore => {
    const file = soundImage()
      .put(7 * cluster, new Uint8Array(cluster))
      .put(7 * cluster + 100, data)
    return file
      .map(2, compressedEntry(12, 7 * cluster + 100, Math.floor((100 + data.length - 1) / 512)) | flags)
      .store()
  }
const stream = zlib.deflateRawSync(Buffer.alloc(cluster, 'abc'), { windowBits: 12 })
const snapshots = (change: (file: HandImage) => FileBytes) => (): ByteStore => change(snapshotImage()).store()
const extended =
  (word: bigint, bitmap: bigint, rest = 0) =>
  (): ByteStore => {
    const file = new HandImage({ clusterBits: 14, size: 8 * 16384, extended: true })
    return counted(file.pad((5 + rest) * 16384).map(0, word, bitmap)).store()
  }
const dataFile = (change: (file: HandImage) => FileBytes) => (): ByteStore => {
  const file = new HandImage({
    clusterBits: 12,
    size: 8 * cluster,
    incompatible: 4n,
    extensions: [[0x44415441, 'content.bin']],
  })
  return change(counted(file)).store()
}

/**
 * A file with an L1 table of four million entries that all lead to one L2 table, whose entries all lead to one cluster.
 */
function everythingTwice(): ByteStore {
  const file = new HandImage({ clusterBits: 12, size: 8 * cluster })
  const store = new MemoryStore(
    file
      .u32(36, 4194304)
      .u64(40, 8 * cluster)
      .bytes(),
    'hand.qcow2',
  )
  const word = (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(value)
    return bytes
  }
  store.write(8 * cluster, Buffer.alloc(4194304 * 8, word(at(4))))
  store.write(4 * cluster, Buffer.alloc(cluster, word(at(5))))
  const counts = Buffer.alloc(cluster, Buffer.from([0, 1]))
  counts.set([0, 2, 0, 2], 8)
  store.write(2 * cluster, counts)
  return store
}

/** Half a million refcount table entries that all lead to one block. */
function oneBlock(): ByteStore {
  const file = soundImage()
  file.u64(48, 8 * cluster).u32(56, 1024)
  const entries = Buffer.alloc(1024 * cluster)
  for (let index = 0; index < entries.length; index += 8) entries.writeBigUInt64BE(at(2), index)
  return refcount(file.put(8 * cluster, entries), 1, 0).store()
}

/** A disk of nearly 2^53 bytes with one cluster at its end. */
function vast(): ByteStore {
  const size = 2 ** 53 - 2 ** 21
  const entries = Math.ceil(size / 2 ** 39)
  const store = new MemoryStore(
    new HandImage({ clusterBits: 9, size: 0 })
      .u32(20, 21)
      .u64(24, size)
      .u32(36, entries)
      .u64(40, 2 ** 21)
      .u64(48, 4 * 2 ** 21)
      .u32(56, 1)
      .cut(512)
      .bytes(),
    'vast.qcow2',
  )
  const put = (position: number, word: bigint): void => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(word)
    store.write(position, bytes)
  }
  put(2 ** 21 + (entries - 1) * 8, copied | BigInt(2 * 2 ** 21))
  put(2 * 2 ** 21 + ((size / 2 ** 21 - 1) % 2 ** 18) * 8, copied | BigInt(3 * 2 ** 21))
  put(4 * 2 ** 21, BigInt(5 * 2 ** 21))
  store.write(5 * 2 ** 21, Buffer.from('0001'.repeat(6), 'hex'))
  store.truncate(6 * 2 ** 21)
  return store
}

/** A file whose end lies 2^50 bytes behind its content. */
function hollow(): ByteStore {
  const store = soundImage().store()
  store.truncate(2 ** 50)
  return store
}

/** A zstd frame of one raw block with the checksum flag, and a checksum that is wrong. */
function badChecksum(): Uint8Array {
  const header = Buffer.from('28b52ffd64', 'hex')
  return Buffer.concat([
    header,
    Buffer.from([0, 15]),
    Buffer.from([1 + ((cluster << 3) & 0xff), ((cluster << 3) >> 8) & 0xff, cluster >> 13]),
    Buffer.alloc(cluster, 9),
    Buffer.from('01020304', 'hex'),
  ])
}

function zstd(): ByteStore {
  const file = soundImage({ compressionType: 1 })
  const data = badChecksum()
  file
    .pad(10 * cluster)
    .put(8 * cluster, data)
    .map(3, compressedEntry(12, 8 * cluster, Math.floor((data.length - 1) / 512)))
  return counted(file).store()
}

const images: readonly Damaged[] = [
  { what: 'sound', make: changed((file) => file), answer: [] },
  { what: 'sound, version 2', make: () => soundImage({ version: 2 }).store(), answer: [] },
  {
    what: 'a version 2 header of 71 bytes',
    make: () => new HandImage({ version: 2, size: 0 }).cut(71).store(),
    answer: 'refused E_TRUNCATED',
  },
  {
    what: 'a version 2 header and nothing else',
    make: () => new HandImage({ version: 2, size: 0 }).u32(36, 0).u64(40, 0).u64(48, 0).u32(56, 0).cut(72).store(),
    answer: ['W_REFCOUNT_TABLE', 'E_REFCOUNT_MISSING'],
  },
  refused('header_length 101', 'E_HEADER', (file) => file.u32(100, 101)),
  refused('header_length 2^32-1', 'E_HEADER', (file) => file.u32(100, 0xffffffff)),
  refused('cluster_bits 8', 'E_HEADER', (file) => file.u32(20, 8)),
  refused('cluster_bits 63', 'E_HEADER', (file) => file.u32(20, 63)),
  refused('a disk of 2^64-1 bytes', 'E_TOO_LARGE', (file) => file.u64(24, 2n ** 64n - 1n)),
  { what: 'a disk of 511 bytes', make: changed((file) => file.u64(24, 511)), answer: ['W_SIZE_NOT_SECTORS'] },
  refused('an L1 table that is too small', 'E_HEADER', (file) => file.u32(36, 0)),
  { what: 'an L1 table that is too large', make: changed((file) => file.u32(36, 512)), answer: [] },
  refused('l1_table_offset 0', 'E_OVERLAP', (file) => file.u64(40, 0)),
  refused('l1_table_offset unaligned', 'E_HEADER', (file) => file.u64(40, 3 * cluster + 8)),
  refused('l1_table_offset past the end', 'E_TRUNCATED', (file) => file.u64(40, 2 ** 40)),
  {
    what: 'an L1 entry with reserved bits',
    make: changed((file) => file.u64(file.l1, copied | (1n << 57n) | at(4))),
    answer: ['E_L1_ENTRY'],
    says: /reserved/,
  },
  {
    what: 'an L1 entry that begins no cluster',
    make: changed((file) => file.u64(file.l1, copied | (at(4) + 512n))),
    answer: ['E_L1_ENTRY', ...many('L_REFCOUNT', 4)],
  },
  {
    what: 'an L1 entry of a flag alone',
    make: changed((file) => file.u64(file.l1, copied)),
    answer: ['E_L1_ENTRY', ...many('L_REFCOUNT', 4)],
  },
  {
    what: 'an L1 entry past the end',
    make: changed((file) => file.u64(file.l1, copied | at(100))),
    answer: ['E_TRUNCATED', ...many('L_REFCOUNT', 4)],
  },
  {
    what: 'an L1 entry that leads to the refcount block',
    make: changed((file) => file.u64(file.l1, copied | at(2))),
    answer: ['E_OVERLAP', 'E_REFCOUNT', ...many('L_REFCOUNT', 4)],
    says: /refcount block and L2 table/,
  },
  {
    what: 'a last cluster that is short',
    make: changed((file) => file.cut(7 * cluster + 1)),
    answer: ['W_SHORT_CLUSTER'],
  },
  {
    what: 'a file cut before its last cluster',
    make: changed((file) => file.cut(7 * cluster)),
    answer: ['E_TRUNCATED'],
  },
  {
    what: 'an L2 entry past the end',
    make: entry(copied | at(100)),
    answer: ['E_TRUNCATED', 'E_COPIED', 'L_REFCOUNT'],
  },
  {
    what: 'an L2 entry that begins no cluster',
    make: entry(copied | (at(7) + 512n)),
    answer: ['E_L2_ENTRY', 'E_REFCOUNT'],
  },
  {
    what: 'an L2 entry that leads to the L1 table',
    make: entry(copied | at(3)),
    answer: ['E_OVERLAP', 'E_REFCOUNT', 'L_REFCOUNT'],
    says: /L1 table and data/,
  },
  {
    what: 'an L2 entry that leads to its own table',
    make: entry(copied | at(4)),
    answer: ['E_OVERLAP', 'E_REFCOUNT', 'L_REFCOUNT'],
    says: /L2 table and data/,
  },
  {
    what: 'an L2 entry that leads to the refcount table',
    make: entry(copied | at(1)),
    answer: ['E_OVERLAP', 'E_REFCOUNT', 'L_REFCOUNT'],
  },
  {
    what: 'an L2 entry that leads to the refcount table, whose refcount says so',
    make: changed((file) => refcount(refcount(file.map(2, at(1)), 1, 2), 7, 0)),
    answer: ['E_OVERLAP'],
  },
  { what: 'an L2 entry that leads to the header', make: entry(copied), answer: ['L_REFCOUNT'] },
  { what: 'an L2 entry with reserved bits', make: entry(copied | (1n << 60n) | at(7)), answer: ['E_RESERVED_BITS'] },
  {
    what: 'two L2 entries with one cluster',
    make: entry(copied | at(6)),
    answer: ['E_REFCOUNT', 'L_REFCOUNT'],
    says: /used 2 times \(data\)/,
  },
  {
    what: 'two L2 entries with one cluster, as they may',
    make: changed((file) => refcount(refcount(file.map(2, at(6)).map(1, at(6)), 6, 2), 7, 0)),
    answer: [],
  },
  {
    what: 'two L1 entries with one table',
    make: () =>
      soundImage({ size: 512 * cluster + 8 * cluster })
        .u64(3 * cluster + 8, copied | at(4))
        .store(),
    answer: many('E_REFCOUNT', 4),
  },
  { what: 'a flag that is missing', make: entry(at(7)), answer: ['E_COPIED'] },
  {
    what: 'a flag with a refcount of two',
    make: changed((file) => refcount(file, 7, 2)),
    answer: ['E_COPIED', 'L_REFCOUNT'],
  },
  { what: 'a zero cluster that keeps its place', make: entry(copied | at(7) | 1n), answer: [] },
  {
    what: 'a zero flag in version 2',
    make: () => soundImage({ version: 2 }).map(2, 1).store(),
    answer: ['E_L2_ENTRY', 'L_REFCOUNT'],
  },
  { what: 'compressed', make: packed(stream), answer: [] },
  {
    what: 'compressed, with garbage behind the stream',
    make: packed(Buffer.concat([stream, Buffer.alloc(300, 255)])),
    answer: [],
  },
  {
    what: 'compressed, one byte short',
    make: packed(zlib.deflateRawSync(Buffer.alloc(cluster - 1, 'abc'))),
    answer: ['E_COMPRESSED'],
  },
  {
    what: 'compressed with a zlib header',
    make: packed(zlib.deflateSync(Buffer.alloc(cluster, 'abc'))),
    answer: ['E_COMPRESSED'],
    says: /guest offset 8192|does not decode/,
  },
  { what: 'compressed, with the flag', make: packed(stream, copied), answer: ['E_COPIED'] },
  {
    what: 'compressed, past the end',
    make: changed((file) => file.map(2, compressedEntry(12, 90 * cluster, 1))),
    answer: ['E_TRUNCATED', 'L_REFCOUNT'],
  },
  { what: 'compressed with zstd, checksum wrong', make: zstd, answer: ['E_COMPRESSED'] },
  refused('a compression type without its feature', 'E_HEADER', (file) => file.u8(104, 1)),
  {
    what: 'extended L2: a subcluster both allocated and zero',
    make: extended(copied | BigInt(5 * 16384), (1n << 32n) | 1n, 1),
    answer: ['E_L2_ENTRY', 'L_REFCOUNT'],
  },
  { what: 'extended L2: allocated subclusters without a cluster', make: extended(0n, 1n), answer: ['E_L2_ENTRY'] },
  {
    what: 'extended L2: compressed, with subclusters',
    make: extended(compressedEntry(14, 5 * 16384, 0), 1n, 1),
    answer: ['E_L2_ENTRY', 'L_REFCOUNT'],
  },
  { what: 'extended L2: the zero flag', make: extended(1n, 0n), answer: ['E_L2_ENTRY'] },
  { what: 'extended L2: zero subclusters without a cluster', make: extended(0n, 5n << 32n), answer: [] },
  { what: 'a data file, sound', make: dataFile((file) => file.map(0, copied)), answer: [] },
  {
    what: 'a data file, a cluster elsewhere',
    make: dataFile((file) => file.map(0, copied | at(1))),
    answer: ['E_L2_ENTRY'],
  },
  {
    what: 'a data file, compressed',
    make: dataFile((file) => file.map(0, compressedEntry(12, 1000, 0))),
    answer: ['E_L2_ENTRY'],
  },
  { what: 'a raw data file that is none', make: changed((file) => file.u64(88, 2)), answer: ['W_RAW_DATA_FILE'] },
  {
    what: 'a header extension without end',
    make: changed((file) => file.u32(112, 0x12345678).u32(116, 0xffffffff)),
    answer: ['E_HEADER_EXTENSION'],
  },
  {
    what: 'an unknown header extension',
    make: () => soundImage({ extensions: [[0x12345678, 'abc']] }).store(),
    answer: [],
  },
  { what: 'dirty', make: changed((file) => file.u64(72, 1)), answer: ['W_DIRTY'] },
  { what: 'marked corrupt', make: changed((file) => file.u64(72, 2)), answer: ['W_CORRUPT'] },
  refused('an unknown incompatible feature', 'E_UNSUPPORTED_FEATURE', (file) => file.u64(72, 1n << 63n)),
  refused('refcount_order 7', 'E_HEADER', (file) => file.u32(96, 7)),
  {
    what: 'refcounts of one bit, and one cluster used twice',
    make: () =>
      soundImage()
        .u32(96, 0)
        .put(2 * cluster, Buffer.alloc(cluster))
        .put(2 * cluster, Uint8Array.of(0x7f))
        .u64(4 * cluster + 16, copied | at(6))
        .store(),
    answer: ['E_REFCOUNT_OVERFLOW'],
  },
  {
    what: 'refcounts of 64 bits, one of them absurd',
    make: () => {
      const file = soundImage()
        .u32(96, 6)
        .put(2 * cluster, Buffer.alloc(cluster))
      for (let index = 0; index < 8; index++) file.u64(2 * cluster + index * 8, index === 0 ? 2n ** 64n - 1n : 1)
      return file.store()
    },
    answer: ['L_REFCOUNT'],
  },
  {
    what: 'every refcount zero',
    make: changed((file) => file.put(2 * cluster, Buffer.alloc(cluster))),
    answer: [...many('E_REFCOUNT', 8), ...many('E_COPIED', 4)],
  },
  {
    what: 'a cluster that nothing uses',
    make: () => counted(soundImage().pad(9 * cluster)).store(),
    answer: ['L_REFCOUNT'],
  },
  {
    what: 'a refcount table entry with reserved bits',
    make: changed((file) => file.u64(cluster, at(2) | 1n)),
    answer: ['E_REFCOUNT_TABLE', 'L_REFCOUNT'],
  },
  {
    what: 'a refcount table entry that begins no cluster',
    make: changed((file) => file.u64(cluster, at(2) + 512n)),
    answer: ['E_REFCOUNT_TABLE'],
  },
  {
    what: 'a refcount table entry past the end',
    make: changed((file) => file.u64(cluster, at(900))),
    answer: ['E_REFCOUNT_TABLE', ...many('E_REFCOUNT_MISSING', 7), ...many('E_COPIED', 4)],
  },
  {
    what: 'an empty refcount table',
    make: changed((file) => file.u64(cluster, 0)),
    answer: [...many('E_REFCOUNT_MISSING', 7), ...many('E_COPIED', 4)],
  },
  {
    what: 'two refcount table entries with one block',
    make: changed((file) => file.u64(cluster + 8, at(2))),
    answer: ['E_OVERLAP', 'E_REFCOUNT'],
  },
  refused('a refcount table of 2^31 clusters', 'E_HEADER', (file) => file.u32(56, 2 ** 31)),
  { what: 'a snapshot, sound', make: snapshots((file) => file), answer: [] },
  {
    what: 'a snapshot, with the flags of a refcount of one left',
    make: snapshots((file) => file.u64(file.l1, copied | at(4)).map(0, copied | at(5))),
    answer: ['E_COPIED', 'E_COPIED'],
  },
  {
    what: 'a snapshot whose L1 table begins no cluster',
    make: snapshots((file) => file.u64(8 * cluster, 9 * cluster + 8)),
    answer: ['E_SNAPSHOT_TABLE', ...many('L_REFCOUNT', 5)],
  },
  {
    what: 'a snapshot whose L1 table is past the end',
    make: snapshots((file) => file.u64(8 * cluster, 90 * cluster)),
    answer: ['E_TRUNCATED', ...many('L_REFCOUNT', 5)],
  },
  {
    what: 'a snapshot whose L1 table is the active one',
    make: snapshots((file) => file.u64(8 * cluster, 3 * cluster)),
    answer: ['E_OVERLAP', 'E_REFCOUNT', 'L_REFCOUNT'],
  },
  {
    what: 'a snapshot with an L1 table of 2^32-1 entries',
    make: snapshots((file) => file.u32(8 * cluster + 8, 0xffffffff)),
    answer: ['E_SNAPSHOT_TABLE', ...many('L_REFCOUNT', 5)],
  },
  {
    what: 'a snapshot with a disk too large for its L1 table',
    make: snapshots((file) => file.u64(8 * cluster + 48, 2 ** 40)),
    answer: ['E_SNAPSHOT_TABLE'],
  },
  {
    what: 'a snapshot without extra data in version 3',
    make: snapshots((file) => {
      snapshotEntry(file, 8 * cluster, { l1: 9 * cluster, entries: 1, id: '1', size: 0, extra: 0 })
      return file
    }),
    answer: ['E_SNAPSHOT_TABLE'],
  },
  {
    what: 'two snapshots of one id',
    make: snapshots((file) => {
      snapshotEntry(file.u32(60, 2), 8 * cluster + 64, { l1: 10 * cluster, entries: 1, id: '1', size: 8 * cluster })
      return counted(file.u64(10 * cluster, at(4)).pad(11 * cluster), { 4: 3, 5: 3, 6: 3, 7: 3 })
    }),
    answer: ['W_SNAPSHOT_ID'],
  },
  {
    what: 'a snapshot id that would write on the terminal',
    make: () =>
      snapshotImage({}, '\u001b[2J')
        .u32(8 * cluster + 8, 0xffffffff)
        .store(),
    answer: ['E_SNAPSHOT_TABLE', ...many('L_REFCOUNT', 5)],
  },
  {
    what: '65537 snapshots',
    make: snapshots((file) => file.u32(60, 65537)),
    answer: ['E_SNAPSHOT_TABLE', ...many('L_REFCOUNT', 6)],
  },
  {
    what: '65536 snapshots with one L1 table',
    make: () => {
      const file = snapshotImage()
        .u32(60, 65536)
        .u64(64, 10 * cluster)
      const table = Buffer.alloc(65536 * 64)
      for (let index = 0; index < 65536; index++) {
        table.writeBigUInt64BE(BigInt(9 * cluster), index * 64)
        table.writeUInt32BE(1, index * 64 + 8)
        table.writeUInt16BE(6, index * 64 + 12)
        table.writeUInt32BE(16, index * 64 + 36)
        table.writeBigUInt64BE(BigInt(8 * cluster), index * 64 + 48)
        table.write(String(index).padStart(6, '0'), index * 64 + 56)
      }
      return refcount(counted(file.put(10 * cluster, table)), 8, 0).store()
    },
    answer: ['E_OVERLAP', ...many('E_REFCOUNT', 5), ...many('E_REFCOUNT_OVERFLOW', 5), ...many('E_COPIED', 4)],
  },
  { what: 'bitmaps, sound', make: () => bitmapImage().store(), answer: [] },
  {
    what: 'bitmaps that are stale',
    make: () => bitmapImage(false).store(),
    answer: ['W_BITMAPS_STALE', ...many('L_REFCOUNT', 3)],
  },
  {
    what: 'a bitmap in use',
    make: () =>
      bitmapImage()
        .u32(8 * cluster + 12, 1)
        .store(),
    answer: ['W_BITMAP_IN_USE'],
  },
  {
    what: 'a bitmap directory that is too short',
    make: () => bitmapImage(true, { count: 3 }).store(),
    answer: ['E_BITMAPS', ...many('L_REFCOUNT', 2)],
  },
  {
    what: 'a bitmap directory past the end',
    make: () => bitmapImage(true, { size: 2 ** 40 }).store(),
    answer: ['E_TRUNCATED', 'E_BITMAPS', ...many('L_REFCOUNT', 3)],
  },
  {
    what: '2^32-1 bitmaps',
    make: () => bitmapImage(true, { count: 0xffffffff }).store(),
    answer: ['E_BITMAPS', ...many('L_REFCOUNT', 2)],
  },
  {
    what: 'a bitmap table of 2^32-1 entries',
    make: () =>
      bitmapImage()
        .u32(8 * cluster + 8, 0xffffffff)
        .store(),
    answer: ['E_BITMAPS', ...many('L_REFCOUNT', 2)],
  },
  {
    what: 'a bitmap table entry with reserved bits',
    make: () =>
      bitmapImage()
        .u64(9 * cluster, at(10) | (1n << 60n))
        .store(),
    answer: ['E_BITMAPS', 'L_REFCOUNT'],
  },
  {
    what: 'bitmaps that are said to be there, and are not',
    make: changed((file) => file.u64(88, 1)),
    answer: ['W_BITMAPS'],
  },
  { what: 'encrypted with AES', make: changed((file) => file.u32(32, 1)), answer: [] },
  {
    what: 'encrypted with LUKS, its header past the end',
    make: () =>
      soundImage({
        extensions: [
          [0x0537be77, Buffer.from('0000010000000000000000000001000', 'hex')],
          [0x0537be77, Buffer.concat([Buffer.from('0000000000100000', 'hex'), Buffer.from('0000000000001000', 'hex')])],
        ],
      })
        .u32(32, 2)
        .store(),
    answer: ['E_CRYPTO_HEADER'],
  },
  {
    what: 'garbage behind the last cluster',
    make: changed((file) => file.put(8 * cluster, 'garbage')),
    answer: ['W_TRAILING'],
  },
  {
    what: 'the L1 table behind the data',
    make: changed((file) =>
      refcount(
        refcount(file.u64(40, 8 * cluster).put(8 * cluster, file.bytes().subarray(3 * cluster, 4 * cluster)), 8, 1),
        3,
        0,
      ),
    ),
    answer: [],
  },
  {
    what: 'four million L1 entries with one L2 table',
    make: everythingTwice,
    answer: [
      ...many('E_OVERLAP', 2),
      ...many('E_REFCOUNT', 2),
      ...many('E_REFCOUNT_OVERFLOW', 2),
      ...many('L_REFCOUNT', 3),
      ...many('E_REFCOUNT_MISSING', 8200 - 2048),
    ],
  },
  {
    what: 'half a million refcount table entries with one block',
    make: oneBlock,
    answer: ['E_OVERLAP', 'E_REFCOUNT_OVERFLOW', 'E_REFCOUNT', ...many('E_REFCOUNT', 1024)],
  },
  { what: 'a vast disk', make: vast, answer: [] },
  { what: 'a file with a vast hole behind its content', make: hollow, answer: [] },
]

testDamaged(qcow2, images)
