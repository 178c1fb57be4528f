import assert from 'node:assert/strict'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { isImageError } from '../../../src/errors.js'
import { decodeL2Entry } from '../../../src/formats/qcow/entries.js'
import { qcow } from '../../../src/formats/qcow/index.js'
import { header } from '../../../src/formats/qcow/structs.js'
import type { MemoryStore } from '../../../src/block/memory-store.js'
import type { DiskImage } from '../../../src/formats/driver.js'
import { diskLike, readAll } from '../../support/content.js'
import { openWith } from '../../support/drivers.js'
import { FileBytes } from '../../support/qcow2-bytes.js'

interface Shape {
  readonly clusterBits?: number
  readonly l2Bits?: number
  readonly size?: number
  readonly backing?: string
}

/** A version 1 image written by hand: header, L1 table at byte 512, L2 table at byte 4096, data from `dataStart` on. */
class HandImage extends FileBytes {
  readonly l2 = 4096
  readonly dataStart: number
  readonly cluster: number

  constructor({ clusterBits = 12, l2Bits = 9, size = 8 * 2 ** clusterBits, backing }: Shape = {}) {
    super()
    this.cluster = 2 ** clusterBits
    this.dataStart = 4096 + 65536
    this.pad(this.dataStart)
    this.put(0, Buffer.from('QFI\u00fb', 'latin1'))
      .u32(4, 1)
      .u64(24, size)
      .u8(32, clusterBits)
      .u8(33, l2Bits)
      .u64(40, 512)
    if (backing !== undefined) this.u64(8, 48).u32(16, Buffer.byteLength(backing)).put(48, backing)
    this.u64(512, 4096)
  }

  map(guest: number, entry: bigint | number): this {
    return this.u64(this.l2 + guest * 8, entry)
  }
}

const open = (file: FileBytes): DiskImage => openWith('qcow', file.store())

test('the compressed entry of the specification', () => {
  const table = new DataView(new ArrayBuffer(8))
  table.setBigUint64(0, 0x8138000000002000n)
  // The specification's example reads 39 bytes; bits 51 and up of the word hold the length for clusters of 4 KiB.
  assert.deepEqual(decodeL2Entry(table, 0, 12), { kind: 'packed', position: 0x2000, storedLength: 0x27 })
  table.setBigUint64(0, 0x2000n)
  assert.deepEqual(decodeL2Entry(table, 0, 12), { kind: 'data', position: 0x2000 })
  table.setBigUint64(0, 0n)
  assert.deepEqual(decodeL2Entry(table, 0, 12), { kind: 'absent' })
})

test('clusters of every size: plain, compressed, absent, and a disk that ends within a cluster', () => {
  for (let clusterBits = 9; clusterBits <= 16; clusterBits++) {
    const cluster = 2 ** clusterBits
    const plain = [
      diskLike(cluster, clusterBits),
      new Uint8Array(cluster).fill(7),
      new Uint8Array(cluster),
      diskLike(cluster, 99),
    ]
    const packed = zlib.deflateRawSync(plain[1]!, { windowBits: 12 })
    const file = new HandImage({ clusterBits, size: 4 * cluster - 100 })
    file.put(file.dataStart, plain[0]!).map(0, file.dataStart)
    file.put(file.dataStart + cluster, plain[3]!).map(3, file.dataStart + cluster)
    file
      .put(file.dataStart + 2 * cluster + 3, packed)
      .map(
        1,
        (1n << 63n) | (BigInt(packed.length) << BigInt(63 - clusterBits)) | BigInt(file.dataStart + 2 * cluster + 3),
      )
    using image = open(file)
    assert.deepEqual(
      readAll(image),
      Uint8Array.from(Buffer.concat(plain).subarray(0, 4 * cluster - 100)),
      `bits ${clusterBits}`,
    )
    assert.equal(image.extentAt(cluster, Infinity).kind, 'packed')
    assert.equal(image.extentAt(2 * cluster, Infinity).kind, 'absent')
    assert.deepEqual(image.notes, [])
  }
})

test('l2_bits at both ends', () => {
  for (const l2Bits of [6, 13]) {
    const coverage = 4096 * 2 ** l2Bits
    const file = new HandImage({ l2Bits, size: 3 * coverage }).u64(512 + 16, 4096)
    file.put(file.dataStart, diskLike(4096, 2)).map(5, file.dataStart)
    using image = open(file)
    const found = new Uint8Array(4096)
    image.read(2 * coverage + 5 * 4096, found)
    assert.deepEqual(found, diskLike(4096, 2))
    assert.equal(image.extentAt(coverage, Infinity).kind, 'absent')
  }
})

test('a backing file has a name and no format', () => {
  using image = open(new HandImage({ backing: 'dir/base.img' }))
  assert.deepEqual(image.parentReference?.paths, ['dir/base.img'])
  assert.equal(image.parentReference.format, undefined)
  for (const name of ['nbd:host:1', 'fat:floppy:/etc', 'json:{"file.filename":"x"}']) {
    using other = open(new HandImage({ backing: name }))
    assert.throws(() => other.parentReference?.paths, { kind: 'reference', code: 'E_BACKING_UNSUPPORTED' })
    assert.ok(other.describe()[0]?.facts.some(({ value }) => value === name))
  }
  using prefixed = open(new HandImage({ backing: 'file:base' }))
  assert.deepEqual(prefixed.parentReference?.paths, ['base'])
})

test('encrypted: described, not read', () => {
  using image = open(new HandImage().u32(36, 1))
  assert.throws(() => image.extentAt(0, 1), { kind: 'unsupported', code: 'E_ENCRYPTED' })
  assert.ok(image.describe()[0]?.facts.some(({ value }) => value === 'AES'))
})

test('the end of the file: within a cluster zeros and a note, before it an error; damage is named', () => {
  const bytes = diskLike(4096, 3).fill(65, 0, 600)
  const file = (): HandImage => new HandImage({ size: 8192 }).put(4096 + 65536, bytes).map(0, 4096 + 65536)
  using image = open(file().cut(4096 + 65536 + 600))
  const expected = new Uint8Array(8192)
  expected.set(bytes.subarray(0, 600))
  assert.deepEqual(readAll(image), expected)
  assert.deepEqual(
    image.notes.map(({ code }) => code),
    ['W_SHORT_CLUSTER'],
  )
  const throwsAt0 = (hand: FileBytes, code: string): void => {
    using bad = open(hand)
    assert.throws(() => bad.read(0, new Uint8Array(1)), { kind: 'corrupt', code })
  }
  throwsAt0(file().cut(4096 + 65536), 'E_TRUNCATED')
  throwsAt0(file().cut(4096 + 8), 'E_TRUNCATED')
  throwsAt0(file().map(0, 4096 + 65536 + 1), 'E_CORRUPT')
  throwsAt0(file().map(0, (1n << 63n) | 70000n), 'E_CORRUPT')
  throwsAt0(file().map(0, (1n << 63n) | (100n << 51n) | 69632n), 'E_COMPRESSED')
  throwsAt0(file().map(0, 2n ** 62n), 'E_TRUNCATED')
  throwsAt0(file().u64(512, 2 ** 40), 'E_TRUNCATED')
  throwsAt0(file().u64(512, 8), 'E_OVERLAP')
  throwsAt0(file().u64(512, 512), 'E_OVERLAP')
})

test('headers that must be refused', () => {
  const refused = (file: FileBytes, code: string): void => {
    assert.throws(() => open(file), { code })
  }
  refused(new HandImage().cut(47), 'E_TRUNCATED')
  for (const bits of [0, 8, 17, 255]) refused(new HandImage().u8(32, bits), 'E_HEADER')
  for (const bits of [0, 5, 14, 255]) refused(new HandImage().u8(33, bits), 'E_HEADER')
  refused(new HandImage().u64(24, 2n ** 63n - 1n), 'E_TOO_LARGE')
  refused(new HandImage().u64(24, 2n ** 52n), 'E_HEADER')
  refused(new HandImage().u64(40, 0), 'E_OVERLAP')
  refused(new HandImage().u64(40, 2 ** 40), 'E_TRUNCATED')
  refused(new HandImage().u64(8, 48).u32(16, 1024), 'E_HEADER')
  refused(new HandImage().u64(8, 2 ** 40).u32(16, 5), 'E_HEADER')
  refused(new HandImage().u64(8, 3).u32(16, 5), 'E_HEADER')
  assert.equal(open(new HandImage({ size: 0 })).capacity, 0)
})

test('every header field at its extremes, and every cut: only errors of ours', () => {
  const attempt = (store: MemoryStore): void => {
    try {
      using image = openWith('qcow', store)
      image.describe()
      for (let offset = 0, count = 0; offset < image.capacity && count < 300; count++) {
        const extent = image.extentAt(offset, Infinity)
        assert.ok(extent.length > 0)
        image.read(offset, new Uint8Array(Math.min(extent.length, 65536)))
        offset += extent.length
      }
    } catch (error) {
      assert.ok(isImageError(error), error instanceof Error ? error.stack : String(error))
    }
  }
  const sound = (): HandImage =>
    new HandImage({ backing: 'b' })
      .put(4096 + 65536, diskLike(8192))
      .map(0, 4096 + 65536)
      .map(1, (1n << 63n) | (50n << 51n) | 70000n)
  for (const { offset, length } of Object.values(header.fields)) {
    for (const byte of [0, 1, 127, 128, 255]) attempt(sound().put(offset, new Uint8Array(length).fill(byte)).store())
  }
  for (let size = 0; size < 600; size++) attempt(sound().cut(size).store())
  for (let size = 4000; size < 4200; size++) attempt(sound().cut(size).store())
  for (let bit = 0; bit < 64; bit++) {
    for (const position of [512, 4096, 4104])
      attempt(
        sound()
          .u64(position, 1n << BigInt(bit))
          .store(),
      )
  }
})

test('probe: version 1 only', () => {
  const bytes = new HandImage().bytes()
  assert.equal(qcow.probe(bytes, bytes, bytes.length), 'certain')
  for (const length of [0, 3, 7]) assert.equal(qcow.probe(bytes.subarray(0, length), bytes, length), 'no')
  bytes[7] = 2
  assert.equal(qcow.probe(bytes, bytes, bytes.length), 'no')
})
