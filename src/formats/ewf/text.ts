import zlib from 'node:zlib'
import type { Fact } from '../../block/types.js'
import { decodeBzip2 } from '../../codec/stream/bzip2.js'
import { Input } from '../../codec/stream/input.js'
import { isImageError, printable } from '../../errors.js'

/** Text about an acquisition is short; more than this is not looked at. */
const longestText = 1024 * 1024
const longestFact = 4096

/** One value for each tag of a header: `c` is the case number. */
export type HeaderValues = ReadonlyMap<string, string>

/**
 * The values of a `header`, `header2`, `device` or `case` section; undefined where it cannot be understood. Compressed
 * with zlib or bzip2; UTF-16 with a byte order mark, or one byte a character.
 */
export function headerValues(stored: Uint8Array): HeaderValues | undefined {
  const plain = decompressed(stored)
  if (plain === undefined) return undefined
  const lines = textOf(plain).split(/\r\n|\r|\n/)
  const main = lines.findIndex((line) => line.trim() === 'main')
  const tags = lines[main + 1]?.split('\t')
  const values = lines[main + 2]?.split('\t')
  if (main < 0 || tags === undefined || values === undefined) return undefined
  return new Map(tags.map((tag, index) => [tag.trim(), values[index]?.trim() ?? '']))
}

function decompressed(stored: Uint8Array): Uint8Array | undefined {
  try {
    if (stored[0] === 0x42 && stored[1] === 0x5a) {
      const read = (at: number, bytes: Uint8Array): void => bytes.set(stored.subarray(at, at + bytes.length))
      // Text of this length is one piece; whatever follows it is not looked at.
      for (const piece of decodeBzip2(new Input('the text', read, 0, stored.length))) return piece
      return undefined
    }
    return stored[0] === 0x78 ? zlib.inflateSync(stored, { maxOutputLength: longestText }) : stored
  } catch (error) {
    if (isImageError(error) || typeof (error as NodeJS.ErrnoException).code === 'string') return undefined
    throw error
  }
}

function textOf(bytes: Uint8Array): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder('utf-16be').decode(bytes)
  // Version 2 has no mark.
  if (bytes[1] === 0 && bytes[3] === 0) return new TextDecoder('utf-16le').decode(bytes)
  return Buffer.from(bytes).toString('latin1')
}

/** Tags of version 1, and of version 2 where they differ. */
const facts: readonly (readonly [name: string, tags: readonly string[]])[] = [
  ['caseNumber', ['c', 'cn']],
  ['evidenceNumber', ['n', 'en']],
  ['description', ['a', 'nm']],
  ['examiner', ['e', 'ex']],
  ['notes', ['t', 'nt']],
  ['acquired', ['m', 'at']],
  ['systemDate', ['u', 'tt']],
  ['software', ['av']],
  ['system', ['ov', 'os']],
  ['model', ['md']],
  ['serialNumber', ['sn']],
  ['deviceLabel', ['l', 'lb']],
]

/** What `info` shows of it. */
export function acquisitionFacts(values: HeaderValues): Fact[] {
  return facts.flatMap(([name, tags]) => {
    const value = tags.map((tag) => values.get(tag)).find((text) => text !== undefined && text !== '')
    if (value === undefined) return []
    const isDate = name === 'acquired' || name === 'systemDate'
    return [{ name, value: isDate ? dateText(value) : printable(value.slice(0, longestFact)) }]
  })
}

/** `2026 11 30 0 17 5` as version 1 has it, or seconds since 1970; anything else as it stands. */
function dateText(value: string): string {
  const parts = value.split(/\s+/).map(Number)
  if (parts.length === 6 && parts.every(Number.isInteger)) {
    const [year, month, day, hour, minute, second] = parts.map((part) => String(part).padStart(2, '0'))
    return `${year}-${month}-${day} ${hour}:${minute}:${second}`
  }
  const [seconds] = parts
  if (parts.length === 1 && seconds !== undefined && Number.isInteger(seconds) && seconds > 0 && seconds < 2 ** 33)
    return new Date(seconds * 1000).toISOString()
  return printable(value)
}
