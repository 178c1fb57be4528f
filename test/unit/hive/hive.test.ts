import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { marvin32 } from '../../../src/binary/marvin32.js'
import { baseChecksum, logHash } from '../../../src/hive/entries.js'
import { openHive, type Hive, type HiveBytes, type HiveKey, type HiveValue } from '../../../src/hive/index.js'
import {
  dirty,
  dword,
  hiveBytes,
  newLog,
  newLogEntry,
  oldLog,
  sealBase,
  text,
  texts,
  type KeySpec,
} from '../../support/hive-bytes.js'
import { fileOf, hiveFacts, openBytes } from '../../support/hive-facts.js'

test('Marvin32 gives what .NET gives', () => {
  const [one, other] = [[0x001bdbcc, 0x004fb61a] as const, [0x801bdbcc, 0x804fb61a] as const]
  const answers: readonly (readonly [string, readonly [number, number], bigint])[] = [
    ['', one, 0x30ed35c100cd3c7dn],
    ['af', one, 0x48e73fc77d75ddc1n],
    ['e70f', one, 0xb5f6e1fc485dbff8n],
    ['37f495', one, 0xf0b07c789b8cf7e8n],
    ['8642dc59', one, 0x7008f2e87e9cf556n],
    ['153fb79826', one, 0xe6c08c6da2afa997n],
    ['0932e6246c47', one, 0x6f04bf1a5ea24060n],
    ['ab427ea8d10fc7', one, 0xe11847e4f0678c41n],
    ['00', other, 0xa37fb0da2ecae06cn],
    ['ff', other, 0xfecef370701ae054n],
    ['00ff', other, 0xa638e75700048880n],
  ]
  for (const [hex, seed, wanted] of answers) assert.equal(marvin32(Buffer.from(hex, 'hex'), seed), wanted, hex)
})

test('the hash in the head of an entry is that of logs which Windows 10 wrote', () => {
  // Heads of real logs: 32 bytes, and their hash.
  const heads: readonly (readonly [string, bigint])[] = [
    ['48764c45003e0000010000003b0800000030bd0003000000c4812cbea1b6704b', 0xdd88c5d7df48f30an],
    ['48764c4500ae0300000000003602000000e00b0018000000cdc98b95d9a76775', 0x3a7721d280253d1cn],
  ]
  for (const [hex, wanted] of heads) assert.equal(logHash(Buffer.from(hex, 'hex')), wanted)
})

test('the checksum of a base block is never zero, nor all ones', () => {
  const block = Buffer.alloc(512)
  assert.equal(baseChecksum(block), 1)
  block.writeUInt32LE(0xffffffff, 0)
  assert.equal(baseChecksum(block), 0xfffffffe)
  block.writeUInt32LE(0x0000ffff, 4)
  assert.equal(baseChecksum(block), 0xffff0000)
})

const long = Buffer.from(Array.from({ length: 40000 }, (_unused, index) => index % 251))
const spec: KeySpec = {
  values: [['', 1, text('the key itself')]],
  keys: {
    Alpha: {
      className: 'a class',
      values: [
        ['number', 4, dword(0xfffffffe)],
        ['big-endian', 5, Buffer.from([0, 0, 1, 2])],
        ['wide number', 11, Buffer.from('0102030405060708', 'hex')],
        ['text', 1, text('häßlich €')],
        ['expanded', 2, text('%SystemRoot%\\x')],
        ['texts', 7, texts('one', 'two')],
        ['no end', 1, Buffer.from('ab', 'utf16le')],
        ['short', 3, Buffer.from([1, 2, 3])],
        ['nothing', 0, Buffer.alloc(0)],
        ['long', 3, long],
        ['own type', 0xffff0001, Buffer.from('own')],
        ['€', 3, Buffer.from('name of two bytes')],
      ],
    },
    beta: { keys: Object.fromEntries(Array.from({ length: 9 }, (_unused, index) => [`key ${index}`, {}])) },
    Ärger: {},
  },
}

/** The value of a name, which is there. */
function valueOf(key: HiveKey, name: string): HiveValue {
  const value = key.value(name)
  assert.ok(value !== undefined, name)
  return value
}

function keyOf(key: HiveKey, path: string): HiveKey {
  const found = key.at(path)
  assert.ok(found !== undefined, path)
  return found
}

function assertRead(hive: Hive): void {
  const { root } = hive
  assert.equal(valueOf(root, '').text, 'the key itself')
  const alpha = keyOf(root, 'ALPHA')
  assert.equal(alpha.name, 'Alpha')
  assert.equal(alpha.className, 'a class')
  assert.equal(alpha.security?.length, 20)
  assert.equal(valueOf(alpha, 'NUMBER').number, 0xfffffffen)
  assert.equal(valueOf(alpha, 'big-endian').number, 0x102n)
  assert.equal(valueOf(alpha, 'wide number').number, 0x0807060504030201n)
  assert.equal(valueOf(alpha, 'text').text, 'häßlich €')
  assert.equal(valueOf(alpha, 'text').number, undefined)
  assert.equal(valueOf(alpha, 'number').text, undefined)
  assert.equal(valueOf(alpha, 'expanded').text, '%SystemRoot%\\x')
  assert.deepEqual(valueOf(alpha, 'texts').texts, ['one', 'two'])
  assert.equal(valueOf(alpha, 'no end').text, 'ab')
  assert.deepEqual([...valueOf(alpha, 'short').data()], [1, 2, 3])
  assert.equal(valueOf(alpha, 'nothing').data().length, 0)
  assert.ok(long.equals(valueOf(alpha, 'long').data()))
  assert.equal(valueOf(alpha, 'own type').type, 0xffff0001)
  assert.equal(valueOf(alpha, '€').length, 17)
  assert.equal(alpha.value('absent'), undefined)
  assert.equal(keyOf(root, 'beta\\KEY 7').name, 'key 7')
  assert.equal(root.at('beta\\key 9'), undefined)
  assert.equal(keyOf(root, 'ärger').name, 'Ärger')
  assert.equal([...keyOf(root, 'beta').subkeys()].length, 9)
}

test('keys and values are read in every form in which they are stored', () => {
  for (const lists of ['li', 'lf', 'lh', 'ri'] as const)
    for (const wide of [false, true])
      for (const minor of [3, 5]) {
        const hive = openBytes(hiveBytes(spec, { lists, wide, minor }))
        hive.checkBins()
        assert.equal(hive.state, 'clean')
        assert.equal(hive.version, `1.${minor}`)
        assertRead(hive)
      }
})

test('what is to be written for other data lies where the data lies', () => {
  for (const minor of [3, 5]) {
    const bytes = hiveBytes(spec, { minor })
    const alpha = keyOf(openBytes(bytes).root, 'Alpha')
    const write = (name: string, offset: number, data: Buffer): number => {
      const patches = valueOf(alpha, name).patches(offset, data)
      for (const { position, old, bytes: now } of patches) {
        assert.ok(bytes.subarray(position, position + old.length).equals(old))
        bytes.set(now, position)
      }
      return patches.length
    }
    assert.equal(write('number', 0, dword(7)), 1)
    assert.equal(write('short', 1, Buffer.from([9])), 1)
    assert.equal(write('texts', 0, Buffer.from('O', 'utf16le')), 1)
    // Across the end of the first segment.
    assert.equal(write('long', 16340, Buffer.alloc(10, 0xee)), minor === 3 ? 1 : 2)
    const again = openBytes(bytes)
    const key = keyOf(again.root, 'Alpha')
    assert.equal(again.state, 'clean')
    assert.equal(valueOf(key, 'number').number, 7n)
    assert.deepEqual([...valueOf(key, 'short').data()], [1, 9, 3])
    assert.deepEqual(valueOf(key, 'texts').texts, ['One', 'two'])
    const wanted = Buffer.from(long)
    wanted.fill(0xee, 16340, 16350)
    assert.ok(wanted.equals(valueOf(key, 'long').data()))
    assert.throws(() => valueOf(key, 'short').patches(2, Buffer.from([1, 2])), RangeError)
  }
})

/** Three states of a hive, one after the other; the last is longer. */
const one = hiveBytes(spec)
const two = hiveBytes({ ...spec, values: [['', 1, text('another text!!')]] })
const three = hiveBytes({ ...spec, keys: { ...spec.keys, Added: { values: [['long', 3, long]] } } })
const facts = (bytes: Buffer, ...logs: Buffer[]) => {
  const hive = openBytes(bytes, ...logs)
  return { state: hive.state, facts: hiveFacts(hive) }
}
const entries = { two: newLogEntry(one, two, 2), three: newLogEntry(two, three, 3) }

test('logs of the new format are replayed as Windows does it', () => {
  const [first, second, third] = [one, two, three].map((bytes) => hiveFacts(openBytes(bytes)))
  const left = dirty(one)
  const cases: readonly (readonly [string, Buffer, Buffer[], string, unknown])[] = [
    ['both entries', left, [newLog(one, 2, [entries.two, entries.three])], 'recovered', third],
    ['one in each log', left, [newLog(one, 2, [entries.two]), newLog(two, 3, [entries.three])], 'recovered', third],
    [
      'the same, the other way round',
      left,
      [newLog(two, 3, [entries.three]), newLog(one, 2, [entries.two])],
      'recovered',
      third,
    ],
    ['a clean hive ignores them', one, [newLog(one, 2, [entries.two, entries.three])], 'clean', first],
    ['a log without entries', left, [newLog(one, 2, [])], 'dirty', first],
    ['no log', left, [], 'dirty', first],
    ['an empty log', left, [Buffer.alloc(0)], 'dirty', first],
    [
      'a gap between the logs',
      left,
      [newLog(one, 2, [entries.two]), newLog(two, 4, [newLogEntry(two, three, 4)])],
      'recovered',
      second,
    ],
    ['a gap in a log', left, [newLog(one, 2, [entries.two, newLogEntry(two, three, 4)])], 'recovered', second],
    ['entries of before', left, [newLog(one, 0, [newLogEntry(one, two, 0)])], 'dirty', first],
    ['a log whose base block is damaged', left, [damagedAt(newLog(one, 2, [entries.two]), 40)], 'dirty', first],
    [
      'an entry whose content is damaged',
      left,
      [newLog(one, 2, [entries.two, damagedAt(entries.three, 600)])],
      'recovered',
      second,
    ],
    [
      'an entry whose head is damaged',
      left,
      [newLog(one, 2, [entries.two, damagedAt(entries.three, 8)])],
      'recovered',
      second,
    ],
    [
      'an entry that is cut off',
      left,
      [newLog(one, 2, [entries.two, entries.three]).subarray(0, -512)],
      'recovered',
      second,
    ],
    [
      'no base block in the file',
      damagedAt(left, 100),
      [newLog(one, 2, [entries.two, entries.three])],
      'recovered',
      third,
    ],
    [
      'the same with two logs',
      damagedAt(left, 100),
      [newLog(one, 2, [entries.two]), newLog(one, 3, [newLogEntry(one, three, 3)])],
      'recovered',
      third,
    ],
  ]
  for (const [name, bytes, logs, state, wanted] of cases)
    assert.deepEqual(facts(bytes, ...logs), { state, facts: wanted }, name)
})

function damagedAt(bytes: Buffer, position: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(position) ^ 0xff, position)
  return copy
}

test('logs of the old format are replayed as Windows does it', () => {
  const [first, , third] = [one, two, three].map((bytes) => hiveFacts(openBytes(bytes)))
  const left = dirty(one)
  const log = oldLog(one, three)
  const later = Buffer.from(log)
  later.writeBigUInt64LE(0x01da000000000001n, 12)
  const open = Buffer.from(log)
  open.writeUInt32LE(open.readUInt32LE(4) + 1, 4)
  const unmarked = Buffer.from(log)
  unmarked.write('dirt', 512, 'latin1')
  const cases: readonly (readonly [string, Buffer, Buffer[], string, unknown])[] = [
    ['a log', left, [log], 'recovered', third],
    ['the second log', left, [sealBase(Buffer.from(later)), log], 'recovered', third],
    ['a log of another time', left, [sealBase(Buffer.from(later))], 'dirty', first],
    ['a log that was left itself', left, [sealBase(open)], 'dirty', first],
    ['a log without its mark', left, [unmarked], 'dirty', first],
    ['a log that is cut off', left, [log.subarray(0, -512)], 'dirty', first],
    ['no base block in the file', damagedAt(left, 100), [log], 'recovered', third],
  ]
  for (const [name, bytes, logs, state, wanted] of cases)
    assert.deepEqual(facts(bytes, ...logs), { state, facts: wanted }, name)
})

test('a log that is longer than any is refused before it is read; of a long one little is in memory at once', () => {
  const log = newLog(one, 2, [entries.two, entries.three])
  const padded = (size: number): HiveBytes => ({
    size,
    read: (position, target) => {
      assert.ok(target.length < 1048576, `${target.length} bytes at once`)
      target.fill(0)
      if (position < log.length) target.set(log.subarray(position, position + target.length))
    },
  })
  const third = hiveFacts(openBytes(three))
  assert.deepEqual(hiveFacts(openHive(fileOf(dirty(one)), [padded(60 * 1048576)], 'TEST')), third)
  assert.throws(
    () => openHive(fileOf(dirty(one)), [padded(65 * 1048576)], 'TEST'),
    (error) => isImageError(error) && error.code === 'E_HIVE_FEATURE',
  )
})

test('of a large hive only what is needed is read', () => {
  const filler: KeySpec = {
    keys: Object.fromEntries(
      Array.from({ length: 2000 }, (_unused, index) => [`k${index}`, { values: [['data', 3, Buffer.alloc(4000)]] }]),
    ),
  }
  const bytes = hiveBytes({ ...spec, keys: { ...spec.keys, Filler: filler } })
  assert.ok(bytes.length > 8000000)
  let read = 0
  const file: HiveBytes = {
    size: bytes.length,
    read: (position, target) => {
      read += target.length
      fileOf(bytes).read(position, target)
    },
  }
  assert.equal(openHive(file, [], 'TEST').root.at('Alpha')?.value('text')?.text, 'häßlich €')
  assert.ok(read < 200000, `${read} bytes`)
})

test('a hive without any base block is refused', () => {
  for (const logs of [[], [Buffer.alloc(4096)]])
    assert.throws(
      () => openBytes(damagedAt(one, 100), ...logs),
      (error) => isImageError(error) && error.code === 'E_HIVE_CORRUPT' && /no log has another/.test(error.message),
    )
})
