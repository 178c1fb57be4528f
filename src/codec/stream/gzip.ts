import zlib from 'node:zlib'
import { inflateEngine, type InflateEngine } from './inflate.js'
import { littleWord, type Input } from './input.js'
import type { StreamCodec } from './types.js'

/** gzip (RFC 1952): members one behind the other, then zeros or nothing. */
export const gzipStream: StreamCodec = { id: 'gzip', decode: (input) => decodeGzip(input, inflateEngine()) }

/** Raw deflate (RFC 1951) that takes all of its range: in zip archives, which record the checksum elsewhere. */
export const deflateStream: StreamCodec = {
  id: 'deflate',
  async *decode(input) {
    yield* inflateEngine().inflate(input, true)
    if (input.remaining > 0) throw input.trailing('deflate')
  },
}

/** The same with a chosen inflate. */
export async function* decodeGzip(input: Input, engine: InflateEngine): AsyncGenerator<Uint8Array> {
  for (let members = 0; members === 0 || memberFollows(input); members++) {
    skipGzipHeader(input)
    let crc = 0
    let length = 0
    for await (const piece of engine.inflate(input)) {
      crc = zlib.crc32(piece, crc)
      length += piece.length
      yield piece
    }
    takeGzipTrailer(input, crc, length)
  }
}

/** Whether another member follows; false at the end, or where only padding is left. @throws ImageError corrupt. */
export function memberFollows(input: Input): boolean {
  if (input.remaining === 0 || input.onlyZeros()) return false
  const magic = input.peek(2)
  if (magic[0] !== 0x1f || (magic.length > 1 && magic[1] !== 0x8b)) throw input.trailing('gzip')
  return true
}

/** Goes past a member's trailer, which must be that of its content (RFC 1952, 2.3.1). @throws ImageError corrupt. */
export function takeGzipTrailer(input: Input, crc: number, length: number): void {
  const at = input.position
  const trailer = input.take(8, 'the trailer of a gzip member')
  if (littleWord(trailer, 0) !== crc)
    throw input.damaged('the checksum (CRC-32) of a gzip member is not that of its content', at)
  if (littleWord(trailer, 4) !== length % 4294967296)
    throw input.damaged(`a gzip member records a content of ${littleWord(trailer, 4)} bytes and has ${length}`, at + 4)
}

const flags = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const

/** Goes past a member's header (RFC 1952, 2.3). @returns its extra field, empty where it has none. */
export function skipGzipHeader(input: Input): Uint8Array {
  const start = input.position
  const header = Uint8Array.from(input.take(10, 'a gzip header'))
  if (header[0] !== 0x1f || header[1] !== 0x8b) throw input.damaged('no gzip member begins here', start)
  if (header[2] !== 8) throw input.damaged(`a gzip member has the unknown method ${header[2] ?? 0}`, start + 2)
  const set = header[3] ?? 0
  if ((set & flags.reserved) !== 0) throw input.damaged('a gzip header has reserved flags set', start + 3)
  let extra: Uint8Array = new Uint8Array(0)
  if ((set & flags.extra) !== 0) {
    const size = input.take(2, 'a gzip header')
    extra = Uint8Array.from(input.take((size[0] ?? 0) | ((size[1] ?? 0) << 8), 'a gzip header'))
  }
  if ((set & flags.name) !== 0) skipText(input)
  if ((set & flags.comment) !== 0) skipText(input)
  if ((set & flags.headerCrc) !== 0) {
    const length = input.position - start
    input.position = start
    const crc = zlib.crc32(input.take(length, 'a gzip header')) & 0xffff
    const stored = input.take(2, 'a gzip header')
    if (((stored[0] ?? 0) | ((stored[1] ?? 0) << 8)) !== crc)
      throw input.damaged('the checksum of a gzip header is wrong', start + length)
  }
  return extra
}

/** A name or comment ends with a zero byte; one of more than 64 KiB is damage. */
function skipText(input: Input): void {
  const bytes = input.peek(65536)
  const end = bytes.indexOf(0)
  if (end < 0)
    throw bytes.length < 65536 ? input.cut('a gzip header') : input.damaged('a name in a gzip header has no end')
  input.position += end + 1
}
