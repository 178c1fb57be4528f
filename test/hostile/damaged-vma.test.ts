import { createHash } from 'node:crypto'
import { vma } from '../../src/formats/vma/index.js'
import { diskLike } from '../support/content.js'
import { testDamagedArchives, testRandomArchives, type DamagedArchive } from '../support/damaged-wrapped.js'
import { vmaBytes, vmaUuid, type VmaRecipe } from '../support/vma-bytes.js'

const cluster = 65536
const content = Buffer.alloc(8 * cluster + 12288)
for (const index of [0, 1, 4, 8]) content.set(diskLike(12288, index + 1), index * cluster + (index % 2) * 8192)
const other = Buffer.from(diskLike(2 * cluster, 50))
const disks = { 'drive-scsi0': content, 'drive-scsi1': other }

const made = (recipe: Partial<VmaRecipe> = {}): Buffer => vmaBytes({ disks, ...recipe })
const one = (
  what: string,
  answer: DamagedArchive['answer'],
  recipe: Partial<VmaRecipe> = {},
  change: (bytes: Buffer) => Buffer | undefined = () => undefined,
  notes: readonly string[] = [],
): DamagedArchive => ({
  what,
  make: () => {
    const bytes = made(recipe)
    return change(bytes) ?? bytes
  },
  answer,
  notes,
})
const header = (what: string, answer: DamagedArchive['answer'], change: (bytes: Buffer) => void): DamagedArchive =>
  one(what, answer, { header: change })
const extent = (
  what: string,
  answer: DamagedArchive['answer'],
  change: (bytes: Buffer) => void,
  at = 0,
): DamagedArchive => one(what, answer, { perExtent: 4, extent: (bytes, index) => index === at && change(bytes) })
const flip =
  (position: number) =>
  (bytes: Buffer): undefined => {
    bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position)
  }
const firstExtent = made().indexOf('VMAE')
const missing = ['W_CLUSTERS_MISSING']

/** The extents of an archive, in another order or number. */
const rearranged =
  (change: (extents: Buffer[]) => Buffer[]) =>
  (bytes: Buffer): Buffer => {
    const start = bytes.indexOf('VMAE')
    const extents: Buffer[] = []
    for (let at = start; at < bytes.length;) {
      const end = at + 512 + bytes.readUInt16BE(at + 6) * 4096
      extents.push(bytes.subarray(at, end))
      at = end
    }
    return Buffer.concat([bytes.subarray(0, start), ...change(extents)])
  }
const small = { perExtent: 4 }

testDamagedArchives(vma, content, [
  one('sound', 'same'),
  one('clusters of both disks in turns, backwards', 'same', { order: (index, count) => count - 1 - index }),
  one('clusters in a scattered order', 'same', { order: (index, count) => (index * 7) % count, perExtent: 3 }),
  one('one cluster an extent', 'same', { perExtent: 1 }),
  one('no configuration', 'same', { config: '' }),
  one('a configuration that is none', 'same', { config: '\u0001\u0002 :::\n[\n' }),
  one(
    'the extents in another order',
    'same',
    small,
    rearranged((extents) => extents.reverse()),
  ),
  one('memory of the machine beside the disks', 'same', { disks: { ...disks, vmstate: Buffer.alloc(4096, 1) } }),
  one(
    'an empty extent',
    'same',
    small,
    rearranged((extents) => [...extents, emptyExtent()]),
  ),
  header('version 2', 'refused E_UNSUPPORTED_VERSION', (bytes) => bytes.writeUInt32BE(2, 4)),
  one('a flipped bit in the header', 'refused E_CHECKSUM', {}, flip(4200)),
  one('a flipped bit in the configuration', 'refused E_CHECKSUM', {}, flip(12350)),
  one('a flipped bit in the MD5 of the header', 'refused E_CHECKSUM', {}, flip(33)),
  one('a header alone', 'read E_MAP', {}, (bytes) => bytes.subarray(0, firstExtent), [...missing, ...missing]),
  one('half a header', 'refused E_TRUNCATED', {}, (bytes) => bytes.subarray(0, 6000)),
  one('a header without its last sector', 'refused E_TRUNCATED', {}, (bytes) => bytes.subarray(0, firstExtent - 512)),
  header('a header of 0 bytes', 'refused E_HEADER', (bytes) => bytes.writeUInt32BE(0, 56)),
  header('a header of an odd length', 'refused E_HEADER', (bytes) => bytes.writeUInt32BE(12289, 56)),
  header('a header of 4 GiB', 'refused E_HEADER', (bytes) => bytes.writeUInt32BE(0xfffffe00, 56)),
  header('a blob buffer before its place', 'refused E_HEADER', (bytes) => bytes.writeUInt32BE(512, 48)),
  header('a blob buffer past the header', 'refused E_HEADER', (bytes) => bytes.writeUInt32BE(0xffffffff, 52)),
  header('a name past the blob buffer', 'refused E_HEADER', (bytes) => bytes.writeUInt32BE(0xfffffff0, 4096 + 32)),
  header('a name that passes the blob buffer', 'refused E_HEADER', (bytes) => bytes.writeUInt16LE(0xffff, 12288 + 1)),
  header('a configuration past the blob buffer', 'refused E_HEADER', (bytes) => bytes.writeUInt32BE(0x7fffffff, 3068)),
  header('a disk of 2^63 bytes', 'refused E_TOO_LARGE', (bytes) => bytes.writeBigUInt64BE(2n ** 63n, 4096 + 64 + 8)),
  extent('a cluster behind the end of its disk', 'refused E_EXTENT', (bytes) => bytes.writeUInt32BE(9, 44)),
  extent('cluster 2^32 − 1', 'refused E_EXTENT', (bytes) => bytes.writeUInt32BE(0xffffffff, 44)),
  extent('a cluster of a device that is not there', 'refused E_EXTENT', (bytes) => bytes.writeUInt8(77, 43)),
  extent('two clusters with one number', 'refused E_OVERLAP', (bytes) => bytes.writeUInt32BE(0, 52)),
  extent('more blocks than its clusters have', 'refused E_EXTENT', (bytes) => bytes.writeUInt16BE(9, 6)),
  extent('a bit more in a mask', 'refused E_EXTENT', (bytes) => bytes.writeUInt16BE(0xffff, 40)),
  extent('another magic', 'refused E_EXTENT', (bytes) => bytes.write('VMAX')),
  extent('of another archive', 'refused E_EXTENT', (bytes) => vmaUuid.reverse().copy(bytes, 8) && vmaUuid.reverse()),
  one('a flipped bit in the header of an extent', 'refused E_CHECKSUM', {}, flip(firstExtent + 100)),
  one('a flipped bit in the MD5 of an extent', 'refused E_CHECKSUM', {}, flip(firstExtent + 25)),
  one('cut off by a byte', 'refused E_TRUNCATED', {}, (bytes) => bytes.subarray(0, -1)),
  one('cut off in the header of an extent', 'refused E_TRUNCATED', {}, (bytes) => bytes.subarray(0, firstExtent + 99)),
  one('cut off by a block', 'refused E_TRUNCATED', {}, (bytes) => bytes.subarray(0, -4096)),
  one('bytes behind the last extent', 'refused E_TRUNCATED', {}, (bytes) => Buffer.concat([bytes, Buffer.alloc(9)])),
  one('zeros behind the last extent', 'refused E_EXTENT', {}, (bytes) => Buffer.concat([bytes, Buffer.alloc(512)])),
  one(
    'the last extent missing',
    'read E_MAP',
    small,
    rearranged((extents) => extents.slice(0, -1)),
    [...missing, ...missing],
  ),
  one(
    'the first extent missing',
    'read E_MAP',
    small,
    rearranged((extents) => extents.slice(1)),
    missing,
  ),
  one(
    'an extent twice',
    'refused E_OVERLAP',
    small,
    rearranged((extents) => [...extents, ...extents.slice(0, 1)]),
  ),
  one('a cluster missing in the middle', 'read E_MAP', { without: (_, number) => number === 4 }, undefined, missing),
  one('the last cluster missing', 'read E_MAP', { without: (_, number) => number === 8 }, undefined, missing),
])

function emptyExtent(): Buffer {
  const bytes = Buffer.alloc(512)
  bytes.write('VMAE')
  vmaUuid.copy(bytes, 8)
  createHash('md5').update(bytes).digest().copy(bytes, 24)
  return bytes
}

testRandomArchives(vma, content, made(small), [
  [0, 64],
  [3068, 3080],
  [4096, 4196],
  [12288, firstExtent],
  [firstExtent, firstExtent + 512],
])
