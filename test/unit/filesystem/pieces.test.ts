import fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dosTime } from '../../../src/filesystem/dos-time.js'
import { fat12Entry, fatLink, shortNameChecksum } from '../../../src/filesystem/fat/entries.js'
import { LongName, shortName } from '../../../src/filesystem/fat/names.js'
import { FileMap } from '../../../src/filesystem/file-map.js'
import { codePage437, entryName } from '../../../src/filesystem/names.js'
import { foldedCase } from '../../../src/binary/folded-case.js'
import { mappedRuns } from '../../../src/filesystem/ntfs/entries.js'
import { readReparse } from '../../../src/filesystem/ntfs/reparse.js'
import { bitmapRuns, countUnits, volumeRuns } from '../../../src/filesystem/unit-runs.js'

test('runs of a bitmap are those that a look at every bit finds', () => {
  const stretch = fc
    .tuple(fc.constantFrom(0, 0xff, 0x0f, 0xa1), fc.integer({ min: 1, max: 23 }))
    .map(([byte, length]) => Array.from({ length }, () => byte))
  fc.assert(
    fc.property(fc.array(stretch, { minLength: 1, maxLength: 9 }), fc.nat(7), (stretches, cut) => {
      const bitmap = Uint8Array.from(stretches.flat())
      const units = Math.max(1, bitmap.length * 8 - cut)
      const runs = [
        ...bitmapRuns((offset, target) => target.set(bitmap.subarray(offset, offset + target.length)), units),
      ]
      const bits = Array.from({ length: units }, () => 0)
      for (const { first, count } of runs) bits.fill(1, first, first + count)
      assert.deepEqual(
        bits,
        Array.from({ length: units }, (_, unit) => (bitmap[unit >> 3]! >> (unit & 7)) & 1),
      )
      for (const [index, run] of runs.entries())
        assert.ok(index === 0 || run.first > runs[index - 1]!.first + runs[index - 1]!.count)
      assert.equal(
        countUnits(runs),
        bits.reduce((sum, bit) => sum + bit, 0),
      )
    }),
  )
})

test('units become runs of the volume: head and tail are in use, touching runs are one', () => {
  const runs = (units: { first: number; count: number }[], start: number, end: number, volumeEnd: number) => [
    ...volumeRuns(units, 10, start, end, volumeEnd),
  ]
  assert.deepEqual(
    runs(
      [
        { first: 0, count: 1 },
        { first: 2, count: 1 },
      ],
      5,
      35,
      35,
    ),
    [
      { offset: 0, length: 15 },
      { offset: 25, length: 10 },
    ],
  )
  assert.deepEqual(runs([{ first: 2, count: 1 }], 5, 35, 40), [
    { offset: 0, length: 5 },
    { offset: 25, length: 15 },
  ])
  assert.deepEqual(runs([], 5, 35, 40), [
    { offset: 0, length: 5 },
    { offset: 35, length: 5 },
  ])
  assert.deepEqual(runs([], 0, 30, 30), [])
  assert.deepEqual(runs([{ first: 0, count: 1 }], 0, 30, 31), [
    { offset: 0, length: 10 },
    { offset: 30, length: 1 },
  ])
})

test('a map of a file: pieces that touch are one, holes and what lies behind read as zero', () => {
  const map = new FileMap()
  map.push(10, 100)
  map.push(10, 110)
  map.push(5, undefined)
  map.push(5, undefined)
  map.push(10, 0)
  assert.equal(map.pieces, 3)
  assert.equal(map.length, 40)
  assert.deepEqual(map.at(15), { length: 5, position: 115 })
  assert.deepEqual(map.at(21), { length: 9, position: undefined })
  const volume = Uint8Array.from({ length: 120 }, (_, index) => index + 1)
  const target = new Uint8Array(50).fill(255)
  map.read({ read: (position, bytes) => bytes.set(volume.subarray(position, position + bytes.length)) }, 5, target)
  assert.deepEqual(
    [...target.subarray(0, 15)],
    Array.from({ length: 15 }, (_, index) => 106 + index),
  )
  assert.deepEqual(
    [...target.subarray(15, 25)],
    Array.from({ length: 10 }, () => 0),
  )
  assert.deepEqual(
    [...target.subarray(25, 35)],
    Array.from({ length: 10 }, (_, index) => index + 1),
  )
  assert.deepEqual(
    [...target.subarray(35)],
    Array.from({ length: 15 }, () => 0),
  )
  assert.deepEqual(
    [...map.dataRuns(33)],
    [
      { offset: 0, length: 20 },
      { offset: 30, length: 3 },
    ],
  )
})

test('entries of the file allocation table', () => {
  assert.deepEqual(fatLink(0, 12), { kind: 'free' })
  assert.deepEqual(fatLink(0xff7, 12), { kind: 'bad' })
  assert.deepEqual(fatLink(0xff8, 12), { kind: 'end' })
  assert.deepEqual(fatLink(0xfff7, 16), { kind: 'bad' })
  assert.deepEqual(fatLink(0x1234, 16), { kind: 'next', cluster: 0x1234 })
  assert.deepEqual(fatLink(0xf0000000, 32), { kind: 'free' }, 'the upper four bits are reserved')
  assert.deepEqual(fatLink(0x5fffffff, 32), { kind: 'end' })
  // The bytes F0 FF FF 03 40 00: entries FF0, FFF, 003, 004 (Microsoft's example of FAT12).
  assert.deepEqual(
    [fat12Entry(0xfff0, 0), fat12Entry(0xffff, 1), fat12Entry(0x4003, 2), fat12Entry(0x0040, 3)],
    [0xff0, 0xfff, 0x003, 0x004],
  )
})

test('short names: code page, case bits, a first byte of E5, and the checksum', () => {
  const stored = (text: string): Buffer => Buffer.from(text, 'latin1')
  assert.equal(shortName(stored('README  TXT'), 0), 'README.TXT')
  assert.equal(shortName(stored('README  TXT'), 0x18), 'readme.txt')
  assert.equal(shortName(stored('MAKEFILE   '), 0x08), 'makefile')
  assert.equal(shortName(stored('\x05X\x81     \x8e  '), 0), 'σXü.Ä')
  assert.equal(codePage437(Buffer.from([0x80, 0xff, 0xe1, 0x41])), 'Ç\u00a0ßA')
  // "The quick brown.fox" of the FAT specification's example is stored as THEQUI~1FOX.
  assert.equal(shortNameChecksum(stored('THEQUI~1FOX')), 0x07)
})

/** The entries of a long name, the last piece first. */
function longEntries(name: string, checksum: number): Buffer[] {
  const places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30]
  const count = Math.ceil(name.length / 13)
  return Array.from({ length: count }, (_, index) => {
    const place = count - index
    const entry = Buffer.alloc(32)
    entry[0] = place + (index === 0 ? 0x40 : 0)
    entry[11] = 0x0f
    entry[13] = checksum
    for (const [unit, offset] of places.entries()) {
      const at = (place - 1) * 13 + unit
      entry.writeUInt16LE(at < name.length ? name.charCodeAt(at) : at === name.length ? 0 : 0xffff, offset)
    }
    return entry
  })
}

test('long names are taken when all their pieces belong to the short name, and dropped otherwise', () => {
  const short = Buffer.from('THEQUI~1FOX', 'latin1')
  const name = 'The quick brown fox jumps.fox'
  const take = (entries: Buffer[], of = short): string | undefined => {
    const long = new LongName()
    for (const entry of entries) long.add(entry)
    return long.take(of)
  }
  const entries = longEntries(name, 0x07)
  assert.equal(entries.length, 3)
  assert.equal(take(entries), name)
  assert.equal(take(longEntries('exactly 13 ch', 0x07)), 'exactly 13 ch')
  assert.equal(take([entries[0]!, ...entries]), name, 'a new beginning')
  assert.equal(take(entries.slice(1)), undefined, 'without its beginning')
  assert.equal(take(entries.slice(0, 2)), undefined, 'without its end')
  assert.equal(take([entries[0]!, entries[2]!, entries[1]!]), undefined, 'out of order')
  assert.equal(take(longEntries(name, 0x08)), undefined, 'another checksum')
  assert.equal(take(entries, Buffer.from('OTHER      ', 'latin1')), undefined, 'another short name')
})

test('names are made safe, and compared without case', () => {
  assert.deepEqual(['..', '.', '', 'a/b', '/', 'x\0y', '...', 'ok'].map(entryName), [
    '%2E%2E',
    '%2E',
    '%',
    'a%2Fb',
    '%2F',
    'x%00y',
    '...',
    'ok',
  ])
  assert.equal(foldedCase('straße ǆ'), 'STRAßE Ǆ', 'one unit stays one unit')
})

test('times of FAT', () => {
  const iso = (date: number, time: number, hundredths?: number): string =>
    new Date(Number(dosTime(date, time, hundredths) / 1000000n)).toISOString()
  assert.equal(iso((44 << 9) + (2 << 5) + 29, (23 << 11) + (59 << 5) + 29, 199), '2024-02-29T23:59:59.990Z')
  assert.equal(iso(0, 0), '1980-01-01T00:00:00.000Z')
})

test('mapping pairs of NTFS', () => {
  assert.deepEqual(
    [...mappedRuns(Uint8Array.from([0x11, 0x30, 0x20, 0x21, 0x10, 0x60, 0x01, 0x01, 0x10, 0x11, 0x01, 0xff, 0x00]))],
    [
      { clusters: 0x30, lcn: 0x20 },
      { clusters: 0x10, lcn: 0x180 },
      { clusters: 0x10, lcn: undefined },
      { clusters: 1, lcn: 0x17f },
    ],
  )
  const bad: readonly (readonly number[])[] = [
    [],
    [0x11, 1, 1],
    [0x19, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0],
    [0x10, 1, 0],
    [0x11, 0x80, 1, 0],
    [0x11, 0, 1, 0],
    [0x11, 1, 0xff, 0],
    [0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 0],
  ]
  for (const bytes of bad) assert.throws(() => [...mappedRuns(Uint8Array.from(bytes))], RangeError, bytes.join())
})

test('reparse points that are not valid give nothing; unknown ones are reported', () => {
  const point = (tag: number, length = 8): Buffer => {
    const bytes = Buffer.alloc(length)
    bytes.writeUInt32LE(tag)
    return bytes
  }
  assert.equal(readReparse(point(0xa000000c)), undefined)
  assert.equal(readReparse(point(0xa0000003, 16)), undefined, 'an empty target')
  const outside = point(0xa000000c, 20)
  outside.writeUInt16LE(400, 14)
  assert.equal(readReparse(outside), undefined)
  assert.deepEqual(readReparse(point(0x80000023)), { kind: 'special' })
  assert.deepEqual(readReparse(point(0x9000601a)), { kind: 'cloud' })
  const wof = readReparse(point(0x80000017))
  assert.ok(wof?.kind === 'redirected' && /WOF/.test(wof.what))
  const unknown = readReparse(point(0x8000beef))
  assert.ok(unknown?.kind === 'redirected' && /8000beef/.test(unknown.what))
})
