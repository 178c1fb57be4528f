import { MemoryStore } from '../../src/block/memory-store.js'
import { vhd } from '../../src/formats/vhd/index.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import {
  assemble,
  block512K,
  dynamicVhd,
  footerBytes,
  headerBytes,
  idBytes,
  noOffset,
  type DynamicParts,
  type FooterParts,
  type HeaderParts,
} from '../support/vhd-bytes.js'

/** Bytes of a block of 512 KiB with its bitmap, and a disk of two of them: everything right. */
const blockLength = 524800
const full = block512K(() => true)
const [first, second] = [2048, 2048 + blockLength]
const footer: FooterParts = { currentSize: 1048576n, chs: [30, 4, 17] }

function disk(parts: DynamicParts = {}): MemoryStore {
  return dynamicVhd({
    words: [first / 512, second / 512],
    blocks: [
      [first, full],
      [second, full],
    ],
    ...parts,
    footer: { ...footer, ...parts.footer },
    header: { blockSize: 524288, ...parts.header },
  })
}

/** The disk with other words in its BAT. */
const table = (...words: number[]): MemoryStore => disk({ words })
const withFooter = (parts: FooterParts) => (): MemoryStore => disk({ footer: parts })
const withHeader = (parts: HeaderParts) => (): MemoryStore => disk({ header: parts })

/** Changes bytes of a structure, and its checksum with them. */
function resealed(bytes: Uint8Array, at: number, values: readonly number[], checksumAt: number): Uint8Array {
  bytes.set(values, at)
  bytes.fill(0, checksumAt, checksumAt + 4)
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(checksumAt, ~bytes.reduce((sum, byte) => sum + byte, 0) >>> 0)
  return bytes
}

function patched(store: MemoryStore, position: number, bytes: Uint8Array | readonly number[]): MemoryStore {
  store.write(position, Uint8Array.from(bytes))
  return store
}

function cut(store: MemoryStore, size: number): MemoryStore {
  store.truncate(size)
  return store
}

const parentId = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index)
const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le')

/** A child of `base.vhd`, whose locator's text stands after the BAT. */
function child(parts: HeaderParts = {}, text: Uint8Array = utf16('.\\base.vhd')): MemoryStore {
  return patched(
    dynamicVhd({
      footer: { ...footer, type: 4 },
      words: [0xffffffff, 0xffffffff],
      endPosition: 2048 + Math.ceil(text.length / 512) * 512,
      header: {
        blockSize: 524288,
        parentId,
        parentName: 'base.vhd',
        locators: [{ code: 'W2ru', offset: 2048n, length: text.length }],
        ...parts,
      },
    }),
    2048,
    text,
  )
}

function fixed(parts: FooterParts = {}, slack = 0, data = 1048576): MemoryStore {
  return assemble([
    [0, new Uint8Array(data).fill(7)],
    [data + slack, footerBytes({ ...footer, type: 2, ...parts })],
  ])
}

/** A disk of 510 GiB, every block of it in place; the data is a hole. */
function large(): MemoryStore {
  const blocks = 261120
  const store = new MemoryStore(undefined, 'large.vhd')
  const footer510 = footerBytes({ currentSize: BigInt(blocks * 2097152), chs: [65535, 16, 255] })
  const start = 1536 + blocks * 4
  const words = Buffer.alloc(blocks * 4)
  // The last two lie upon each other.
  for (let block = 0; block < blocks; block++)
    words.writeUInt32BE(start / 512 + Math.min(block, blocks - 2) * 4097, block * 4)
  store.write(0, footer510)
  store.write(512, headerBytes({ entries: blocks, blockSize: 2097152 }))
  store.write(1536, words)
  store.write(start + (blocks - 1) * 4097 * 512, footer510)
  return store
}

const images: readonly Damaged[] = [
  { what: 'nothing is wrong', make: () => disk(), answer: [] },
  // Footers.
  { what: 'the footer is missing', make: () => cut(disk(), second + blockLength), answer: ['E_FOOTER_COPY_USED'] },
  {
    what: 'the checksum of the footer is wrong',
    make: () => disk({ end: { checksumError: 1 } }),
    answer: ['E_FOOTER_COPY_USED'],
    says: /byte 0 is used/,
  },
  {
    what: 'the checksum of the copy is wrong',
    make: () => disk({ copy: { checksumError: 1 } }),
    answer: ['E_FOOTER_COPY_DAMAGED'],
  },
  { what: 'there is no copy of the footer', make: () => disk({ copy: null }), answer: ['E_FOOTER_COPY_DAMAGED'] },
  {
    what: 'the copy has another time',
    make: () => disk({ copy: { time: 1 } }),
    answer: ['E_FOOTERS_DIFFER'],
    says: /timeStamp/,
  },
  { what: 'both checksums are wrong', make: withFooter({ checksumError: 1 }), answer: 'refused E_CHECKSUM' },
  {
    what: 'both checksums are wrong, and it is read nevertheless',
    make: withFooter({ checksumError: 1 }),
    options: { 'ignore-checksums': true },
    answer: ['E_CHECKSUM', 'E_FOOTER_COPY_DAMAGED'],
  },
  {
    what: 'bytes follow the footer',
    make: () => disk({ trailing: new Uint8Array(1000) }),
    answer: ['E_FOOTER_NOT_AT_END'],
    says: /1000 bytes follow/,
  },
  {
    what: 'so many bytes follow the footer that it is out of sight',
    make: () => disk({ trailing: new Uint8Array(2097152) }),
    answer: ['E_FOOTER_COPY_USED', 'L_UNREFERENCED'],
  },
  { what: 'the reserved feature bit is clear', make: withFooter({ features: 0 }), answer: ['W_FEATURES'] },
  { what: 'an unknown feature bit is set', make: withFooter({ features: 0x102 }), answer: ['W_FEATURES_UNKNOWN'] },
  { what: 'the disk is temporary, which is no damage', make: withFooter({ features: 3 }), answer: [] },
  { what: 'version 1.1', make: withFooter({ version: 0x00010001 }), answer: ['W_MINOR_VERSION'] },
  { what: 'version 2.0', make: withFooter({ version: 0x00020000 }), answer: 'refused E_VERSION' },
  { what: 'a saved state', make: withFooter({ savedState: 1 }), answer: ['W_SAVED_STATE'] },
  { what: 'a unique id of zeros', make: withFooter({ id: new Uint8Array(16) }), answer: ['W_UUID_ZERO'] },
  {
    what: 'reserved bytes of the footer are set',
    make: () => {
      const bytes = resealed(footerBytes(footer), 300, [9], 64)
      return patched(patched(disk(), 0, bytes), second + blockLength, bytes)
    },
    answer: ['W_RESERVED'],
    says: /footer/,
  },
  { what: 'a geometry of another size', make: withFooter({ chs: [10, 4, 17] }), answer: ['W_GEOMETRY'] },
  { what: 'a geometry of zeros', make: withFooter({ chs: [0, 0, 0] }), answer: ['W_GEOMETRY'] },
  {
    what: 'a creator that goes by the geometry, and a geometry of another size',
    make: withFooter({ chs: [10, 4, 17], creator: 'vpc ' }),
    answer: ['W_GEOMETRY', 'W_SIZE_CHS'],
  },
  { what: 'disk type 0', make: withFooter({ type: 0 }), answer: 'refused E_TYPE' },
  { what: 'disk type 5', make: withFooter({ type: 5 }), answer: 'refused E_TYPE' },
  {
    what: 'a size of zero',
    make: withFooter({ currentSize: 0n, chs: [0, 4, 17] }),
    answer: ['L_BLOCK_BEYOND_DISK', 'L_BLOCK_BEYOND_DISK', 'W_SIZE_ZERO'],
  },
  { what: 'a size of 2^63', make: withFooter({ currentSize: 2n ** 63n }), answer: 'refused E_TOO_LARGE' },
  {
    what: 'a size that is no multiple of 512',
    make: withFooter({ currentSize: 1048577n }),
    answer: ['W_SIZE_ROUNDED'],
  },
  { what: 'data_offset of a fixed disk', make: withFooter({ dataOffset: noOffset }), answer: 'refused E_DATA_OFFSET' },
  { what: 'data_offset upon the copy', make: withFooter({ dataOffset: 0n }), answer: 'refused E_OVERLAP' },
  { what: 'data_offset past the end', make: withFooter({ dataOffset: 2n ** 40n }), answer: 'refused E_TRUNCATED' },
  // The dynamic header.
  {
    what: 'the cookie of the dynamic header is damaged',
    make: withHeader({ cookie: 'cxspars?' }),
    answer: 'refused E_DYN_MAGIC',
  },
  {
    what: 'the checksum of the dynamic header is wrong',
    make: withHeader({ checksumError: 1 }),
    answer: 'refused E_CHECKSUM',
  },
  {
    what: 'the checksum of the dynamic header is wrong, and it is read nevertheless',
    make: withHeader({ checksumError: 1 }),
    options: { 'ignore-checksums': true },
    answer: ['E_CHECKSUM'],
  },
  { what: 'version 1.1 of the dynamic header', make: withHeader({ version: 0x00010001 }), answer: 'refused E_VERSION' },
  { what: 'blocks of 3 MiB', make: withHeader({ blockSize: 3 * 1048576 }), answer: 'refused E_BLOCK_SIZE' },
  { what: 'blocks of 256 bytes', make: withHeader({ blockSize: 256 }), answer: 'refused E_BLOCK_SIZE' },
  { what: 'blocks of no bytes', make: withHeader({ blockSize: 0 }), answer: 'refused E_BLOCK_SIZE' },
  { what: 'a BAT of one entry too few', make: withHeader({ entries: 1 }), answer: 'refused E_BAT_SMALL' },
  { what: 'a BAT of 2^32−1 entries', make: withHeader({ entries: 0xffffffff }), answer: 'refused E_BAT_LARGE' },
  { what: 'a BAT at an odd place', make: withHeader({ tableOffset: 1537n }), answer: 'refused E_TABLE_OFFSET' },
  {
    what: 'a BAT upon the copy of the footer',
    make: () => patched(disk(), 512, headerBytes({ entries: 2, blockSize: 524288, tableOffset: 0n })),
    answer: 'refused E_OVERLAP',
  },
  {
    what: 'a BAT past the end',
    make: () => patched(disk(), 512, headerBytes({ entries: 2, blockSize: 524288, tableOffset: 2n ** 41n })),
    answer: 'refused E_TRUNCATED',
  },
  {
    what: 'reserved bytes of the dynamic header are set',
    make: () => patched(disk(), 512, resealed(headerBytes({ entries: 2, blockSize: 524288 }), 900, [1, 2], 36)),
    answer: ['W_RESERVED'],
    says: /dynamic header/,
  },
  { what: 'the dynamic header points on', make: withHeader({ dataOffset: 4096n }), answer: ['W_DATA_OFFSET'] },
  {
    what: 'a disk without parent that names one',
    make: withHeader({ parentName: 'base.vhd' }),
    answer: ['W_PARENT_UNUSED'],
  },
  // The BAT.
  {
    what: 'an entry of zero: the block lies upon the copy of the footer',
    make: () => table(0, second / 512),
    answer: ['E_OVERLAP', 'L_UNREFERENCED'],
    says: /upon the copy of the footer/,
  },
  {
    what: 'the whole BAT is a hole',
    make: () => table(0, 0),
    answer: ['E_OVERLAP', 'L_UNREFERENCED'],
    says: /blocks? 0/,
  },
  {
    what: 'a block inside the BAT',
    make: () => table(3, second / 512),
    answer: ['E_OVERLAP', 'L_UNREFERENCED'],
    says: /upon the BAT/,
  },
  { what: 'a block past the end', make: () => table(first / 512, 0x10000), answer: ['E_TRUNCATED', 'L_UNREFERENCED'] },
  {
    what: 'the greatest sector there is',
    make: () => table(0xfffffffe, second / 512),
    answer: ['E_TRUNCATED', 'L_UNREFERENCED'],
  },
  { what: 'two blocks in one place', make: () => table(first / 512, first / 512), answer: ['E_OVERLAP'] },
  {
    what: 'two blocks that share one sector',
    make: () =>
      disk({
        words: [4, 1028],
        blocks: [
          [first, full],
          [1028 * 512, full],
        ],
      }),
    answer: ['E_OVERLAP'],
    says: /shares bytes with block 0/,
  },
  { what: 'blocks in reverse order, which is no damage', make: () => table(second / 512, first / 512), answer: [] },
  { what: 'a block that no entry names', make: () => table(first / 512, 0xffffffff), answer: ['L_UNREFERENCED'] },
  {
    what: 'an entry for a block behind the end of the disk',
    make: () =>
      disk({
        words: [4, 1029, 2054],
        blocks: [
          [first, full],
          [second, full],
          [2054 * 512, full],
        ],
      }),
    answer: ['L_BLOCK_BEYOND_DISK'],
  },
  { what: 'an unused entry that names nothing', make: () => table(4, 1029, 0x7000000), answer: ['W_BAT_UNUSED_ENTRY'] },
  {
    what: 'the last block is cut off',
    make: () => cut(disk(), second + 100000),
    answer: ['E_FOOTER_COPY_USED', 'E_TRUNCATED'],
  },
  { what: 'the file ends in the BAT', make: () => cut(disk(), 1540), answer: 'refused E_TRUNCATED' },
  { what: 'the file ends in the copy of the footer', make: () => cut(disk(), 300), answer: 'refused E_TRUNCATED' },
  { what: 'an empty file', make: () => assemble([], 0), answer: 'refused E_TRUNCATED' },
  // Sector bitmaps.
  {
    what: 'data in sectors that were never written',
    make: () =>
      disk({
        blocks: [
          [first, block512K((sector) => sector !== 1000)],
          [second, full],
        ],
      }),
    answer: ['E_BITMAP_CLEAR_DATA'],
    says: /sector 1000/,
  },
  {
    what: 'a bitmap of zeros before a block of data',
    make: () =>
      disk({
        blocks: [
          [first, full],
          [second, block512K(() => false)],
        ],
      }),
    answer: ['E_BITMAP_CLEAR_DATA'],
  },
  {
    what: 'a bitmap with bits for sectors that no block has',
    make: () => patched(disk(), first + 200, [0x55]),
    answer: ['W_BITMAP_PADDING'],
  },
  {
    what: 'the last block ends with the disk',
    make: () =>
      disk({
        footer: { currentSize: 786432n, chs: [22, 4, 17] },
        blocks: [
          [first, full],
          [second, full.subarray(0, 512 + 262144)],
        ],
        endPosition: second + 512 + 262144,
      }),
    answer: ['W_LAST_BLOCK_SHORT'],
  },
  // Parents.
  { what: 'nothing is wrong with a child', make: () => child(), answer: [] },
  { what: 'a parent id of zeros', make: () => child({ parentId: new Uint8Array(16) }), answer: ['E_PARENT_ID'] },
  { what: 'the parent has the id of the child', make: () => child({ parentId: idBytes }), answer: ['E_PARENT_ID'] },
  {
    what: 'no file is named as the parent',
    make: () => child({ parentName: '', locators: [] }),
    answer: ['E_PARENT_MISSING'],
  },
  {
    what: 'the path of the parent lies past the end',
    make: () => child({ locators: [{ code: 'W2ru', offset: 100000n, length: 20 }] }),
    answer: ['E_PARENT_LOCATOR'],
  },
  {
    what: 'a path of 2^32−1 bytes',
    make: () => child({ locators: [{ code: 'W2ku', offset: 2048n, length: 0xffffffff }] }),
    answer: ['E_PARENT_LOCATOR', 'W_PARENT_LOCATOR_SPACE'],
  },
  {
    what: 'an odd number of bytes of UTF-16',
    make: () => child({ locators: [{ code: 'W2ru', offset: 2048n, length: 19 }] }),
    answer: ['E_PARENT_LOCATOR'],
    says: /odd length/,
  },
  { what: 'a NUL in the path', make: () => child({}, utf16('a\0b.vhd')), answer: ['E_PARENT_LOCATOR'], says: /NUL/ },
  {
    what: 'a locator of an unknown kind',
    make: () => child({ locators: [{ code: 'X2ru', offset: 2048n, length: 20 }] }),
    answer: ['W_PARENT_LOCATOR_CODE'],
  },
  {
    what: 'the path of the parent lies upon the BAT',
    make: () => child({ locators: [{ code: 'W2ru', offset: 1536n, length: 20 }] }),
    answer: ['E_OVERLAP'],
    says: /parent locator|the BAT/,
  },
  {
    what: 'less room for a path than it has bytes',
    make: () => child({ locators: [{ code: 'W2ru', offset: 2048n, length: 600, space: 512 }] }, utf16('x'.repeat(300))),
    answer: ['W_PARENT_LOCATOR_SPACE'],
  },
  // Fixed disks.
  { what: 'nothing is wrong with a fixed disk', make: () => fixed(), answer: [] },
  {
    what: 'bytes follow the footer of a fixed disk',
    make: () => patched(fixed(), 1049088, new Uint8Array(512)),
    answer: ['E_FOOTER_NOT_AT_END'],
  },
  { what: 'a fixed disk is shorter than its size', make: () => fixed({}, 0, 1048064), answer: 'refused E_TRUNCATED' },
  { what: 'bytes between a fixed disk and its footer', make: () => fixed({}, 4096), answer: ['L_SLACK'] },
  { what: 'a footer of 511 bytes', make: () => cut(fixed(), 1049087), answer: ['W_FOOTER_511'] },
  { what: 'a footer of which 100 bytes are left', make: () => cut(fixed(), 1048676), answer: 'refused E_TRUNCATED' },
  {
    what: 'the checksum of a fixed disk is wrong',
    make: () => fixed({ checksumError: 1 }),
    answer: 'refused E_CHECKSUM',
  },
  {
    what: 'a fixed disk that points at a dynamic header',
    make: () => fixed({ dataOffset: 512n }),
    answer: ['W_DATA_OFFSET'],
  },
  // Size.
  {
    what: 'a large disk, whose last two blocks share a place',
    make: large,
    shallow: true,
    answer: ['E_OVERLAP'],
    says: /blocks 261118 to 261119 all lie/,
  },
]

testDamaged(vhd, images)
