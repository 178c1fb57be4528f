import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dmgImage, dmgType, type DmgRecipe } from '../../fixtures/spec-writer/dmg.js'
import { repeated65536 } from '../../fixtures/spec-writer/lzfse-vectors.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { dmg } from '../../src/formats/dmg/index.js'
import { diskLike, readAll } from '../support/content.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import { openContext } from '../support/drivers.js'

const chunk = 64 * 512
const content = Buffer.alloc(6 * chunk)
for (const index of [0, 1, 2, 4]) content.set(diskLike(chunk, index + 1), index * chunk)

/** What compresses the content of a recipe, where that is a program. */
const needs = ({ types = [] }: Partial<DmgRecipe>): string | undefined =>
  types.includes(dmgType.bzip2) ? 'bzip2' : types.includes(dmgType.lzma) ? 'xz' : undefined

const made = (recipe: Partial<DmgRecipe> = {}): Buffer => dmgImage({ content, chunkSectors: 64, ...recipe })

/** Changes the trailer: a field at an offset in it. */
const koly =
  (at: number, value: number, wide = false) =>
  (bytes: Buffer): Buffer => {
    const position = bytes.length - 512 + at
    if (wide) bytes.writeBigUInt64BE(BigInt(value), position)
    else bytes.writeUInt32BE(value, position)
    return bytes
  }

/** Changes the table of chunks, in the property list, without changing its length. */
const mish =
  (change: (table: Buffer) => void) =>
  (bytes: Buffer): Buffer => {
    const text = bytes.toString('latin1')
    const start = text.indexOf('<data>') + 6
    const end = text.indexOf('</data>', start)
    const table = Buffer.from(text.slice(start, end), 'base64')
    change(table)
    bytes.write(table.toString('base64').padEnd(end - start, ' '), start, 'latin1')
    return bytes
  }
const entry = (index: number, field: number, value: number | bigint) =>
  mish((table) => {
    if (typeof value === 'number') table.writeUInt32BE(value, 204 + index * 40 + field)
    else table.writeBigUInt64BE(value, 204 + index * 40 + field)
  })
const replaced =
  (from: string, to: string) =>
  (bytes: Buffer): Buffer => {
    const at = bytes.indexOf(from)
    assert.ok(at >= 0, from)
    bytes.write(to.padEnd(from.length, ' '), at, 'latin1')
    return bytes
  }
const flipped =
  (position: number) =>
  (bytes: Buffer): Buffer => {
    bytes.writeUInt8(bytes.readUInt8(position) ^ 0x55, position)
    return bytes
  }

/** The first chunk reaches into the property list. */
const uponList = (bytes: Buffer): Buffer => entry(0, 32, BigInt(bytes.indexOf('<plist') + 50))(bytes)

type Change = (bytes: Buffer) => Buffer
const found = (what: string, answer: readonly string[], change: Change, recipe: Partial<DmgRecipe> = {}): Damaged => ({
  what,
  make: () => new MemoryStore(change(made(recipe)), 'damaged.dmg'),
  answer,
  needs: needs(recipe),
})
const refused = (what: string, code: string, change: Change, recipe: Partial<DmgRecipe> = {}): Damaged => ({
  what,
  make: () => new MemoryStore(change(made(recipe)), 'damaged.dmg'),
  answer: `refused ${code}`,
})
const same: Change = (bytes) => bytes
const raw = { types: [dmgType.raw] }

const images: readonly Damaged[] = [
  found('sound', [], same),
  found('sound, raw', [], same, raw),
  found('sound, ADC', [], same, { types: [dmgType.adc] }),
  found('sound, bzip2', [], same, { types: [dmgType.bzip2] }),
  found('sound, LZMA', [], same, { types: [dmgType.lzma] }),
  found('sound, parts and bytes before them', [], same, { parts: [64, 130], before: 1000 }),
  found('sound, a resource fork', [], same, { resourceFork: true }),
  refused('cut off by a byte', 'E_NOT_DMG', (bytes) => bytes.subarray(0, -1)),
  refused('the first half', 'E_NOT_DMG', (bytes) => bytes.subarray(0, bytes.length / 2)),
  refused('a trailer alone', 'E_TRUNCATED', (bytes) => bytes.subarray(-512)),
  found('bytes behind the trailer', ['W_TRAILING'], (bytes) => Buffer.concat([bytes, Buffer.alloc(3000, 1)])),
  refused('many bytes behind the trailer', 'E_NOT_DMG', (bytes) => Buffer.concat([bytes, Buffer.alloc(70_000)])),
  refused('version 3', 'E_NOT_DMG', koly(4, 3)),
  refused('version 5', 'E_NOT_DMG', koly(4, 5)),
  refused('a trailer of 511 bytes', 'E_NOT_DMG', koly(8, 511)),
  found('unknown flags', [], koly(12, 0xffffffff)),
  refused('the first of two segments, alone', 'E_PART_MISSING', koly(60, 2)),
  refused('segment 3 of 2', 'E_HEADER', (bytes) => koly(56, 3)(koly(60, 2)(bytes))),
  refused('2^32-1 segments', 'E_HEADER', koly(60, 0xffffffff)),
  found('no segment number', [], koly(56, 0)),
  refused('a property list past the end', 'E_TRUNCATED', koly(216, 2 ** 30, true)),
  refused('a property list of 2^50 bytes', 'E_TRUNCATED', koly(224, 2 ** 50, true)),
  refused('no property list and no resource fork', 'E_PLIST', koly(224, 0, true)),
  refused('a property list that is cut', 'E_PLIST', koly(224, 500, true)),
  refused('a property list that is data', 'E_PLIST', koly(216, 0, true)),
  refused('a list without a resource fork', 'E_PLIST', replaced('<key>resource-fork', '<key>resource_fork')),
  refused('a list without tables', 'E_PLIST', replaced('<key>blkx', '<key>bl_x')),
  refused('an entity', 'E_PLIST', replaced('<string>part 0', '<string>&lol;0')),
  refused(
    'a table that is no table',
    'E_MAP',
    mish((table) => table.write('mosh')),
  ),
  refused(
    'a table with more entries than it has',
    'E_MAP',
    mish((table) => table.writeUInt32BE(2 ** 31, 200)),
  ),
  refused(
    'a table with a few more entries',
    'E_MAP',
    mish((table) => table.writeUInt32BE(9, 200)),
  ),
  found(
    'a table with one entry',
    ['E_CHECKSUM'],
    mish((table) => table.writeUInt32BE(1, 200)),
  ),
  found(
    'a table without its end',
    [],
    mish((table) => table.writeUInt32BE(7, 200)),
  ),
  refused(
    'a part of 2^62 sectors',
    'E_TOO_LARGE',
    mish((table) => table.writeBigUInt64BE(2n ** 62n, 16)),
  ),
  refused(
    'a part that is too short',
    'E_MAP',
    mish((table) => table.writeBigUInt64BE(100n, 16)),
  ),
  found(
    'a part that is longer',
    ['W_SECTOR_COUNT'],
    mish((table) => table.writeBigUInt64BE(1000n, 16)),
  ),
  refused(
    'a data offset of 2^63',
    'E_TOO_LARGE',
    mish((table) => table.writeBigUInt64BE(2n ** 63n, 24)),
  ),
  refused('chunks that overlap', 'E_OVERLAP', entry(1, 8, 32n)),
  refused('a chunk past the end of its part', 'E_MAP', entry(5, 16, 2n ** 20n)),
  refused('a chunk of 2^62 sectors', 'E_TOO_LARGE', entry(0, 16, 2n ** 62n)),
  found('a chunk of an unknown type', ['E_CODEC'], entry(0, 0, 0x80000009)),
  found('a chunk of another codec', ['E_COMPRESSED'], entry(0, 0, 0x80000006)),
  found('a chunk of LZFSE that is zlib', ['E_COMPRESSED'], entry(0, 0, 0x80000007)),
  found('a chunk past the end of the file', ['E_TRUNCATED'], entry(0, 24, 2n ** 40n)),
  refused('a chunk at 2^63', 'E_TOO_LARGE', entry(0, 24, 2n ** 63n)),
  found('a chunk upon the property list', ['E_OVERLAP'], uponList),
  refused('a raw chunk with too few bytes', 'E_MAP', entry(0, 32, 512n), raw),
  found('a chunk with fewer bytes than its stream', ['E_COMPRESSED'], entry(0, 32, 8n)),
  found('a chunk of fewer sectors than it holds', ['E_COMPRESSED'], entry(1, 16, 63n)),
  found('a chunk of no sectors', ['E_CHECKSUM'], entry(0, 16, 0n)),
  found('the size of the trailer is 0', ['W_SECTOR_COUNT'], koly(492, 0, true)),
  found('the size of the trailer is larger', ['W_SECTOR_COUNT'], koly(492, 5000, true)),
  refused('the size of the trailer is 2^55 sectors', 'E_TOO_LARGE', koly(492, 2 ** 55, true)),
  found('a byte of raw data is another', ['E_CHECKSUM', 'E_CHECKSUM'], flipped(1000), raw),
  found('a byte of zlib data is another', ['E_COMPRESSED'], flipped(1000)),
  found('a byte of bzip2 data is another', ['E_COMPRESSED'], flipped(1000), { types: [dmgType.bzip2] }),
  found('a byte of xz data is another', ['E_COMPRESSED'], flipped(1000), { types: [dmgType.lzma] }),
  found(
    'another checksum of a part',
    ['E_CHECKSUM', 'W_MASTER_CHECKSUM'],
    mish((table) => table.writeUInt32BE(7, 72)),
  ),
  found('another checksum of the data', ['E_CHECKSUM'], koly(88, 7)),
  found('another checksum of all', ['W_MASTER_CHECKSUM'], koly(360, 7)),
  found('checksums of another type', [], koly(352, 4)),
  refused('a resource fork past the end', 'E_TRUNCATED', koly(48, 2 ** 40, true), { resourceFork: true }),
  refused('a resource fork of rubbish', 'E_PLIST', koly(40, 0, true), { resourceFork: true }),
]

testDamaged(dmg, images)

test('dmg: damage is met when it is read, never zeros in its place', () => {
  for (const [code, change] of [
    ['E_TRUNCATED', entry(0, 24, 2n ** 40n)],
    ['E_COMPRESSED', flipped(1000)],
    ['E_OVERLAP', uponList],
  ] as const)
    assert.throws(() => readAll(dmg.open(new MemoryStore(change(made())), openContext)), { code, kind: 'corrupt' })
  const unknown = dmg.open(new MemoryStore(entry(0, 0, 0x80000009)(made())), openContext)
  assert.throws(() => readAll(unknown), { code: 'E_CODEC', kind: 'unsupported' })
  const rest = new Uint8Array(chunk)
  unknown.read(chunk, rest)
  assert.ok(content.subarray(chunk, 2 * chunk).equals(rest))
})

test('lzfse: no bit of a stream can be changed so that more or other memory is read', () => {
  const stream = Buffer.from(repeated65536, 'base64')
  let damaged = 0
  for (let bit = 0; bit < stream.length * 8; bit++) {
    const bytes = Buffer.from(stream)
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    const image = dmgImage({ content: Buffer.alloc(65536), made: new Map([[0, bytes]]) })
    try {
      readAll(dmg.open(new MemoryStore(image), openContext))
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'E_COMPRESSED', String(error))
      damaged++
    }
  }
  assert.ok(damaged > stream.length)
})
