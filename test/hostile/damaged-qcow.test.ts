import zlib from 'node:zlib'
import type { ByteStore } from '../../src/block/types.js'
import { qcow } from '../../src/formats/qcow/index.js'
import { diskLike } from '../support/content.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import { FileBytes } from '../support/qcow2-bytes.js'

const cluster = 4096
const size = 8 * cluster

/**
 * A sound version 1 image: L1 table at byte 48, L2 table in cluster 1, guest clusters 0, 1 and 2 in host clusters 2, 3
 * and 4.
 */
function sound(): FileBytes {
  const file = new FileBytes().pad(5 * cluster)
  file
    .put(0, Buffer.from('QFI\u00fb', 'latin1'))
    .u32(4, 1)
    .u64(24, size)
    .u8(32, 12)
    .u8(33, 9)
    .u64(40, 48)
    .u64(48, cluster)
  for (let guest = 0; guest < 3; guest++)
    file.put((2 + guest) * cluster, diskLike(cluster, guest + 1)).u64(cluster + guest * 8, (2 + guest) * cluster)
  return file
}

const changed = (change: (file: FileBytes) => FileBytes) => (): ByteStore => change(sound()).store()
const refused = (what: string, code: string, change: (file: FileBytes) => FileBytes): Damaged => ({
  what,
  make: changed(change),
  answer: `refused ${code}`,
})
const entry = (word: bigint | number) => changed((file) => file.u64(cluster + 16, word))
const stream = zlib.deflateRawSync(Buffer.alloc(cluster, 'abc'), { windowBits: 12 })
const packedEntry = (position: number, length: number): bigint =>
  (1n << 63n) | (BigInt(length) << 51n) | BigInt(position)
const packed = (data: Uint8Array, length = data.length) =>
  changed((file) =>
    file
      .put(4 * cluster, new Uint8Array(cluster))
      .put(4 * cluster + 100, data)
      .u64(cluster + 16, packedEntry(4 * cluster + 100, length)),
  )

const images: readonly Damaged[] = [
  { what: 'sound', make: changed((file) => file), answer: [] },
  { what: 'a disk that ends within a cluster', make: changed((file) => file.u64(24, 2 * cluster + 100)), answer: [] },
  { what: 'an empty disk', make: changed((file) => file.u64(24, 0)), answer: ['L_UNREFERENCED'] },
  refused('a header cut off', 'E_TRUNCATED', (file) => file.cut(47)),
  refused('cluster_bits 8', 'E_HEADER', (file) => file.u8(32, 8)),
  refused('cluster_bits 17', 'E_HEADER', (file) => file.u8(32, 17)),
  refused('l2_bits 5', 'E_HEADER', (file) => file.u8(33, 5)),
  refused('l2_bits 14', 'E_HEADER', (file) => file.u8(33, 14)),
  refused('a disk of 2^64-1 bytes', 'E_TOO_LARGE', (file) => file.u64(24, 2n ** 64n - 1n)),
  refused('a disk of 2^53-1 bytes', 'E_HEADER', (file) => file.u64(24, 2n ** 53n - 1n)),
  refused('an L1 table on the header', 'E_OVERLAP', (file) => file.u64(40, 40)),
  refused('an L1 table past the end', 'E_TRUNCATED', (file) => file.u64(40, 2 ** 40)),
  refused('a backing name of 1024 bytes', 'E_HEADER', (file) => file.u64(8, 100).u32(16, 1024)),
  refused('a backing name past the end', 'E_HEADER', (file) => file.u64(8, 2 ** 40).u32(16, 10)),
  { what: 'encrypted', make: changed((file) => file.u32(36, 1)), answer: [] },
  {
    what: 'an L1 entry past the end',
    make: changed((file) => file.u64(48, 2 ** 40)),
    answer: ['E_TRUNCATED', 'L_UNREFERENCED'],
  },
  {
    what: 'an L1 entry beyond every file',
    make: changed((file) => file.u64(48, 2n ** 64n - 1n)),
    answer: ['E_TRUNCATED', 'L_UNREFERENCED'],
  },
  {
    what: 'an L1 entry that leads to the header',
    make: changed((file) => file.u64(48, 8)),
    answer: ['E_OVERLAP', 'L_UNREFERENCED'],
  },
  {
    what: 'an L1 entry that leads to data',
    make: changed((file) =>
      file
        .u64(48, 5 * cluster)
        .pad(6 * cluster)
        .u64(5 * cluster, 5 * cluster),
    ),
    answer: ['E_OVERLAP', 'L_UNREFERENCED'],
  },
  {
    what: 'two L1 entries with one table',
    make: changed((file) => file.u64(24, 513 * cluster).u64(56, cluster)),
    answer: ['E_OVERLAP'],
    says: /used 2 times/,
  },
  { what: 'an L2 table cut off', make: changed((file) => file.cut(cluster + 32)), answer: ['E_TRUNCATED'] },
  { what: 'an L2 entry past the end', make: entry(90 * cluster), answer: ['E_TRUNCATED', 'L_UNREFERENCED'] },
  { what: 'an L2 entry that leads to its own table', make: entry(cluster), answer: ['E_OVERLAP', 'L_UNREFERENCED'] },
  { what: 'an L2 entry that leads to the header', make: entry(512), answer: ['E_OVERLAP', 'L_UNREFERENCED'] },
  { what: 'an L2 entry that begins no sector', make: entry(4 * cluster + 8), answer: ['E_L2_ENTRY'] },
  { what: 'an L2 entry that begins a sector and no cluster', make: entry(3 * cluster + 512), answer: ['E_OVERLAP'] },
  { what: 'two L2 entries with one cluster', make: entry(3 * cluster), answer: ['E_OVERLAP', 'L_UNREFERENCED'] },
  { what: 'an absent cluster', make: entry(0), answer: ['L_UNREFERENCED'] },
  { what: 'compressed', make: packed(stream), answer: [] },
  {
    what: 'compressed, with garbage behind the stream',
    make: packed(Buffer.concat([stream, Buffer.alloc(90, 255)])),
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
  },
  { what: 'compressed, and no bytes', make: packed(stream, 0), answer: ['E_L2_ENTRY', 'L_UNREFERENCED'] },
  {
    what: 'compressed, past the end',
    make: entry(packedEntry(90 * cluster, 100)),
    answer: ['E_TRUNCATED', 'L_UNREFERENCED'],
  },
  {
    what: 'compressed, cut off',
    make: changed((file) =>
      file
        .cut(4 * cluster)
        .put(4 * cluster, stream.subarray(0, 8))
        .u64(cluster + 16, packedEntry(4 * cluster, stream.length)),
    ),
    answer: ['E_TRUNCATED'],
  },
  {
    what: 'compressed upon data',
    make: entry(packedEntry(3 * cluster + 9, 20)),
    answer: ['E_COMPRESSED', 'E_OVERLAP', 'L_UNREFERENCED'],
  },
  {
    what: 'compressed clusters side by side',
    make: changed((file) =>
      file
        .put(4 * cluster, new Uint8Array(cluster))
        .put(4 * cluster, stream)
        .put(4 * cluster + stream.length, stream)
        .u64(cluster + 16, packedEntry(4 * cluster, stream.length))
        .u64(cluster + 24, packedEntry(4 * cluster + stream.length, stream.length)),
    ),
    answer: [],
  },
  {
    what: 'space that nothing uses in the middle',
    make: changed((file) => file.pad(7 * cluster).u64(cluster + 24, 6 * cluster)),
    answer: ['L_UNREFERENCED'],
    says: /^4096 bytes/,
  },
  {
    what: 'space that nothing uses at the end',
    make: changed((file) => file.put(9 * cluster, 'garbage')),
    answer: ['L_UNREFERENCED'],
    says: /^16391 bytes/,
  },
  { what: 'less than a cluster behind the end', make: changed((file) => file.put(5 * cluster, 'garbage')), answer: [] },
  {
    what: 'a vast hole behind the content',
    make: () => {
      const store = sound().store()
      store.truncate(2 ** 50)
      return store
    },
    answer: ['L_UNREFERENCED'],
  },
]

testDamaged(qcow, images)
