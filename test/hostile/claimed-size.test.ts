import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import zlib from 'node:zlib'
import { test, type TestContext } from 'node:test'
import { cowdExtent, descriptorText, seSparseExtent } from '../../fixtures/spec-writer/vmdk.js'
import { isImageError } from '../../src/errors.js'
import { check } from '../../src/operations/check/check.js'
import { compare } from '../../src/operations/inspect/compare.js'
import { hash } from '../../src/operations/inspect/hash.js'
import { info } from '../../src/operations/inspect/info.js'
import { map } from '../../src/operations/inspect/map.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { create } from '../../src/operations/transfer/create.js'
import { measure } from '../../src/operations/transfer/measure.js'
import { testFolder } from '../support/folder.js'
import { tarBytes } from '../support/ova-bytes.js'
import { ProcessorTime } from '../support/processor-time.js'

/**
 * Images of a few MiB whose tables lead to the same places again and again, so that they claim 64 TiB of content. A
 * walk over what they claim would take hours; what they hold is looked at in a moment.
 */

const tib = 2 ** 40
const copied = 1n << 63n

function words(count: number, word: (index: number) => bigint): Buffer {
  const bytes = Buffer.alloc(count * 8)
  for (let index = 0; index < count; index++) bytes.writeBigUInt64BE(word(index), index * 8)
  return bytes
}

interface Parts {
  readonly size: number
  readonly parts: readonly (readonly [number, Uint8Array])[]
}

interface Qcow2Shape {
  readonly clusterBits?: number
  readonly capacity?: number
  /** L2 tables that the L1 entries share. */
  readonly tables?: number
  /** The entries of a table: `data` is the first byte behind all tables. */
  readonly entry: (index: number, data: number) => bigint
  /** Where the file ends, at least. */
  readonly size?: number
  /** What the data is. */
  readonly content?: Uint8Array
}

function qcow2({ clusterBits = 16, capacity = 64 * tib, tables = 1, entry, size = 0, content }: Qcow2Shape): Parts {
  const cluster = 2 ** clusterBits
  const entries = cluster / 8
  const l1Entries = Math.ceil(capacity / (cluster * entries))
  const l1 = 3 * cluster
  const l2 = l1 + Math.ceil((l1Entries * 8) / cluster) * cluster
  const data = l2 + tables * cluster
  const header = Buffer.alloc(104)
  header.write('QFI\xfb', 0, 'latin1')
  header.writeUInt32BE(3, 4)
  header.writeUInt32BE(clusterBits, 20)
  header.writeBigUInt64BE(BigInt(capacity), 24)
  header.writeUInt32BE(l1Entries, 36)
  header.writeBigUInt64BE(BigInt(l1), 40)
  header.writeBigUInt64BE(BigInt(cluster), 48)
  header.writeUInt32BE(1, 56)
  header.writeUInt32BE(4, 96)
  header.writeUInt32BE(104, 100)
  const table = words(entries, (index) => entry(index, data))
  return {
    size: Math.max(size, data + cluster),
    parts: [
      [0, header],
      [cluster, words(1, () => BigInt(2 * cluster))],
      [l1, words(l1Entries, (index) => copied | BigInt(l2 + (index % tables) * cluster))],
      ...Array.from({ length: tables }, (_, index): [number, Buffer] => [l2 + index * cluster, table]),
      [data, content ?? Buffer.alloc(cluster, 'x')],
    ],
  }
}

function qcow(): Parts {
  const cluster = 65536
  const entries = 8192
  const l1Entries = (64 * tib) / (cluster * entries)
  const l2 = 48 + l1Entries * 8 + 464
  const data = l2 + entries * 8
  const header = Buffer.alloc(48)
  header.write('QFI\xfb', 0, 'latin1')
  header.writeUInt32BE(1, 4)
  header.writeBigUInt64BE(BigInt(64 * tib), 24)
  header.writeUInt8(16, 32)
  header.writeUInt8(13, 33)
  header.writeBigUInt64BE(48n, 40)
  return {
    size: data + cluster,
    parts: [
      [0, header],
      [48, words(l1Entries, () => BigInt(l2))],
      [l2, words(entries, () => BigInt(data))],
      [data, Buffer.alloc(cluster, 'x')],
    ],
  }
}

/** A dynamic VHD of 2040 GiB whose blocks all lie in one place; the header is that of an image of our own. */
async function vhd(folder: string): Promise<Parts> {
  const path = join(folder, 'empty.vhd')
  await create(path, { size: 2040 * 2 ** 30 })
  const bytes = fs.readFileSync(path)
  const header = Number(bytes.readBigUInt64BE(16))
  const table = Number(bytes.readBigUInt64BE(header + 16))
  const entries = bytes.readUInt32BE(header + 28)
  const blockSize = bytes.readUInt32BE(header + 32)
  const data = bytes.length - 512
  const places = Buffer.alloc(entries * 4)
  for (let index = 0; index < entries; index++) places.writeUInt32BE(data / 512, index * 4)
  return {
    size: data + 512 + blockSize + 512,
    parts: [
      [0, bytes.subarray(0, data)],
      [table, places],
      [data, Buffer.alloc(512, 0xff)],
      [data + 512, Buffer.alloc(blockSize, 'v')],
      [data + 512 + blockSize, bytes.subarray(data)],
    ],
  }
}

/** A VHDX of 64 TiB, in blocks of 256 MiB, that all lie in one place. */
async function vhdx(folder: string): Promise<Parts> {
  const path = join(folder, 'empty.vhdx')
  await create(path, { size: 64 * tib, options: { 'block-size': 256 * 2 ** 20 } })
  const bytes = fs.readFileSync(path)
  const region = [0, 1].map((index) => 192 * 1024 + 16 + index * 32)
  const batEntry = region.find((at) => bytes.subarray(at, at + 4).toString('hex') === '6677c22d') ?? 0
  const bat = Number(bytes.readBigUInt64LE(batEntry + 16))
  const chunkRatio = (2 ** 23 * 512) / (256 * 2 ** 20)
  const blocks = (64 * tib) / (256 * 2 ** 20)
  const table = Buffer.alloc((blocks + Math.floor((blocks - 1) / chunkRatio)) * 8)
  for (let block = 0; block < blocks; block++)
    table.writeBigUInt64LE(BigInt(bytes.length) | 6n, (block + Math.floor(block / chunkRatio)) * 8)
  return {
    size: bytes.length + 256 * 2 ** 20,
    parts: [
      [0, bytes],
      [bat, table],
      [bytes.length, Buffer.alloc(65536, 'v')],
    ],
  }
}

/** A sparse VMDK of 1 TiB: every entry of both directories leads to one table, whose entries lead to one grain. */
async function vmdk(folder: string): Promise<Parts> {
  const path = join(folder, 'empty.vmdk')
  await create(path, { size: tib })
  const bytes = fs.readFileSync(path)
  const grain = Number(bytes.readBigUInt64LE(20)) * 512
  const entries = bytes.readUInt32LE(44)
  const count = Math.ceil(tib / (grain * entries))
  const table = bytes.length
  const data = table + entries * 4
  const words32 = (length: number, value: number): Buffer => {
    const all = Buffer.alloc(length * 4)
    for (let at = 0; at < all.length; at += 4) all.writeUInt32LE(value, at)
    return all
  }
  return {
    size: data + grain,
    parts: [
      [0, bytes],
      ...[48, 56].map((at): [number, Buffer] => [Number(bytes.readBigUInt64LE(at)) * 512, words32(count, table / 512)]),
      [table, words32(entries, data / 512)],
      [data, Buffer.alloc(grain, 'v')],
    ],
  }
}

function written(path: string, { size, parts }: Parts): string {
  const file = fs.openSync(path, 'w')
  fs.ftruncateSync(file, size)
  for (const [position, bytes] of parts) fs.writeSync(file, bytes, 0, bytes.length, position)
  fs.closeSync(file)
  return path
}

const kinds: readonly (readonly [string, string, (folder: string) => Parts | Promise<Parts>])[] = [
  ['one L2 table for every L1 entry', 'same.qcow2', () => qcow2({ entry: (_, data) => copied | BigInt(data) })],
  [
    'one L2 table of a whole half GiB, in a file that is mostly a hole',
    'hollow.qcow2',
    () => qcow2({ entry: (index, data) => copied | BigInt(data + index * 65536), size: 2 ** 42 }),
  ],
  ['one L2 table that says zero', 'zero.qcow2', () => qcow2({ entry: () => 1n })],
  [
    'many L2 tables of one cluster',
    'cluster.qcow2',
    () => qcow2({ capacity: 2 ** 33, tables: 16, entry: (_, data) => copied | BigInt(data) }),
  ],
  [
    'many L2 tables of a few clusters, in a file that is mostly a hole',
    'clusters.qcow2',
    () =>
      qcow2({
        capacity: 2 ** 35,
        tables: 64,
        entry: (index, data) => copied | BigInt(data + ((index * 7) % 64) * 65536),
        size: 2 ** 42,
      }),
  ],
  [
    'clusters of 2 MiB',
    'large.qcow2',
    () => qcow2({ clusterBits: 21, tables: 2, entry: (_, data) => copied | BigInt(data), size: 2 ** 30 }),
  ],
  [
    'one compressed cluster',
    'packed.qcow2',
    () =>
      qcow2({
        capacity: 2 ** 35,
        tables: 64,
        entry: (_, data) => (1n << 62n) | BigInt(data),
        content: zlib.deflateRawSync(Buffer.alloc(65536), { windowBits: 12 }),
      }),
  ],
  ['QCOW 1: one L2 table', 'same.qcow', qcow],
  ['VHD: one block', 'same.vhd', vhd],
  ['VHDX: one block', 'same.vhdx', vhdx],
  ['VMDK: one grain', 'same.vmdk', vmdk],
]

function walkMap(path: string): number {
  using mapped = map(path)
  let extents = 0
  for (const extent of mapped.extents()) extents += Math.sign(extent.length)
  return extents
}

async function prepared(t: TestContext, name: string, make: (folder: string) => Parts | Promise<Parts>) {
  const folder = testFolder(t)
  const path = written(join(folder, name), await make(folder))
  const empty = join(folder, 'empty.raw')
  fs.writeFileSync(empty, '')
  fs.truncateSync(empty, 2 ** 20)
  return { path, empty, target: join(folder, 'target.qcow2') }
}

for (const [what, name, make] of kinds) {
  test(`${what}: refused as an overlap, in 2 s of processor time`, async (t) => {
    const { path, empty, target } = await prepared(t, name, make)
    const codes = (await check(path)).layers.flatMap(({ findings }) => findings.map(({ code }) => code))
    // A table of zeros that is used again is one of too many uses; a compressed cluster is packed by several.
    if (name !== 'packed.qcow2') assert.ok(codes.includes('E_OVERLAP'), codes.join(' '))
    const walks: Record<string, () => unknown> = {
      map: () => walkMap(path),
      measure: () => measure(path, { to: 'vhdx' }),
      hash: () => hash(path),
      compare: () => compare(path, empty),
      convert: () => convert(path, target),
    }
    for (const [operation, walk] of Object.entries(walks)) {
      const begun = new ProcessorTime()
      await assert.rejects(
        async () => await walk(),
        (error: unknown) => isImageError(error) && error.code === 'E_OVERLAP' && error.kind === 'corrupt',
        `${operation} goes on`,
      )
      begun.atMost(2000, operation)
    }
    assert.equal(fs.existsSync(target), false)
    info(path)
  })
}

/** Leads every entry of the directory to the first table, and every entry of that to the first grain. */
function repeated(bytes: Buffer, width: number, directory: number, table: number, length: number): Buffer {
  for (const [start, end] of [
    [directory, directory + length],
    [table, table + 4096 * width],
  ] as const)
    for (let at = start + width; at < end; at += width) bytes.copy(bytes, at, start, start + width)
  return bytes
}

const sectors = 2 ** 31
const esxExtents: readonly (readonly [string, string, () => Buffer])[] = [
  [
    'vmfsSparse',
    'VMFSSPARSE',
    () => {
      const bytes = cowdExtent({ capacity: sectors, grains: new Map([[0, Buffer.alloc(512, 'v')]]) })
      const tables = sectors / 4096
      return repeated(bytes, 4, 2048, 2048 + tables * 4, tables * 4)
    },
  ],
  [
    'seSparse',
    'SESPARSE',
    () => {
      const bytes = seSparseExtent({ capacity: sectors, grains: new Map([[0, Buffer.alloc(4096, 'v')]]) })
      const [directory, table] = [128, 144].map((at) => Number(bytes.readBigUInt64LE(at)) * 512) as [number, number]
      return repeated(bytes, 8, directory, table, (sectors / 32768) * 8)
    },
  ],
]

for (const [createType, kind, make] of esxExtents)
  test(`VMDK, ${createType}: one grain for every place: refused as an overlap`, async (t) => {
    const folder = testFolder(t)
    const path = join(folder, 'disk.vmdk')
    const bytes = make()
    fs.writeFileSync(join(folder, 'extent.vmdk'), bytes)
    fs.writeFileSync(path, descriptorText({ createType, extents: [`RW ${sectors} ${kind} "extent.vmdk"`] }))
    const begun = new ProcessorTime()
    assert.throws(() => walkMap(path), { code: 'E_OVERLAP' })
    const { layers } = await check(path)
    assert.ok(layers.some(({ findings }) => findings.some(({ code }) => code === 'E_OVERLAP')))
    begun.atMost(4000)
  })

test('what is refused stays refused, however often it is asked for', async (t) => {
  const { path } = await prepared(t, 'same.qcow2', () => qcow2({ entry: (_, data) => copied | BigInt(data) }))
  for (let attempt = 0; attempt < 3; attempt++) assert.throws(() => walkMap(path), { code: 'E_OVERLAP' })
})

test('a cluster that two entries share by damage is warned of, and read', async (t) => {
  const { path } = await prepared(t, 'twice.qcow2', () =>
    qcow2({ capacity: 2 ** 29, entry: (index, data) => (index < 2 ? copied | BigInt(data) : 0n) }),
  )
  const hashed = await hash(path)
  assert.ok(hashed.notes.some(({ code }) => code === 'E_REFCOUNT'))
})

test('a disk in 40,000 parts in an archive: the time goes with their number, not with its square', async (t) => {
  const path = join(testFolder(t), 'parts.tar')
  const part = Buffer.alloc(512, 0x9d)
  const count = 40000
  const names = Array.from({ length: count }, (_, index) => `p.raw.${String(index + 1).padStart(3, '0')}`)
  fs.writeFileSync(path, tarBytes(names.map((name) => ({ name, bytes: part }))))
  const begun = new ProcessorTime()
  const { digests } = await hash(`${path}@disk=p.raw.001`)
  // Searching them one by one took 130 seconds.
  begun.atMost(15_000)
  assert.equal(
    digests[0]?.digest,
    createHash('sha256')
      .update(Buffer.alloc(count * part.length, part))
      .digest('hex'),
  )
})
