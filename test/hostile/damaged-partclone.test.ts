import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { noise } from '../../fixtures/content.js'
import { giveContent } from '../../src/block/content-taker.js'
import { finish } from '../../src/block/work.js'
import { partcloneImage, partcloneOneImage, type PartcloneOptions } from '../../fixtures/spec-writer/backups.js'
import type { MemoryStore } from '../../src/block/memory-store.js'
import { partclone } from '../../src/formats/partclone/index.js'
import { readAll } from '../support/content.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import { openContext } from '../support/drivers.js'
import { ImageBytes } from '../support/image-bytes.js'

const block = 4096
/** Blocks 0 to 9, 20 to 29 and 39 are stored: 21 of 40, three strips of eight. */
const content = Buffer.alloc(40 * block)
for (const index of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 39])
  content.set(noise(index + 1, block), index * block)
const dataStart = 110 + 5 + 4
const strip = 8 * block + 4

class Bytes extends ImageBytes {
  u16(position: number, value: number): this {
    this.bytes.writeUInt16LE(value, position)
    return this
  }
  /** Puts the checksum of the header right. */
  sealed(): this {
    return this.u32(106, ~crc32(this.bytes.subarray(0, 106)) >>> 0)
  }
  mapSealed(): this {
    return this.u32(115, ~crc32(this.bytes.subarray(110, 115)) >>> 0)
  }
  override store(): MemoryStore {
    return super.store('damaged.pcl')
  }
}

type Change = (file: Bytes) => Bytes
const two = (options?: PartcloneOptions): Bytes => new Bytes(partcloneImage(content, options))
const one = (): Bytes => new Bytes(partcloneOneImage(content))
const found = (what: string, answer: readonly string[], change: Change, make = two): Damaged => ({
  what,
  make: () => change(make()).store(),
  answer,
})
const refused = (what: string, code: string, change: Change, make = two): Damaged => ({
  what,
  make: () => change(make()).store(),
  answer: `refused ${code}`,
})
/** A field of the header changed, and the checksum put right. */
const header = (what: string, code: string, change: Change): Damaged =>
  refused(what, code, (file) => change(file).sealed())
const running = (): Bytes => two({ reseed: false })
const bytewise = (): Bytes => two({ bitmap: 'bytes' })

const images: readonly Damaged[] = [
  found('sound', [], (file) => file),
  found('sound, version 1', [], (file) => file, one),
  found('sound, one checksum after the other', [], (file) => file, running),
  refused('109 bytes', 'E_TRUNCATED', (file) => file.cut(109)),
  refused('63 bytes', 'E_TRUNCATED', (file) => file.cut(63)),
  refused('version 3', 'E_VERSION', (file) => file.text(30, '0003')),
  refused('version 0', 'E_VERSION', (file) => file.text(30, '0000')),
  header('no byte order', 'E_HEADER', (file) => file.u16(34, 0xffff)),
  header('the byte order of other machines', 'E_CHECKSUM', (file) => file.u16(34, 0xdec0)),
  refused('one bit of the header', 'E_CHECKSUM', (file) => file.u8(70, 22)),
  refused('the checksum of the header', 'E_CHECKSUM', (file) => file.u32(106, 0)),
  header('a device of no bytes', 'E_HEADER', (file) => file.u64(52, 0n)),
  header('a device of 2^64-1 bytes', 'E_TOO_LARGE', (file) => file.u64(52, 2n ** 64n - 1n)),
  header('no blocks', 'E_HEADER', (file) => file.u64(60, 0n)),
  header('2^40 blocks', 'E_HEADER', (file) => file.u64(60, 2n ** 40n)),
  header('2^64-1 blocks', 'E_TOO_LARGE', (file) => file.u64(60, 2n ** 64n - 1n)),
  header('2^33 blocks', 'E_TRUNCATED', (file) => file.u64(60, 2n ** 33n)),
  // The bitmap has then a byte more: the first of its checksum, behind which the checksum is right once more.
  header('one block more', 'E_TRUNCATED', (file) => file.u64(60, 41n)),
  header('more used than there are', 'E_HEADER', (file) => file.u64(76, 41n)),
  header('one used block more', 'E_MAP', (file) => file.u64(76, 22n)),
  header('no used block', 'E_MAP', (file) => file.u64(76, 0n)),
  found('another count by the super block', [], (file) => file.u64(68, 7n).sealed()),
  header('blocks of no bytes', 'E_HEADER', (file) => file.u32(84, 0)),
  header('blocks of 513 bytes', 'E_HEADER', (file) => file.u32(84, 513)),
  header('blocks of 2^31 bytes', 'E_HEADER', (file) => file.u32(84, 2 ** 31)),
  header('blocks of 2048 bytes', 'E_TRAILING_DATA', (file) => file.u32(84, 2048)),
  header('blocks of 8192 bytes', 'E_TRUNCATED', (file) => file.u32(84, 8192)),
  header('checksums of an unknown kind', 'E_UNSUPPORTED_FEATURE', (file) => file.u16(96, 0x40)),
  header('checksums of eight bytes', 'E_HEADER', (file) => file.u16(98, 8)),
  header('checksums of no blocks', 'E_HEADER', (file) => file.u32(100, 0)),
  header('checksums of 2^32-1 blocks', 'E_TRAILING_DATA', (file) => file.u32(100, 0xffffffff)),
  header('checksums of seven blocks', 'E_TRUNCATED', (file) => file.u32(100, 2)),
  header('a bitmap of an unknown kind', 'E_HEADER', (file) => file.u8(105, 2)),
  header('a bitmap of bytes that is one of bits', 'E_MAP', (file) => file.u8(105, 8)),
  refused('a bit of the bitmap', 'E_CHECKSUM', (file) => file.u8(111, 0xff)),
  refused('a block more in the bitmap', 'E_MAP', (file) => file.u8(111, 7).mapSealed()),
  refused('cut off in the bitmap', 'E_TRUNCATED', (file) => file.cut(112)),
  refused('cut off behind the bitmap', 'E_TRUNCATED', (file) => file.cut(dataStart)),
  refused('cut off within the last block', 'E_TRUNCATED', (file) => file.cut(file.bytes.length - 10)),
  refused('cut off before the last checksum', 'E_TRUNCATED', (file) => file.cut(file.bytes.length - 4)),
  refused('a byte behind the end', 'E_TRAILING_DATA', (file) => file.add(1)),
  found('a byte of the first strip', ['E_CHECKSUM'], (file) => file.fill(dataStart + 100, 1, 0xee)),
  found('a byte of each strip', ['E_CHECKSUM', 'E_CHECKSUM', 'E_CHECKSUM'], (file) =>
    file
      .fill(dataStart, 1, 0xee)
      .fill(dataStart + strip, 1, 0xee)
      .fill(dataStart + 2 * strip, 1, 0xee),
  ),
  found('a checksum', ['E_CHECKSUM'], (file) => file.u32(dataStart + 8 * block, 1)),
  found('the last checksum', ['E_CHECKSUM'], (file) => file.u32(file.bytes.length - 4, 1)),
  found('a byte, one checksum after the other', ['E_CHECKSUM'], (file) => file.fill(dataStart + 9, 1, 0xee), running),
  refused('a mark behind the bitmap', 'E_MAP', (file) => file.text(110 + 40, 'x'), bytewise),
  refused('a block less in a bitmap of bytes', 'E_MAP', (file) => file.u8(110, 0), bytewise),
  refused('an odd byte in place of a 1', 'E_MAP', (file) => file.u8(4160, 3), one),
  found('an odd byte in place of a 0', ['W_BITMAP'], (file) => file.u8(4160 + 15, 3), one),
  refused('version 1 with blocks of -1 bytes', 'E_HEADER', (file) => file.u32(36, 0xffffffff), one),
  refused('version 1 with 2^50 blocks', 'E_HEADER', (file) => file.u64(48, 2n ** 50n), one),
  refused('version 1, cut off', 'E_TRUNCATED', (file) => file.cut(file.bytes.length - 1), one),
  refused('version 1, a mark behind the bitmap', 'E_MAP', (file) => file.text(4160 + 40, 'x'), one),
  found('version 1, the first byte of a block', ['E_CHECKSUM'], (file) => file.fill(4160 + 48, 1, 0xee), one),
  found('a device that goes on behind its filesystem', ['W_NOT_COVERED'], (file) =>
    file.u64(52, BigInt(content.length + 512)).sealed(),
  ),
  found('a device that ends in a block', [], (file) => file.u64(52, BigInt(content.length - 512)).sealed()),
]

testDamaged(partclone, images)

test('partclone: blocks that do not have their checksum are never given out', () => {
  const damaged = two({}).fill(dataStart + 3 * block, 1, 0xee)
  assert.throws(() => readAll(partclone.open(damaged.store(), openContext)), { code: 'E_CHECKSUM', kind: 'corrupt' })
  // What cannot be verified for single blocks is, for who reads all of them (unit/operations/stored-checksums).
  for (const options of [{ reseed: false }, { mode: 'crc32', blocksPerChecksum: 5000, blockSize: 4096 }] as const)
    for (const [file, codes] of [
      [two(options).fill(dataStart + 3 * block, 1, 0xee), ['E_CHECKSUM']],
      [two(options), []],
    ] as const) {
      const disk = partclone.open(file.store(), openContext)
      const sums = disk.contentSums?.(0, disk.capacity)
      assert.ok(sums !== undefined)
      finish(giveContent(disk, sums))
      assert.deepEqual(
        [...sums.findings()].map(({ code }) => code),
        codes,
      )
    }
  // One block of a damaged strip, and one of another: each strip has its own checksum.
  const image = partclone.open(
    two()
      .fill(dataStart + 3 * block, 1, 0xee)
      .store(),
    openContext,
  )
  const bytes = new Uint8Array(512)
  assert.throws(() => image.read(7 * block + 17, bytes), { code: 'E_CHECKSUM' })
  image.read(28 * block, bytes)
  assert.ok(Buffer.from(bytes).equals(content.subarray(28 * block, 28 * block + 512)))
})
