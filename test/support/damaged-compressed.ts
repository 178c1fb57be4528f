import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { finish } from '../../src/block/work.js'
import { Input } from '../../src/codec/stream/input.js'
import { streamCodecFor } from '../../src/codec/stream/index.js'
import { isImageError } from '../../src/errors.js'
import * as wrappers from '../../src/formats/compressed/index.js'
import type { WrapperContext, WrapperDriver } from '../../src/formats/driver.js'
import { by } from './compress.js'
import { diskLike } from './content.js'
import { have } from './tools.js'
import { ProcessorTime } from './processor-time.js'

/**
 * What comes of a damaged compressed file: its content (`sound`), twice that, a refusal by its code, or `unknown`: it
 * is not taken for a compressed file at all.
 */
type Answer = 'sound' | 'twice' | 'unknown' | `E_${string}`

type Answers = Answer | readonly Answer[]

interface Case {
  readonly what: string
  readonly change: (sound: Buffer) => Buffer
  /** Several where it depends on what the next bytes happen to be. */
  readonly answer: Answers
}

interface Format {
  readonly driver: WrapperDriver
  readonly tool: string
  readonly args: readonly string[]
  /** Answers that are not what damage of that kind usually gives. */
  readonly answers: Readonly<Record<string, Answer>>
  readonly more?: readonly Case[]
  /** Damage may go unseen, since there is no checksum: any of the answers, or other content of the right length. */
  readonly weak?: boolean
}

const bombLength = 32 * 1024 * 1024
const plain = Buffer.concat([diskLike(30_000, 5), Buffer.alloc(9_000), diskLike(2_000, 6)])
const context: WrapperContext = {
  name: undefined,
  openNamed: () => {
    throw new Error('a compressed file names no other')
  },
  openBeside: () => undefined,
}

/** All that is in a file, as its driver and codec give it, in pieces. */
async function* content(driver: WrapperDriver, bytes: Buffer): AsyncGenerator<Uint8Array> {
  const store = new MemoryStore(bytes, 'damaged')
  const [member] = finish(driver.open(store, context)).members
  if (member === undefined) return
  if (member.source !== undefined) {
    const all = new Uint8Array(member.source.capacity)
    member.source.read(0, all)
    yield all
    return
  }
  const { stream } = member
  if (stream === undefined) return
  const input = new Input('damaged', (at, to) => store.read(at, to), stream.start, stream.end)
  input.position = stream.start
  let size = 0
  let crc = 0
  for await (const piece of streamCodecFor(stream.codec).decode(input)) {
    size += piece.length
    if (stream.expected !== undefined) crc = crc32(piece, crc)
    yield piece
  }
  // As the thread does that decodes them.
  if (stream.expected !== undefined && (stream.expected.size !== size || stream.expected.crc32 !== crc))
    throw input.damaged('it holds something else than the archive says')
}

async function answerOf({ driver, weak = false }: Format, bytes: Buffer): Promise<Answer | 'other content'> {
  const ends = { head: bytes.subarray(0, 65536), tail: bytes.subarray(Math.max(0, bytes.length - 65536)) }
  if (driver.probe(ends.head, ends.tail, bytes.length) !== 'certain') return 'unknown'
  try {
    const pieces: Buffer[] = []
    for await (const piece of content(driver, bytes)) pieces.push(Buffer.from(piece))
    const found = Buffer.concat(pieces)
    if (found.equals(plain) || (weak && found.length === plain.length)) return 'sound'
    return found.equals(Buffer.concat([plain, plain])) ? 'twice' : 'other content'
  } catch (error) {
    assert.ok(isImageError(error), String(error))
    assert.ok(error.message.length > 20)
    return error.code as Answer
  }
}

const flipped =
  (place: number, mask = 1) =>
  (sound: Buffer): Buffer => {
    const changed = Buffer.from(sound)
    changed[place < 0 ? sound.length + place : place]! ^= mask
    return changed
  }
const added =
  (more: (sound: Buffer) => Uint8Array) =>
  (sound: Buffer): Buffer =>
    Buffer.concat([sound, more(sound)])
const text = (words: string) => (): Buffer => Buffer.from(words)

/** Damage that any format can have, with the answer that most give. */
function usualCases(): Case[] {
  const cuts = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 17]
  const ends = [1, 2, 3, 4, 5, 8, 9, 12, 13, 20]
  const behind: readonly [string, (sound: Buffer) => Uint8Array, Answer][] = [
    ['4 zeros', () => Buffer.alloc(4), 'sound'],
    ['512 zeros', () => Buffer.alloc(512), 'sound'],
    ['10 KiB of zeros', () => Buffer.alloc(10240), 'sound'],
    ['one letter', text('x'), 'E_TRAILING_DATA'],
    ['words', text('words that are no stream at all'), 'E_TRAILING_DATA'],
    ['zeros and a letter', () => Buffer.concat([Buffer.alloc(64), Buffer.from('x')]), 'E_TRAILING_DATA'],
    ['itself', (sound) => sound, 'twice'],
    ['its first half', (sound) => sound.subarray(0, sound.length >> 1), 'E_TRUNCATED'],
    ['itself without its last byte', (sound) => sound.subarray(0, -1), 'E_TRUNCATED'],
    ['itself, a byte of its middle changed', (sound) => flipped(sound.length >> 1)(sound), 'E_COMPRESSED'],
    ['its first byte', (sound) => sound.subarray(0, 1), 'E_TRUNCATED'],
  ]
  return [
    { what: 'nothing is changed', change: (sound) => sound, answer: 'sound' },
    { what: 'an empty file', change: () => Buffer.alloc(0), answer: 'unknown' },
    ...cuts.map((length) => ({
      what: `${length} bytes are left`,
      change: (sound: Buffer) => sound.subarray(0, length),
      answer: 'unknown' as const,
    })),
    ...[1, 2, 3].map((part) => ({
      what: `${part} quarters are left`,
      change: (sound: Buffer) => sound.subarray(0, Math.floor((sound.length * part) / 4)),
      answer: 'E_TRUNCATED' as const,
    })),
    ...ends.map((length) => ({
      what: `the last ${length} are missing`,
      change: (sound: Buffer) => sound.subarray(0, -length),
      answer: 'E_TRUNCATED' as const,
    })),
    ...behind.map(([what, more, answer]) => ({ what: `behind it ${what}`, change: added(more), answer })),
    ...[700, 1000, 2000].map((place) => ({
      what: `byte ${place} is changed`,
      change: flipped(place),
      answer: 'E_COMPRESSED' as const,
    })),
  ]
}

const at = (place: number, mask: number, answer: Answers): Case => ({
  what: `byte ${place}: ${mask}`,
  change: flipped(place, mask),
  answer,
})

const short = (places: readonly number[], answer: Answer): Record<string, Answer> =>
  Object.fromEntries(places.map((length) => [`${length} bytes are left`, answer]))
const bytes = (places: readonly number[], answer: Answers): Case[] => places.map((place) => at(place, 1, answer))
const ofZip = (what: string, magic: number, place: number, answer: Answers, mask = 1): Case => ({
  what: `${what} ${place}: ${mask}`,
  change: (sound) => flipped(sound.indexOf(Buffer.from([0x50, 0x4b, magic, magic + 1])) + place, mask)(sound),
  answer,
})
const noStream = { 'behind it its first byte': 'E_TRAILING_DATA' } as const

const formats: readonly Format[] = [
  {
    driver: wrappers.gzip,
    tool: 'gzip',
    args: ['-nc'],
    answers: {},
    more: [
      ...bytes([0, 1], 'unknown'),
      at(2, 15, 'unknown'),
      at(3, 0x20, 'unknown'),
      at(3, 0x80, 'unknown'),
      // The time, the level and the system say nothing of the content.
      ...bytes([4, 8, 9], 'sound'),
      at(3, 2, 'E_COMPRESSED'),
      at(3, 4, 'E_TRUNCATED'),
      at(10, 6, 'E_COMPRESSED'),
      ...bytes([-1, -2, -3, -4, -5, -6, -7, -8], 'E_COMPRESSED'),
    ],
  },
  {
    driver: wrappers.bzip2,
    tool: 'bzip2',
    args: ['-c'],
    answers: short([10, 12, 15, 17], 'E_TRUNCATED'),
    more: [
      ...bytes([0, 1, 2, 4, 5, 6, 7, 8, 9], 'unknown'),
      // 800 KiB instead of 900: this block is smaller.
      at(3, 1, 'sound'),
      ...bytes([10, 11, 12, 13], 'E_COMPRESSED'),
      ...bytes([-2, -3, -4, -5, -6, -8, -9], ['E_COMPRESSED', 'E_TRUNCATED']),
    ],
  },
  {
    driver: wrappers.xz,
    tool: 'xz',
    args: ['-c', '-T1'],
    answers: short([6, 8, 10, 12, 15, 17], 'E_TRUNCATED'),
    more: [
      ...bytes([0, 1, 2, 3, 4, 5], 'unknown'),
      ...bytes([6, 7, 8, 9, 10, 11, 12, 13], 'E_COMPRESSED'),
      ...bytes([-1, -2, -3, -4, -5, -6, -8, -9, -12, -13, -16, -20, -24, -28], ['E_COMPRESSED', 'E_TRUNCATED']),
      { what: '3 zeros behind it', change: added(() => Buffer.alloc(3)), answer: 'E_TRAILING_DATA' },
    ],
  },
  {
    driver: wrappers.zstd,
    tool: 'zstd',
    args: ['-qc'],
    answers: { ...short([8, 10, 12, 15, 17], 'E_TRUNCATED'), ...noStream },
    more: [
      ...bytes([0, 1, 2, 3], 'unknown'),
      // It needs a dictionary; its window has another size, which is enough all the time.
      at(4, 1, 'E_CODEC'),
      at(4, 8, 'E_COMPRESSED'),
      at(5, 1, 'sound'),
      at(5, 0xf8, 'E_CODEC'),
      ...bytes([6, 7, 8], ['E_COMPRESSED', 'E_TRUNCATED']),
      ...bytes([10, 11, 12, 13, -1, -2, -3, -4, -5, -6, -8, -9, -12], 'E_COMPRESSED'),
    ],
  },
  {
    driver: wrappers.lz4,
    tool: 'lz4',
    args: ['-qc', '-BX'],
    answers: { ...short([4, 5, 6, 8, 10, 12, 15, 17], 'E_TRUNCATED'), ...noStream },
    more: [
      ...bytes([0, 1, 2, 3], 'unknown'),
      at(4, 1, 'E_CODEC'),
      at(4, 2, 'E_COMPRESSED'),
      at(4, 0x80, 'E_COMPRESSED'),
      at(5, 0x80, 'E_COMPRESSED'),
      at(5, 0x70, 'E_COMPRESSED'),
      ...bytes([5, 6], 'E_COMPRESSED'),
      ...bytes([7, 8, 9, 10], ['E_COMPRESSED', 'E_TRUNCATED']),
      ...bytes([-1, -2, -3, -4, -9, -12], 'E_COMPRESSED'),
      ...bytes([-5, -6, -7, -8], ['E_COMPRESSED', 'E_TRUNCATED']),
    ],
  },
  {
    driver: wrappers.lzma,
    tool: 'xz',
    args: ['--format=lzma', '-c'],
    weak: true,
    answers: {
      'behind it itself': 'E_TRAILING_DATA',
      'behind it its first half': 'E_TRAILING_DATA',
      'behind it itself without its last byte': 'E_TRAILING_DATA',
      'behind it itself, a byte of its middle changed': 'E_TRAILING_DATA',
      ...noStream,
    },
    more: [
      ...bytes([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13], 'unknown'),
      // A dictionary of 24 MiB; one of 2 GiB.
      at(4, 1, 'sound'),
      { what: 'a dictionary of 2 GiB', change: (sound) => (sound.writeUInt32LE(2 ** 31, 1), sound), answer: 'E_CODEC' },
      ...bytes([14, 15, 16, -2, -3, -5, -8, -9, -12], ['sound', 'E_COMPRESSED', 'E_TRUNCATED']),
    ],
  },
  {
    driver: wrappers.zip,
    tool: 'zip',
    args: ['-q', '-', '-'],
    answers: {
      ...short([4, 5, 6, 8, 10, 12, 15, 17], 'E_TRUNCATED'),
      // The directory of the last one leads to the first one's data.
      'behind it itself': 'sound',
      'behind it itself, a byte of its middle changed': 'sound',
      'behind it its first half': 'E_TRAILING_DATA',
      'behind it its first byte': 'E_TRAILING_DATA',
      'behind it itself without its last byte': 'E_TRAILING_DATA',
    },
    more: [
      ...[0, 1, 2, 3].map((place) => ofZip('local', 3, place, 'unknown')),
      ...[8, 26, 28].map((place) => ofZip('local', 3, place, 'E_COMPRESSED')),
      // What the directory has too is believed there.
      ...[4, 6, 10, 12, 14, 18, 22].map((place) => ofZip('local', 3, place, 'sound')),
      ...[0, 1, 2, 3, 16, 17, 18, 19, 24, 25, 30, 42].map((place) => ofZip('central', 1, place, 'E_COMPRESSED')),
      ofZip('central', 1, 8, 'E_ENCRYPTED'),
      ofZip('central', 1, 10, 'E_CODEC'),
      ofZip('central', 1, 21, ['E_COMPRESSED', 'E_TRUNCATED', 'E_TRAILING_DATA']),
      ...[4, 6, 12, 14, 34, 36, 38, 46].map((place) => ofZip('central', 1, place, 'sound')),
      ...[0, 1, 2, 3, 20, 21].map((place) => ofZip('end', 5, place, 'E_TRUNCATED')),
      ofZip('end', 5, 4, 'E_UNSUPPORTED_FORMAT'),
      ...[10, 12, 16].map((place) => ofZip('end', 5, place, 'E_COMPRESSED')),
      ofZip('end', 5, 10, ['E_COMPRESSED', 'E_UNSUPPORTED_FORMAT'], 254),
      ofZip('end', 5, 15, ['E_COMPRESSED', 'E_UNSUPPORTED_FORMAT'], 255),
    ],
  },
]

export function testDamagedCompressed(engine: string): void {
  for (const format of formats) {
    const { driver, tool, args, answers, more = [] } = format
    test(`${driver.id} by ${engine}: damaged files have the right answers`, async (t) => {
      if (!have(t, tool)) return
      const sound = by(tool, args, plain)
      const cases = [...usualCases(), ...more]
      const wrong: string[] = []
      for (const { what, change, answer } of cases) {
        const expected = answers[what] ?? answer
        // Of the processor, so that others at work do not count.
        const begun = new ProcessorTime()
        const found = await answerOf(format, change(Buffer.from(sound)))
        begun.atMost(2000, what)
        const right: readonly string[] = [expected].flat()
        if (!right.includes(found)) wrong.push(`${what}: ${found}, not ${right.join(' or ')}`)
      }
      assert.deepEqual(wrong, [])
      assert.ok(cases.length >= 40, `${cases.length} files`)
      for (const what of Object.keys(answers))
        assert.ok(
          cases.some((one) => one.what === what),
          what,
        )
    })
  }
  test(`by ${engine}: what holds a thousand times as much comes in pieces`, async (t) => {
    for (const { driver, tool, args } of formats) {
      if (!have(t, tool)) return
      const bomb = by(tool, args, Buffer.alloc(bombLength))
      const begun = new ProcessorTime()
      let length = 0
      for await (const piece of content(driver, bomb)) {
        assert.ok(piece.length <= 17 * 1024 * 1024, `${driver.id}: ${piece.length} bytes at once`)
        length += piece.length
      }
      assert.equal(length, bombLength, driver.id)
      begun.atMost(2000, driver.id)
    }
  })
  test(`by ${engine}: less than 256 MiB in all`, () => {
    assert.ok(process.resourceUsage().maxRSS < 256 * 1024, `${process.resourceUsage().maxRSS} KiB`)
  })
}
