import { createHash, type Hash } from 'node:crypto'
import zlib from 'node:zlib'
import { unsupported } from '../../errors.js'
import { Crc64 } from './crc64.js'
import { littleWord, type Input } from './input.js'
import { streamLibraries, type OpenLibraryStream } from '../../sys/stream-libraries.js'
import { decodedBy } from './library-stream.js'
import { LzmaDamage, LzmaDecoder } from './lzma.js'
import { xzHeaderLength, xzMagic } from './marks.js'
import type { StreamCodec } from './types.js'
import { unfilteringOf, type Unfiltering } from './branch-filters.js'

/** .xz (xz-file-format.txt 1.2): streams one behind the other, zeros between and behind them in groups of four. */
export const xzStream: StreamCodec = { id: 'xz', decode: (input) => decodeXz(input) }

/** Bytes of the check of each type (2.1.1.2); those not known are still that long. */
const xzCheckLengths = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64] as const
const pieceLength = 1048576
/** Larger dictionaries are refused: they are memory that must be there. */
const largestDictionary = 1024 * 1024 * 1024
const lzma2Id = 0x21

/** What the index of a stream records of a block: bytes without the padding, and bytes of content. */
export interface XzRecord {
  readonly unpadded: number
  readonly size: number
}

/** @param library decodes whole streams; null: JavaScript does. */
export function* decodeXz(
  input: Input,
  library: OpenLibraryStream | null = streamLibraries().xz ?? null,
): Generator<Uint8Array> {
  for (let streams = 0; ; streams++) {
    if (streams > 0) {
      skipPadding(input)
      if (input.remaining === 0) return
    }
    const start = input.position
    const check = takeXzHeader(input, streams > 0)
    if (library !== null) {
      input.position = start
      yield* decodedBy(library, input, 'an xz stream')
      continue
    }
    const records: XzRecord[] = []
    while (input.peek(1)[0] !== 0) {
      if (input.remaining === 0) throw input.cut('an xz stream')
      const start = input.position
      const block = new XzBlock(input, check)
      yield* block.content()
      records.push({ unpadded: input.position - start - block.padding, size: block.size })
    }
    const indexLength = checkIndex(input, records)
    const footer = takeXzFooter(input)
    if (footer.check !== check || footer.indexLength !== indexLength)
      throw input.damaged('the footer of an xz stream does not agree with the stream', input.position - xzHeaderLength)
  }
}

/** Zeros between streams come in groups of four (2.2). */
function skipPadding(input: Input): void {
  while (input.remaining >= 4 && littleWord(input.peek(4), 0) === 0) input.position += 4
}

/** Takes a stream's header. @returns the type of check. @throws ImageError */
export function takeXzHeader(input: Input, further: boolean): number {
  const start = input.position
  const header = Uint8Array.from(input.peek(xzHeaderLength))
  if (xzMagic.some((byte, index) => index < header.length && header[index] !== byte))
    throw further ? input.trailing('xz') : input.damaged('no xz stream begins here')
  input.skip(xzHeaderLength, 'an xz header')
  if (littleWord(header, 8) !== zlib.crc32(header.subarray(6, 8)))
    throw input.damaged('the checksum of an xz header is wrong', start)
  return checkType(input, header[6] ?? 0, header[7] ?? 0, start)
}

/** The header of a stream whose blocks have that type of check (2.1.1). */
export function xzHeader(check: number): Uint8Array {
  const header = Buffer.from([...xzMagic, 0, check, 0, 0, 0, 0])
  header.writeUInt32LE(zlib.crc32(header.subarray(6, 8)), 8)
  return header
}

function checkType(input: Input, zero: number, flags: number, position: number): number {
  if (zero !== 0 || flags > 15) throw input.damaged('an xz header has reserved bits set', position)
  if (![0, 1, 4, 10].includes(flags))
    throw unsupported('E_CODEC', `${input.name}: its check of the unknown type ${flags} cannot be verified`)
  return flags
}

/** Whether those bytes are a footer, whatever it says. */
export function isXzFooter(footer: Uint8Array): boolean {
  return footer[10] === 0x59 && footer[11] === 0x5a && littleWord(footer, 0) === zlib.crc32(footer.subarray(4, 10))
}

/** Takes the footer (2.1.2). @returns the type of check, and the bytes of the index before it. */
export function takeXzFooter(input: Input): { readonly check: number; readonly indexLength: number } {
  const start = input.position
  const footer = Uint8Array.from(input.take(xzHeaderLength, 'an xz footer'))
  if (!isXzFooter(footer)) throw input.damaged('the footer of an xz stream is damaged', start)
  const check = checkType(input, footer[8] ?? 0, footer[9] ?? 0, start)
  return { check, indexLength: (littleWord(footer, 4) + 1) * 4 }
}

/** @returns the bytes of the index. */
function checkIndex(input: Input, records: readonly XzRecord[]): number {
  const start = input.position
  const found = takeXzIndex(input)
  const agree =
    found.length === records.length &&
    found.every(({ unpadded, size }, index) => records[index]?.unpadded === unpadded && records[index].size === size)
  if (!agree) throw input.damaged('the index of an xz stream does not agree with its blocks', start)
  return input.position - start
}

/** Takes an index (4). @throws ImageError corrupt. */
export function takeXzIndex(input: Input): XzRecord[] {
  const start = input.position
  const bytes = new VariableLengths(input, 'an xz index')
  if (bytes.byte() !== 0) throw input.damaged('no xz index is here', start)
  const count = bytes.number()
  // Every record takes two bytes at least.
  if (count > input.remaining / 2) throw input.damaged(`an xz index says it has ${count} records`, start)
  const records: XzRecord[] = []
  for (let index = 0; index < count; index++) {
    const unpadded = bytes.number()
    const size = bytes.number()
    if (unpadded < 5) throw input.damaged('an xz index has an impossible record', start)
    records.push({ unpadded, size })
  }
  while ((input.position - start) % 4 !== 0)
    if (bytes.byte() !== 0) throw input.damaged('the padding of an xz index is not zero', start)
  const { crc } = bytes
  if (littleWord(input.take(4, 'an xz index'), 0) !== crc)
    throw input.damaged('the checksum of an xz index is wrong', start)
  return records
}

/** Numbers of one to nine bytes, seven bits each (1.2), and the CRC-32 over what was taken. */
class VariableLengths {
  crc = 0
  readonly #input: Input
  readonly #what: string

  constructor(input: Input, what: string) {
    this.#input = input
    this.#what = what
  }

  byte(): number {
    const bytes = this.#input.take(1, this.#what)
    this.crc = zlib.crc32(bytes, this.crc)
    return bytes[0] ?? 0
  }

  number(): number {
    let value = 0
    let weight = 1
    for (let count = 1; count <= 9; count++, weight *= 128) {
      const byte = this.byte()
      value += (byte & 127) * weight
      if (byte < 128) {
        if ((byte === 0 && count > 1) || value > Number.MAX_SAFE_INTEGER) break
        return value
      }
    }
    throw this.#input.damaged(`a number in ${this.#what} is not written as it must be`)
  }
}

/** One block (3): what it holds is checked when its content was taken to the end. */
export class XzBlock {
  /** Bytes of content, and of padding, when all was taken. */
  size = 0
  padding = 0
  readonly #input: Input
  readonly #check: number

  constructor(input: Input, check: number) {
    this.#input = input
    this.#check = check
  }

  *content(): Generator<Uint8Array> {
    const input = this.#input
    const { dictionary, filters, stored, size } = this.#header()
    const start = input.position
    const check = new BlockCheck(this.#check)
    // The first filter was the first to be applied.
    const pieces = filters.reduceRight((inner, unfilter) => unfilter(inner), decodeLzma2(input, dictionary))
    for (const piece of pieces) {
      check.update(piece)
      this.size += piece.length
      if (size !== undefined && this.size > size)
        throw input.damaged(`an xz block holds more than the ${size} bytes it says`)
      yield piece
    }
    if (size !== undefined && this.size !== size)
      throw input.damaged(`an xz block says it holds ${size} bytes and has ${this.size}`)
    const length = input.position - start
    if (stored !== undefined && stored !== length)
      throw input.damaged(`an xz block says it takes ${stored} bytes and takes ${length}`)
    this.padding = (4 - (length % 4)) % 4
    if (input.take(this.padding, 'an xz block').some((byte) => byte !== 0))
      throw input.damaged('the padding of an xz block is not zero')
    const at = input.position
    const recorded = input.take(xzCheckLengths[this.#check] ?? 0, 'the check of an xz block')
    if (!check.agrees(recorded)) throw input.damaged('the check of an xz block is not that of its content', at)
  }

  /** Takes the block's header (3.1). */
  #header(): {
    readonly dictionary: number
    readonly filters: readonly Unfiltering[]
    readonly stored?: number
    readonly size?: number
  } {
    const input = this.#input
    const start = input.position
    const length = ((input.peek(1)[0] ?? 0) + 1) * 4
    const header = Uint8Array.from(input.take(length, 'an xz block header'))
    if (littleWord(header, length - 4) !== zlib.crc32(header.subarray(0, length - 4)))
      throw input.damaged('the checksum of an xz block header is wrong', start)
    input.position = start + 2
    const flags = header[1] ?? 0
    const numbers = new VariableLengths(input, 'an xz block header')
    const stored = (flags & 0x40) === 0 ? undefined : numbers.number()
    const size = (flags & 0x80) === 0 ? undefined : numbers.number()
    if ((flags & 0x3c) !== 0) throw input.damaged('an xz block header has reserved bits set', start + 1)
    let dictionary = 0
    const filters: Unfiltering[] = []
    for (let filter = 0; filter <= (flags & 3); filter++) {
      const id = numbers.number()
      const properties = Uint8Array.from(input.take(numbers.number(), 'an xz block header'))
      if (filter < (flags & 3)) filters.push(this.#filter(id, properties, start))
      else if (id === lzma2Id) dictionary = this.#dictionarySize(properties, start)
      else throw this.#unknownFilter(id)
    }
    input.position = start + length
    return { dictionary, filters, stored, size }
  }

  #filter(id: number, properties: Uint8Array, position: number): Unfiltering {
    if (id === lzma2Id) throw this.#input.damaged('LZMA2 is not the last xz filter', position)
    const filter = unfilteringOf(id, properties)
    if (filter === undefined) throw this.#unknownFilter(id)
    if (filter === 'impossible')
      throw this.#input.damaged(`an xz block header has impossible properties of filter ${id}`, position)
    return filter
  }

  #unknownFilter(id: number): Error {
    const name = id === 11 ? 'RISC-V' : id
    return unsupported(
      'E_CODEC',
      `${this.#input.name} is compressed with the xz filter ${name}, which vdisk does not know`,
      { hint: 'Unpack it with xz -d first.' },
    )
  }

  #dictionarySize(properties: Uint8Array, position: number): number {
    const [bits = 255] = properties
    if (properties.length !== 1 || bits > 40)
      throw this.#input.damaged('an xz block header has impossible LZMA2 properties', position)
    const size = bits === 40 ? 4294967295 : (2 + (bits % 2)) * 2 ** (Math.floor(bits / 2) + 11)
    if (size > largestDictionary)
      throw unsupported(
        'E_CODEC',
        `${this.#input.name} needs a dictionary of ${size} bytes; vdisk allows ${largestDictionary}`,
        { hint: 'Unpack it with xz -d first.' },
      )
    return size
  }
}

/** The check of a block's content. */
class BlockCheck {
  readonly #type: number
  readonly #crc64 = new Crc64()
  readonly #sha256: Hash | undefined
  #crc32 = 0

  constructor(type: number) {
    this.#type = type
    this.#sha256 = type === 10 ? createHash('sha256') : undefined
  }

  update(bytes: Uint8Array): void {
    if (this.#type === 1) this.#crc32 = zlib.crc32(bytes, this.#crc32)
    else if (this.#type === 4) this.#crc64.update(bytes)
    else this.#sha256?.update(bytes)
  }

  agrees(recorded: Uint8Array): boolean {
    if (this.#type === 1) return littleWord(recorded, 0) === this.#crc32
    if (this.#type === 4) return Buffer.compare(recorded, this.#crc64.digest()) === 0
    return this.#sha256 === undefined || Buffer.compare(recorded, this.#sha256.digest()) === 0
  }
}

/**
 * LZMA2: chunks of at most 64 KiB stored and 2 MiB of content.
 */
// eslint-disable-next-line complexity -- the bits of the control byte depend on each other and on what came before
function* decodeLzma2(input: Input, dictionary: number): Generator<Uint8Array> {
  const lzma = new LzmaDecoder(dictionary)
  let needsDictionary = true
  let needsProperties = true
  for (;;) {
    const start = input.position
    const control = input.take(1, 'an LZMA2 chunk')[0] ?? 0
    if (control === 0) return
    if (control === 1 || control >= 0xe0) {
      lzma.resetDictionary()
      needsDictionary = false
      if (control === 1) needsProperties = true
    } else if (needsDictionary) throw input.damaged('the first LZMA2 chunk does not begin anew', start)
    if (control <= 2) {
      const header = input.take(2, 'an LZMA2 chunk')
      const plain = input.take((((header[0] ?? 0) << 8) | (header[1] ?? 0)) + 1, 'an LZMA2 chunk')
      lzma.copy(plain)
      yield plain
      continue
    }
    if (control < 0x80) throw input.damaged(`an LZMA2 chunk has the unknown kind ${control}`, start)
    const [a = 0, b = 0, c = 0, d = 0] = input.take(4, 'an LZMA2 chunk')
    const size = ((control & 0x1f) << 16) + (a << 8) + b + 1
    const stored = (c << 8) + d + 1
    try {
      if (control >= 0xc0) {
        lzma.setProperties(input.take(1, 'an LZMA2 chunk')[0] ?? 255, 4)
        needsProperties = false
      } else if (needsProperties) throw new LzmaDamage('it has no properties')
      if (control >= 0xa0) lzma.resetState()
      lzma.input = input.take(stored, 'an LZMA2 chunk')
      if (stored < 5) throw new LzmaDamage('it is too short')
      lzma.at = 0
      lzma.end = stored
      lzma.start()
      yield* chunkContent(lzma, size)
    } catch (error) {
      if (!(error instanceof LzmaDamage)) throw error
      throw input.damaged(`an LZMA2 chunk does not decode: ${error.message}`, start)
    }
  }
}

function* chunkContent(lzma: LzmaDecoder, size: number): Generator<Uint8Array> {
  for (let left = size; left > 0;) {
    const from = lzma.position
    const length = lzma.decode(Math.min(left, pieceLength, lzma.capacity), true)
    if (length === 0) throw new LzmaDamage('its data ends too early')
    left -= length
    yield* lzma.produced(from, length)
  }
  if (!lzma.finished || lzma.at !== lzma.end) throw new LzmaDamage('its data goes on behind its end')
}
