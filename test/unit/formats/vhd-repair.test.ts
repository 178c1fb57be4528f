import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemoryStore } from '../../../src/block/memory-store.js'
import { isImageError } from '../../../src/errors.js'
import { vhd } from '../../../src/formats/vhd/index.js'
import { openContext } from '../../support/drivers.js'
import { testRepairs } from '../../support/repairs.js'
import {
  assemble,
  block512K,
  dynamicVhd,
  footerBytes,
  type DynamicParts,
  type FooterParts,
} from '../../support/vhd-bytes.js'

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

function cut(store: MemoryStore, size: number): MemoryStore {
  store.truncate(size)
  return store
}

const fixed = (parts: FooterParts = {}): MemoryStore =>
  assemble([
    [0, new Uint8Array(1048576).fill(7)],
    [1048576, footerBytes({ ...footer, type: 2, ...parts })],
  ])
const content = Buffer.concat([full.subarray(512), full.subarray(512)])
const flat = new Uint8Array(1048576).fill(7)
const footerAt = second + blockLength

testRepairs(vhd, [
  { what: 'nothing is wrong', make: () => disk(), mends: [] },
  { what: 'the footer is missing', make: () => cut(disk(), footerAt), mends: ['E_FOOTER_COPY_USED'] },
  { what: 'the footer is damaged', make: () => disk({ end: { checksumError: 1 } }), mends: ['E_FOOTER_COPY_USED'] },
  {
    what: 'only 30 bytes of the footer are left',
    make: () => cut(disk(), footerAt + 30),
    mends: ['E_FOOTER_COPY_USED'],
  },
  {
    what: 'half of the footer is left, and proves the rest',
    make: () => cut(disk(), footerAt + 256),
    mends: ['E_TRUNCATED'],
    content,
  },
  {
    what: 'only 256 bytes of the footer of a fixed disk are left',
    make: () => cut(fixed(), 1048576 + 256),
    mends: ['E_TRUNCATED'],
    content: flat,
  },
  { what: 'a footer of 511 bytes', make: () => cut(fixed(), 1048576 + 511), mends: ['W_FOOTER_511'] },
  {
    what: 'bytes follow the footer',
    make: () => disk({ trailing: new Uint8Array(1000).fill(1) }),
    mends: ['E_FOOTER_NOT_AT_END'],
  },
  {
    what: 'bytes follow the footer of a fixed disk',
    make: () => {
      const store = fixed()
      store.write(store.size, new Uint8Array(512).fill(1))
      return store
    },
    mends: ['E_FOOTER_NOT_AT_END'],
  },
  { what: 'there is no copy of the footer', make: () => disk({ copy: null }), mends: ['E_FOOTER_COPY_DAMAGED'] },
  {
    what: 'the copy of the footer is damaged',
    make: () => disk({ copy: { checksumError: 3 } }),
    mends: ['E_FOOTER_COPY_DAMAGED'],
  },
  { what: 'the copy has another time', make: () => disk({ copy: { time: 1 } }), mends: ['E_FOOTERS_DIFFER'] },
  {
    what: 'the copy is of another size: which one is right is not known',
    make: () => disk({ copy: { currentSize: 524288n } }),
    mends: [],
    left: ['E_FOOTERS_DIFFER'],
  },
  {
    what: 'bytes follow the footer, whose copy is gone with the tail of the disk in it',
    make: () => disk({ copy: { time: 1 }, trailing: new Uint8Array(600) }),
    mends: ['E_FOOTER_NOT_AT_END', 'E_FOOTERS_DIFFER'],
  },
  {
    what: 'the checksum of the dynamic header, which the blocks prove',
    make: () => disk({ header: { blockSize: 524288, checksumError: 9 } }),
    mends: ['E_CHECKSUM'],
    content,
  },
  {
    what: 'that checksum and the footer',
    make: () => cut(disk({ header: { blockSize: 524288, checksumError: 9 } }), footerAt),
    mends: ['E_FOOTER_COPY_USED', 'E_CHECKSUM'],
    content,
  },
  {
    what: 'the last block is cut off, which nothing brings back',
    make: () => cut(disk(), second + 100352),
    mends: ['E_FOOTER_COPY_USED'],
    left: ['E_TRUNCATED'],
  },
  {
    what: 'a block past the end is not guessed',
    make: () => disk({ words: [4, 0x10000] }),
    mends: [],
    left: ['E_TRUNCATED', 'L_UNREFERENCED'],
  },
  { what: 'two blocks in one place are left', make: () => disk({ words: [4, 4] }), mends: [], left: ['E_OVERLAP'] },
  {
    what: 'a short last block keeps its place',
    make: () =>
      cut(
        disk({
          footer: { currentSize: 786432n, chs: [22, 4, 17] },
          blocks: [
            [first, full],
            [second, full.subarray(0, 512 + 262144)],
          ],
          endPosition: second + 512 + 262144,
        }),
        second + 512 + 262144 + 40,
      ),
    mends: ['E_FOOTER_COPY_USED'],
    left: ['W_LAST_BLOCK_SHORT'],
  },
])

/** The file as repair leaves it, and the error it ends with. */
function refused(store: MemoryStore): string {
  const before = store.contents()
  let code = ''
  try {
    for (const item of vhd.repair!(store, openContext))
      assert.ok(!('code' in item), `it did something: ${JSON.stringify(item)}`)
  } catch (error) {
    assert.ok(isImageError(error), String(error))
    ;({ code } = error)
  }
  assert.equal(Buffer.compare(store.contents(), before), 0)
  return code
}

test('vhd repair: what nothing proves is left as it is', () => {
  assert.equal(refused(disk({ footer: { ...footer, checksumError: 1 } })), 'E_CHECKSUM')
  assert.equal(refused(fixed({ checksumError: 1 })), 'E_CHECKSUM')
  assert.equal(refused(cut(fixed(), 1048576)), 'E_NOT_VHD')
  assert.equal(refused(disk({ header: { cookie: 'cxspars?' } })), 'E_DYN_MAGIC')
  // Blocks of 1 MiB would lie upon each other, blocks of 256 KiB would leave holes: the header does not say what the
  // file holds.
  assert.equal(
    refused(
      disk({ footer: { currentSize: 2097152n, chs: [61, 4, 17] }, header: { blockSize: 1048576, checksumError: 1 } }),
    ),
    '',
  )
  assert.equal(
    refused(
      disk({ footer: { currentSize: 524288n, chs: [15, 4, 17] }, header: { blockSize: 262144, checksumError: 1 } }),
    ),
    '',
  )
  // Nothing is stored that could prove anything.
  assert.equal(refused(disk({ words: [0xffffffff, 0xffffffff], blocks: [], header: { checksumError: 1 } })), '')
  // What is said of the parent may be what is damaged.
  assert.equal(refused(disk({ footer: { ...footer, type: 4 }, header: { checksumError: 1 } })), '')
})

test('vhd repair: the footer of a disk in the disk is not written over', () => {
  // The file was cut off inside block 1, whose content there looks like the footer of a damaged disk.
  const inner = block512K(() => true)
  inner.set(footerBytes({ type: 2, currentSize: 99840n, checksumError: 5 }), 100352 - 512)
  const store = cut(
    disk({
      blocks: [
        [first, full],
        [second, inner],
      ],
    }),
    second + 100352,
  )
  const actions = [...vhd.repair!(store, openContext)]
  assert.deepEqual(
    actions.flatMap((item) => ('code' in item ? [[item.code, item.position]] : [])),
    [['E_FOOTER_COPY_USED', second + 100352]],
  )
})
