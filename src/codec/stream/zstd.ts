import { createRequire } from 'node:module'
import streams, { type Transform } from 'node:stream'
import zlib from 'node:zlib'
import { isImageError, unsupported } from '../../errors.js'
import { streamLibraries, type OpenLibraryStream } from '../../sys/stream-libraries.js'
import { codecFor } from '../registry.js'
import { littleLong, littleWord, type Input, type ReadBytes } from './input.js'
import { isSkippable, zstdMagic } from './marks.js'
import type { StreamCodec } from './types.js'
import { Xxh64 } from './xxh64.js'

/** Zstandard (RFC 8878): frames and skippable frames, one behind the other. */
export const zstdStream: StreamCodec = { id: 'zstd', decode: (input) => decodeZstd(input, bigFrames()) }

/** Larger windows are refused, as zstd itself does by default. */
const largestWindow = 128 * 1024 * 1024
/** Frames up to this are decoded at once: bytes of content, or stored. */
const smallFrame = 4 * 1024 * 1024
const pieceLength = 1048576

/** Decodes one frame that comes in slices. */
export type FrameDecoder = (
  slices: Iterable<Uint8Array>,
  frame: ZstdFrame,
) => Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/** The header of a frame (3.1.1.1). Sizes are bytes. */
export interface ZstdFrame {
  readonly headerLength: number
  readonly window: number
  readonly contentSize: number | undefined
  readonly checksum: boolean
}

/** The same with a chosen decoder for large frames. */
export async function* decodeZstd(input: Input, decodeBig: FrameDecoder): AsyncGenerator<Uint8Array> {
  for (let isFirst = true; ; isFirst = false) {
    const frame = nextZstdFrame(input, isFirst)
    if (frame === undefined) return
    const start = input.position
    if (frame.contentSize !== undefined && frame.contentSize <= smallFrame) {
      yield decodeSmall(input, frame)
      continue
    }
    let length = 0
    try {
      for await (const piece of decodeBig(frameSlices(input, frame), frame)) {
        length += piece.length
        yield piece
      }
    } catch (cause) {
      if (isImageError(cause)) throw cause
      throw input.damaged(
        `the zstd frame does not decode: ${cause instanceof Error ? cause.message : String(cause)}`,
        start,
      )
    }
    if (frame.contentSize !== undefined && length !== frame.contentSize)
      throw input.damaged(`a zstd frame says it holds ${frame.contentSize} bytes and has ${length}`, start)
  }
}

/**
 * The header of the next frame, skippable ones left out; the input stands at its magic. Undefined at the end, where
 * only padding is left. @param isFirst nothing of the stream was taken before. @throws ImageError corrupt; unsupported
 * E_CODEC.
 */
export function nextZstdFrame(input: Input, isFirst: boolean): ZstdFrame | undefined {
  for (let follows = !isFirst; ; follows = true) {
    if (follows && (input.remaining === 0 || input.onlyZeros())) return undefined
    if (follows && input.remaining < 4) throw input.trailing('zstd')
    const start = input.position
    const magic = littleWord(input.take(4, 'a zstd frame'), 0)
    if (isSkippable(magic)) {
      input.skip(littleWord(input.take(4, 'a skippable frame'), 0), 'a skippable frame')
      continue
    }
    if (magic !== zstdMagic) {
      input.position = start
      throw follows ? input.trailing('zstd') : input.damaged('no zstd frame begins here')
    }
    const frame = peekZstdFrame(input)
    input.position = start
    return frame
  }
}

/** Reads the header behind the magic, taking nothing. @throws ImageError corrupt; unsupported E_CODEC. */
export function peekZstdFrame(input: Input): ZstdFrame {
  const start = input.position
  try {
    const descriptor = input.take(1, 'a zstd frame header')[0] ?? 0
    if ((descriptor & 8) !== 0) throw input.damaged('a zstd frame has its reserved bit set', start)
    const single = (descriptor & 0x20) !== 0
    const windowByte = single ? 0 : (input.take(1, 'a zstd frame header')[0] ?? 0)
    const dictionary = input.take([0, 1, 2, 4][descriptor & 3] ?? 0, 'a zstd frame header')
    if (dictionary.some((byte) => byte !== 0))
      throw unsupported('E_CODEC', `${input.name} needs a zstd dictionary, which it does not hold`)
    const sizeCode = descriptor >> 6
    const sizeLength = sizeCode === 0 ? (single ? 1 : 0) : 2 ** sizeCode
    const bytes = new Uint8Array(8)
    bytes.set(input.take(sizeLength, 'a zstd frame header'))
    const contentSize = sizeLength === 0 ? undefined : littleLong(bytes, 0) + (sizeLength === 2 ? 256 : 0)
    const base = 2 ** (10 + (windowByte >> 3))
    const window = single ? (contentSize ?? 0) : base + (base / 8) * (windowByte & 7)
    if (window > largestWindow && !(single && window <= 2 * largestWindow)) {
      throw unsupported(
        'E_CODEC',
        `${input.name} needs a zstd window of ${window} bytes; vdisk allows ${largestWindow}`,
        {
          hint: 'Unpack it with zstd -d --long=31 first.',
        },
      )
    }
    return { headerLength: input.position - start, window, contentSize, checksum: (descriptor & 4) !== 0 }
  } finally {
    input.position = start
  }
}

/** The bytes of a frame from its magic to its end, found by its blocks' headers (3.1.1.2). */
function* frameSlices(input: Input, frame: ZstdFrame): Generator<Uint8Array> {
  yield input.take(4 + frame.headerLength, 'a zstd frame')
  for (let last = false; !last;) {
    const at = input.position
    const header = input.take(3, 'a zstd block')
    yield header
    const value = (header[0] ?? 0) | ((header[1] ?? 0) << 8) | ((header[2] ?? 0) << 16)
    last = (value & 1) !== 0
    const type = (value >> 1) & 3
    if (type === 3) throw input.damaged('a zstd block has the reserved type', at)
    for (let left = type === 1 ? 1 : value >> 3; left > 0;) {
      const bytes = input.some(Math.min(left, 65536))
      if (bytes.length === 0) throw input.cut('a zstd block')
      left -= bytes.length
      yield bytes
    }
  }
  if (frame.checksum) yield input.take(4, 'the checksum of a zstd frame')
}

/** The bytes of a frame, by its blocks' headers alone. Undefined where it does not end within the file. */
export function frameLength(read: ReadBytes, start: number, end: number, frame: ZstdFrame): number | undefined {
  let position = start + 4 + frame.headerLength
  const header = new Uint8Array(3)
  for (let last = false; !last;) {
    if (position + 3 > end) return undefined
    read(position, header)
    const value = (header[0] ?? 0) | ((header[1] ?? 0) << 8) | ((header[2] ?? 0) << 16)
    last = (value & 1) !== 0
    position += 3 + (((value >> 1) & 3) === 1 ? 1 : value >> 3)
  }
  position += frame.checksum ? 4 : 0
  return position > end ? undefined : position - start
}

function decodeSmall(input: Input, frame: ZstdFrame): Uint8Array {
  const start = input.position
  const parts: Uint8Array[] = []
  let stored = 0
  for (const slice of frameSlices(input, frame)) {
    parts.push(Uint8Array.from(slice))
    stored += slice.length
    if (stored > 2 * smallFrame + 65536) throw input.damaged('a zstd frame stores far more than it holds', start)
  }
  const content = new Uint8Array(frame.contentSize ?? 0)
  try {
    codecFor('zstd').decode(Buffer.concat(parts), content)
  } catch (cause) {
    throw input.damaged(cause instanceof Error ? cause.message : String(cause), start)
  }
  return content
}

/** The system's libzstd, else Node's streams where it has them (22.15 and later), else JavaScript. */
function bigFrames(): FrameDecoder {
  const { zstd } = streamLibraries()
  return zstd === undefined ? (nodeZstdFrames() ?? fzstdFrames) : libraryFrames(zstd)
}

function libraryFrames(open: OpenLibraryStream): FrameDecoder {
  return function* (slices) {
    using stream = open()
    const target = new Uint8Array(pieceLength)
    let filled = 0
    for (const slice of slices) {
      for (let at = 0; ;) {
        const { taken, given, state } = stream.step(slice.subarray(at), target.subarray(filled), false)
        if (state === 'damaged') throw new Error('it is damaged, or its checksum is wrong')
        at += taken
        filled += given
        const isFull = filled === target.length
        if (isFull) {
          yield target
          filled = 0
        }
        // With room left it has given all that it has.
        if (at === slice.length && !isFull) break
        if (taken === 0 && given === 0) throw new Error('it ends before its last block')
      }
    }
    if (filled > 0) yield target.subarray(0, filled)
  }
}

/** The part of node:zlib that the types of Node 20 do not know. */
interface ZlibWithZstd {
  createZstdDecompress?: (options: { chunkSize: number; params: Record<number, number> }) => Transform
}

function nodeZstdFrames(): FrameDecoder | undefined {
  const { createZstdDecompress } = zlib as ZlibWithZstd
  if (createZstdDecompress === undefined) return undefined
  const windowParameter = (zlib.constants as unknown as { ZSTD_d_windowLogMax: number }).ZSTD_d_windowLogMax
  return async function* (slices) {
    const decompress = createZstdDecompress({ chunkSize: 262144, params: { [windowParameter]: 28 } })
    const source = streams.Readable.from(copies(slices), { objectMode: false, highWaterMark: 65536 })
    source.on('error', (error) => decompress.destroy(error))
    source.pipe(decompress)
    try {
      for await (const piece of decompress as AsyncIterable<Buffer>) yield piece
    } finally {
      source.destroy()
    }
  }
}

function* copies(slices: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const slice of slices) yield Uint8Array.from(slice)
}

/** What is used of the package fzstd. */
interface Fzstd {
  readonly Decompress: new (take: (data: Uint8Array) => void) => { push(bytes: Uint8Array, last?: boolean): void }
}

/** fzstd, which does not look at checksums: they are checked here. */
export const fzstdFrames: FrameDecoder = function* (slices, { checksum }) {
  const { Decompress } = createRequire(import.meta.url)('fzstd') as Fzstd
  const ready: Uint8Array[] = []
  const decompress = new Decompress((data) => void ready.push(data))
  const hash = checksum ? new Xxh64() : undefined
  let tail: Uint8Array = new Uint8Array(0)
  for (const slice of slices) {
    tail = Uint8Array.from(slice)
    decompress.push(Uint8Array.from(slice))
    for (const piece of ready) {
      hash?.update(piece)
      yield piece
    }
    ready.length = 0
  }
  decompress.push(new Uint8Array(0), true)
  for (const piece of ready) {
    hash?.update(piece)
    yield piece
  }
  if (hash !== undefined && littleWord(tail, 0) !== hash.digestLow()) throw new Error('its checksum is wrong')
}
