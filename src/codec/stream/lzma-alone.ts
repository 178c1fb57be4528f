import { unsupported } from '../../errors.js'
import { littleLong, littleWord, type Input } from './input.js'
import { streamLibraries, type OpenLibraryStream } from '../../sys/stream-libraries.js'
import { decodedBy } from './library-stream.js'
import { LzmaCut, LzmaDamage, LzmaDecoder, longestSymbol } from './lzma.js'
import { lzmaHeaderLength } from './marks.js'
import type { StreamCodec } from './types.js'

/** The old .lzma files ("LZMA alone"): thirteen bytes, then one LZMA stream. They have no checksum. */
export const lzmaStream: StreamCodec = { id: 'lzma', decode: (input) => decodeLzma(input) }

const largestDictionary = 1024 * 1024 * 1024
const pieceLength = 1048576
const sliceLength = 65536

/** The length that a header records, in bytes; undefined when an end mark ends the stream. */
export function lzmaSize(header: Uint8Array): number | undefined {
  const unknown = littleWord(header, 5) === 0xffffffff && littleWord(header, 9) === 0xffffffff
  return unknown ? undefined : littleLong(header, 5)
}

/** @param library decodes the stream; null: JavaScript does. */
function* decodeLzma(
  input: Input,
  library: OpenLibraryStream | null = streamLibraries().lzma ?? null,
): Generator<Uint8Array> {
  const start = input.position
  const header = Uint8Array.from(input.take(lzmaHeaderLength, 'an LZMA header'))
  const dictionary = littleWord(header, 1)
  if (dictionary > largestDictionary)
    throw unsupported(
      'E_CODEC',
      `${input.name} needs a dictionary of ${dictionary} bytes; vdisk allows ${largestDictionary}`,
    )
  if (library === null) yield* decodeByScript(input, header, dictionary)
  else {
    input.position = start
    yield* decodedBy(library, input, 'an LZMA stream')
  }
  if (!input.onlyZeros()) throw input.trailing('LZMA')
}

function* decodeByScript(input: Input, header: Uint8Array, dictionary: number): Generator<Uint8Array> {
  const start = input.position
  const size = lzmaSize(header)
  const lzma = new LzmaDecoder(dictionary)
  const memory = new Uint8Array(sliceLength + longestSymbol)
  lzma.input = memory
  try {
    lzma.setProperties(header[0] ?? 255, 12)
    lzma.resetState()
    memory.set(input.take(5, 'an LZMA stream'))
    lzma.end = 5
    lzma.start()
    let left = size ?? Infinity
    while (left > 0 && !lzma.ended) {
      refill(lzma, memory, input)
      const from = lzma.position
      const length = lzma.decode(Math.min(left, pieceLength, lzma.capacity), input.remaining === 0)
      left -= length
      yield* lzma.produced(from, length)
      if (length === 0 && input.remaining === 0 && !lzma.hasEnded()) throw input.cut('an LZMA stream')
    }
    if (size !== undefined && lzma.ended && left > 0) throw new LzmaDamage('it ends before the length it says')
    // A stream of known length may have an end mark too.
    refill(lzma, memory, input)
    if (!lzma.ended && !lzma.finished && !lzma.endMark()) throw new LzmaDamage('it has no end')
    if (!lzma.finished) throw new LzmaDamage('its range coder does not end as it must')
  } catch (error) {
    if (!(error instanceof LzmaDamage)) throw error
    // What it needs next is not there.
    if (error instanceof LzmaCut || (input.remaining === 0 && lzma.at >= lzma.end)) throw input.cut('an LZMA stream')
    throw input.damaged(
      `the LZMA stream does not decode: ${error.message}`,
      Math.max(start, input.position - lzma.end + lzma.at),
    )
  }
  input.position -= lzma.end - lzma.at
}

/** Moves what is left to the front and fills up behind it. */
function refill(lzma: LzmaDecoder, memory: Uint8Array, input: Input): void {
  if (lzma.end - lzma.at >= longestSymbol) return
  memory.copyWithin(0, lzma.at, lzma.end)
  const kept = lzma.end - lzma.at
  const bytes = input.some(memory.length - kept)
  memory.set(bytes, kept)
  lzma.at = 0
  lzma.end = kept + bytes.length
}
