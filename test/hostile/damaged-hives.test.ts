/** Damaged and hostile registry hives: the right answer to each, in time, in bounded memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isImageError } from '../../src/errors.js'
import type { HiveKey } from '../../src/hive/index.js'
import {
  dirty,
  dword,
  hiveBytes,
  newLog,
  newLogEntry,
  oldLog,
  sealBase,
  sealEntry,
  text,
  type KeySpec,
} from '../support/hive-bytes.js'
import { openBytes } from '../support/hive-facts.js'
import { ProcessorTime } from '../support/processor-time.js'

const spec: KeySpec = {
  values: [
    ['number', 4, dword(7)],
    ['text', 1, text('a longer text')],
    ['long', 3, Buffer.alloc(40000, 7)],
  ],
  keys: {
    Alpha: { className: 'a class', keys: { below: {} } },
    Beta: {},
    Gamma: { values: [['x', 3, Buffer.alloc(20)]] },
  },
}
const sound = hiveBytes(spec)
const other = hiveBytes({ ...spec, values: [['number', 4, dword(8)]] })
const left = dirty(sound)

/** Where the content of a cell begins that has a signature; of several the one with the index. */
function cell(bytes: Buffer, signature: string, index = 0): number {
  let left = index
  for (let at = 4096 + 32; at < bytes.length;) {
    if (bytes.toString('latin1', at + 4, at + 6) === signature && left-- === 0) return at + 4
    at += Math.abs(bytes.readInt32LE(at))
    if (bytes.toString('latin1', at, at + 4) === 'hbin') at += 32
  }
  throw new Error(`no cell ${signature} ${index}`)
}

const offsetOf = (position: number): number => position - 4 - 4096

interface DamagedHive {
  readonly what: string
  readonly bytes: Buffer
  readonly logs?: readonly Buffer[]
  /** `open`, or the code of the error. */
  readonly answer: 'open' | 'E_HIVE_CORRUPT' | 'E_HIVE_FEATURE'
  readonly says?: RegExp
  /** Whether it is found by looking at every bin, and by nothing else. */
  readonly bins?: true
}

/** A hive with other words: position, bytes of the word, value. The base block is sealed again. */
function changed(...words: readonly (readonly [position: number, length: 1 | 2 | 4, value: number])[]): Buffer {
  const copy = Buffer.from(sound)
  for (const [position, length, value] of words) copy.writeUIntLE(value >>> 0, position, length)
  return sealBase(copy)
}

const corruptHive = (what: string, bytes: Buffer, says: RegExp, logs?: readonly Buffer[]): DamagedHive => ({
  what,
  bytes,
  logs,
  answer: 'E_HIVE_CORRUPT',
  says,
})
/** A dirty hive that is read, whatever its logs are. */
const openWith = (what: string, ...logs: readonly Buffer[]): DamagedHive => ({
  what,
  bytes: left,
  logs,
  answer: 'open',
})
const [root, alpha, list, value, data] = [
  cell(sound, 'nk'),
  cell(sound, 'nk', 1),
  // Alpha's own list comes first.
  cell(sound, 'lh', 1),
  cell(sound, 'vk', 1),
  cell(sound, 'db'),
]
const rootValues = sound.readUInt32LE(root + 40) + 4096 + 4
const longValue = cell(sound, 'vk', 3)
const entry = newLogEntry(sound, other, 2)

/** A deep hive, without a circle. */
const deep = ((): Buffer => {
  let inner: KeySpec = {}
  for (let depth = 0; depth < 400; depth++) inner = { keys: { k: inner } }
  return hiveBytes(inner)
})()

/** Six levels of twenty keys, each of which has all keys of the next level below it: 64 million ways to the last. */
const bushy = ((): Buffer => {
  const twenty: KeySpec = {
    keys: Object.fromEntries(Array.from({ length: 20 }, (_unused, index) => [`key ${index + 10}`, {}])),
  }
  const levels = 6
  const bytes = hiveBytes({
    keys: Object.fromEntries(Array.from({ length: levels }, (_unused, index) => [`level ${index}`, twenty])),
  })
  const levelKey = (level: number, index: number): number => cell(bytes, 'nk', 1 + level * 21 + index)
  for (let level = 0; level + 1 < levels; level++)
    for (let index = 1; index <= 20; index++) {
      bytes.writeUInt32LE(20, levelKey(level, index) + 20)
      bytes.writeUInt32LE(bytes.readUInt32LE(levelKey(level + 1, 0) + 28), levelKey(level, index) + 28)
    }
  return bytes
})()

const hives: readonly DamagedHive[] = [
  { what: 'a sound hive', bytes: sound, answer: 'open' },
  { what: 'an empty file', bytes: Buffer.alloc(0), answer: 'E_HIVE_CORRUPT', says: /base block/ },
  corruptHive('zeros', Buffer.alloc(8192), /base block/),
  corruptHive('another signature', changed([0, 4, 0]), /base block/),
  corruptHive('a file of half a base block', sound.subarray(0, 300), /base block/),
  corruptHive('a base block alone', sound.subarray(0, 4096), /and the file only 4096/),
  corruptHive('a file that is cut off', sound.subarray(0, -4096), /and the file only/),
  corruptHive('no bins', changed([40, 4, 0]), /0 bytes/),
  corruptHive('bins of 4 GiB', changed([40, 4, 0xfffff000]), /and the file only/),
  corruptHive('bins that are no pages', changed([40, 4, 4097]), /no multiple/),
  { what: 'version 2', bytes: changed([20, 4, 2]), answer: 'E_HIVE_FEATURE', says: /version 2\.5/ },
  { what: 'version 1.99', bytes: changed([24, 4, 99]), answer: 'E_HIVE_FEATURE', says: /1\.99/ },
  { what: 'a log as a hive', bytes: changed([28, 4, 1]), answer: 'E_HIVE_FEATURE', says: /no primary file/ },
  { what: 'another format', bytes: changed([32, 4, 0]), answer: 'E_HIVE_FEATURE', says: /format is 0/ },
  corruptHive('a root nowhere', changed([36, 4, 0xffffffff]), /leads to no cell/),
  corruptHive('a root past the end', changed([36, 4, sound.length]), /leads to no cell/),
  corruptHive('a root between cells', changed([36, 4, sound.readUInt32LE(36) + 4]), /leads to no cell/),
  corruptHive('a root in the head of a bin', changed([36, 4, 8]), /leads to no cell/),
  corruptHive('a root that is a value', changed([36, 4, offsetOf(value)]), /no key|cut off/),
  corruptHive('a root that is free', changed([root - 4, 4, 80]), /free/),
  corruptHive('a cell larger than the hive', changed([root - 4, 4, -0x40000000]), /does not fit/),
  corruptHive('a cell of a size that is no multiple of 8', changed([root - 4, 4, -81]), /does not fit/),
  corruptHive('a key that is cut off', changed([root - 4, 4, -32]), /cut off/),
  corruptHive('a name longer than its cell', changed([alpha + 72, 2, 0xffff]), /leaves its cell/),
  corruptHive('a class nowhere', changed([alpha + 48, 4, 0x12345678]), /leads to no cell/),
  corruptHive('a class longer than its cell', changed([alpha + 74, 2, 0xfff0]), /leaves its cell/),
  corruptHive('a descriptor nowhere', changed([root + 44, 4, 4]), /leads to no cell/),
  corruptHive('a descriptor that is a key', changed([root + 44, 4, offsetOf(alpha)]), /security descriptor/),
  corruptHive(
    'a descriptor longer than its cell',
    changed([cell(sound, 'sk') + 16, 4, 0xffffffff]),
    /security descriptor/,
  ),
  corruptHive('fewer subkeys than the list has', changed([root + 20, 4, 2]), /2 subkeys, and its lists 3/),
  corruptHive('4 billion subkeys', changed([root + 20, 4, 0xffffffff]), /4294967295 subkeys/),
  corruptHive('a list nowhere', changed([root + 28, 4, 0xffffffff]), /leads to no cell/),
  corruptHive('a list that is a key', changed([root + 28, 4, offsetOf(alpha)]), /no list of subkeys/),
  corruptHive('a list longer than its cell', changed([list + 2, 2, 0xffff]), /no room/),
  corruptHive('a subkey nowhere', changed([list + 4, 4, 0xfffffff8]), /leads to no cell/),
  corruptHive('a subkey that is a list', changed([list + 4, 4, offsetOf(list)]), /no key|cut off/),
  corruptHive(
    'a list of lists that leads to itself',
    changed([list, 2, 0x6972], [list + 4, 4, offsetOf(list)]),
    /no list of subkeys/,
  ),
  {
    what: 'keys in a circle',
    bytes: changed([list + 4, 4, offsetOf(root)]),
    answer: 'E_HIVE_CORRUPT',
    says: /more than 512 deep/,
  },
  corruptHive('4 billion values', changed([root + 36, 4, 0xffffffff]), /4294967295 values/),
  corruptHive('a list of values nowhere', changed([root + 40, 4, 0]), /leads to no cell/),
  corruptHive('a value nowhere', changed([rootValues, 4, 0xffffffff]), /leads to no cell/),
  corruptHive('a value that is a key', changed([rootValues, 4, offsetOf(alpha)]), /no value/),
  corruptHive('a name of a value longer than its cell', changed([value + 2, 2, 0xffff]), /leaves its cell/),
  corruptHive('eight bytes where four have room', changed([value + 4, 4, 0x80000008]), /where 4 have room/),
  corruptHive('data longer than its cell', changed([cell(sound, 'vk', 2) + 4, 4, 0x1000]), /its cell/),
  corruptHive('data nowhere', changed([cell(sound, 'vk', 2) + 8, 4, 0xffffffff]), /leads to no cell/),
  {
    what: 'data of 2 GiB',
    bytes: changed([longValue + 4, 4, 0x7fffffff]),
    answer: 'E_HIVE_FEATURE',
    says: /2147483647 bytes/,
  },
  corruptHive('fewer segments than bytes', changed([data + 2, 2, 1]), /do not lie in segments/),
  corruptHive('segments without a mark', changed([data, 2, 0]), /do not lie in segments/),
  corruptHive('a list of segments nowhere', changed([data + 4, 4, 1]), /leads to no cell/),
  corruptHive(
    'segments that are too short',
    changed([data + 4, 4, offsetOf(alpha)]),
    /leads to no cell|too short|no room/,
  ),
  {
    what: 'a bin without its mark',
    bytes: changed([4096 + 4096, 4, 0]),
    answer: 'E_HIVE_CORRUPT',
    says: /no bin/,
    bins: true,
  },
  {
    what: 'a bin that is longer than the hive',
    bytes: changed([4096 + 8, 4, 0x10000000]),
    answer: 'E_HIVE_CORRUPT',
    says: /no bin/,
    bins: true,
  },
  {
    what: 'a bin of no length',
    bytes: changed([4096 + 8, 4, 0]),
    answer: 'E_HIVE_CORRUPT',
    says: /no bin/,
    bins: true,
  },
  { what: 'keys 400 deep', bytes: deep, answer: 'open' },
  { what: 'a tree without an end', bytes: bushy, answer: 'E_HIVE_FEATURE', says: /more than \d+ cells/ },
  // Logs.
  corruptHive(
    'no checksum, and an old log of 4 GiB',
    Buffer.from(sound).fill(1, 508, 509),
    /no log has another|and the file only/,
    [sealBase(patchedLog(oldLog(sound, other), 40, 0xfffff000))],
  ),
  openWith('an old log with a map past its end', oldLog(sound, other).subarray(0, 520)),
  openWith('an old log that grows the hive to 4 GiB', sealBase(patchedLog(oldLog(sound, other), 40, 0xfffff000))),
  openWith('a new log of one endless entry', newLog(sound, 2, [patchedEntry(entry, 4, 0xfffffe00)])),
  openWith('an entry without a length', newLog(sound, 2, [patchedEntry(entry, 4, 0)])),
  openWith('an entry with 4 billion pages', newLog(sound, 2, [patchedEntry(entry, 20, 0xffffffff)])),
  openWith('an entry for a page past the bins', newLog(sound, 2, [patchedEntry(entry, 40, 0xfffff000)])),
  openWith('a page of 4 GiB', newLog(sound, 2, [patchedEntry(entry, 44, 0xffffffff)])),
  corruptHive('an entry that makes the hive longer than it is', left, /and the file only/, [
    newLog(sound, 2, [patchedEntry(entry, 16, 0x40000000)]),
  ]),
  corruptHive('an entry that leaves no bins', left, /leads to no cell|0 bytes/, [
    newLog(sound, 2, [patchedEntry(Buffer.from(entry).fill(0, 20, 24), 16, 0)]),
  ]),
  openWith('a log that is the hive', left, sound),
]

function patchedLog(log: Buffer, position: number, word: number): Buffer {
  const copy = Buffer.from(log)
  copy.writeUInt32LE(word >>> 0, position)
  return copy
}

function patchedEntry(source: Buffer, position: number, word: number): Buffer {
  return sealEntry(patchedLog(source, position, word))
}

/** Everything that is looked at: security and classes too. */
function look({ bytes, logs = [], bins }: DamagedHive): void {
  const hive = openBytes(bytes, ...logs)
  if (bins === true) {
    hive.root.at('Alpha\\below')
    hive.checkBins()
    return
  }
  for (const key of [hive.root, ...hive.root.subkeys()]) assert.ok(key.security?.length !== 0 && key.className !== '')
  lookBelow(hive.root)
}

function lookBelow(key: HiveKey): void {
  for (const value of key.values()) value.data()
  for (const below of key.subkeys()) lookBelow(below)
}

for (const hive of hives)
  test(`a hive: ${hive.what}`, () => {
    const begun = new ProcessorTime()
    let answer: string = 'open'
    let message = ''
    try {
      look(hive)
    } catch (error) {
      assert.ok(isImageError(error), String(error))
      answer = error.code
      message = error.message
    }
    assert.equal(answer, hive.answer, message)
    if (hive.says !== undefined) assert.match(message, hive.says)
    begun.atMost(2000)
  })

test(`${hives.length} damaged hives took less than 256 MiB`, () => {
  assert.ok(hives.length >= 40)
  assert.ok(process.resourceUsage().maxRSS < 256 * 1024, `${process.resourceUsage().maxRSS} KiB`)
})
