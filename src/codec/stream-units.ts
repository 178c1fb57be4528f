import zlib from 'node:zlib'
import { corrupt } from '../errors.js'
import type { Codec, LongPoolDecoder } from '../block/types.js'
import { encodeXzBlock } from './xz-encode.js'
import { codecLibraries } from '../sys/codec-libraries.js'
import type { PoolUnit } from '../sys/pool-libraries.js'
import {
  streamLibraries,
  type LibraryStep,
  type LibraryStream,
  type OpenLibraryStream,
} from '../sys/stream-libraries.js'
import { Input } from './stream/input.js'
import { XzBlock, xzHeader } from './stream/xz.js'
import { Xxh64 } from './stream/xxh64.js'
import { zstdCodec, zstdCompress } from './zstd.js'

/** Units of compressed files that decode on their own, with their checksums: single gzip members, single xz blocks. */

/** A gzip member as BGZF has them: at most 64 KiB. */
export const gzipMemberCodec: Codec = {
  id: 'gzip-member',
  decode(stored, target) {
    let plain: Buffer
    try {
      plain = zlib.gunzipSync(stored, { maxOutputLength: Math.max(1, target.length) })
    } catch (cause) {
      throw corrupt(
        'E_COMPRESSED',
        `the gzip member is damaged: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      )
    }
    if (plain.length !== target.length)
      throw corrupt('E_COMPRESSED', `the gzip member holds ${plain.length} bytes instead of ${target.length}`)
    target.set(plain)
  },
  encode: encodeBgzf,
}

/** Content of one BGZF block; the field of its length has 16 bits. */
const bgzfContent = 65280

/** BGZF blocks, one behind the other (SAM specification, 4.1). */
function encodeBgzf(bytes: Uint8Array, level = 6): Uint8Array {
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += bgzfContent) {
    const plain = bytes.subarray(at, at + bgzfContent)
    let deflated = zlib.deflateRawSync(plain, { level })
    if (deflated.length > bgzfContent) deflated = zlib.deflateRawSync(plain, { level: 0 })
    const header = Buffer.from('1f8b08040000000000ff0600424302000000', 'hex')
    header.writeUInt16LE(header.length + deflated.length + 8 - 1, 16)
    const trailer = Buffer.alloc(8)
    trailer.writeUInt32LE(zlib.crc32(plain), 0)
    trailer.writeUInt32LE(plain.length, 4)
    parts.push(header, deflated, trailer)
  }
  return Buffer.concat(parts)
}

/** A block of an .xz file whose stream has that type of check. */
function xzBlockCodec(check: number): Codec {
  return {
    id: `xz-block-${check}`,
    decode(stored, target) {
      const { xz } = streamLibraries()
      // What the library does not take is looked at again, to say what is wrong.
      if (xz !== undefined && decodedByLibrary(xz, xzHeader(check), stored, target)) return
      const input = new Input(
        'the xz block',
        (at, bytes) => bytes.set(stored.subarray(at, at + bytes.length)),
        0,
        stored.length,
      )
      let done = 0
      for (const piece of new XzBlock(input, check).content()) {
        if (done + piece.length > target.length)
          throw corrupt('E_COMPRESSED', `the xz block holds more than the ${target.length} bytes of the index`)
        target.set(piece, done)
        done += piece.length
      }
      if (done !== target.length)
        throw corrupt('E_COMPRESSED', `the xz block holds ${done} bytes, and ${target.length} by the index`)
    },
    decodeStart(stored, target) {
      using stream = streamLibraries().xz?.()
      return (
        stream !== undefined &&
        startBlock(stream, xzHeader(check)) &&
        stream.step(stored, target, false).given === target.length
      )
    },
    encode: check === 4 ? encodeXzBlock : undefined,
    inPool: {
      get decode() {
        const { xz } = streamLibraries()
        return xz === undefined ? undefined : (units: readonly PoolUnit[]) => decodedInPool(xz, xzHeader(check), units)
      },
      get decodeLong() {
        const { xz } = streamLibraries()
        return xz === undefined ? undefined : longDecoder(xz, xzHeader(check))
      },
    },
  }
}

/** As {@link decodedByLibrary}, in the threads of Node's pool. */
async function decodedInPool(
  open: OpenLibraryStream,
  header: Uint8Array,
  units: readonly PoolUnit[],
): Promise<readonly boolean[]> {
  const one = async ({ input, output }: PoolUnit): Promise<boolean> => {
    using stream = open()
    const block = startBlock(stream, header) ? await stream.stepInPool?.(input, output) : undefined
    return block !== undefined && endsBlock(stream, block, input, output)
  }
  const outcomes = await Promise.allSettled(units.map(one))
  return outcomes.map((outcome) => outcome.status === 'fulfilled' && outcome.value)
}

/** Bytes of a long unit that are read at a time. */
const longPiece = 1048576
/** Behind the content are the end of the last chunk, padding and a check. */
const longestEnd = 4096

/** As {@link decodedInPool}, of a block that is read meanwhile. */
function longDecoder(open: OpenLibraryStream, header: Uint8Array): LongPoolDecoder {
  return async (stored, read, output) => {
    using stream = open()
    if (!startBlock(stream, header)) return false
    const memory = new Uint8Array(Math.min(longPiece, stored))
    let given = 0
    for (let at = 0; at < stored;) {
      const piece = memory.subarray(0, Math.min(memory.length, stored - at))
      if ((await read(at, piece)) < piece.length) return false
      const step = await stream.stepInPool?.(piece, output.subarray(given))
      if (step?.state !== 'more') return false
      given += step.given
      at += step.taken
      if (given < output.length) {
        if (step.taken < piece.length) return false
        continue
      }
      if (stored - at > longestEnd) return false
      const end = memory.subarray(0, stored - at)
      if ((await read(at, end)) < end.length) return false
      return endsBlock(stream, { taken: 0, given, state: 'more' }, end, output)
    }
    return false
  }
}

/** The beginning of an index of one block: liblzma refuses it where it has not met the end of exactly one. */
const oneBlock = Uint8Array.of(0, 1)

/** A block as the only one of a stream. False where it does not decode, has other content, or does not end there. */
function decodedByLibrary(
  open: OpenLibraryStream,
  header: Uint8Array,
  stored: Uint8Array,
  target: Uint8Array,
): boolean {
  using stream = open()
  return startBlock(stream, header) && endsBlock(stream, stream.step(stored, target, false), stored, target)
}

/** Takes the header of the stream. */
function startBlock(stream: LibraryStream, header: Uint8Array): boolean {
  return stream.step(header, new Uint8Array(1), false).state === 'more'
}

/** Whether a step that took the block gave all of the content, and the block ends there. */
function endsBlock(
  stream: LibraryStream,
  { taken, given, state }: LibraryStep,
  stored: Uint8Array,
  target: Uint8Array,
): boolean {
  if (state !== 'more' || given !== target.length) return false
  const more = new Uint8Array(1)
  // Its check may be left, where the content has filled the target.
  const rest = stored.subarray(taken)
  const end = stream.step(rest, more, false)
  if (end.state !== 'more' || end.taken !== rest.length || end.given > 0) return false
  const index = stream.step(oneBlock, more, false)
  return index.state === 'more' && index.taken === oneBlock.length && index.given === 0
}

export const xzBlockCodecs: readonly Codec[] = [0, 1, 4, 10].map(xzBlockCodec)

/** Zstandard frames with a checksum, as compressed files have them; QCOW2 has none. */
export const zstdFrameCodec: Codec = {
  id: 'zstd-frame',
  load: () => zstdCodec.load?.(),
  decode: (stored, target) => zstdCodec.decode(stored, target),
  encode(bytes, level) {
    // Output that is to be the same everywhere is made by what vdisk brings along.
    const library = process.env['SOURCE_DATE_EPOCH'] === undefined ? codecLibraries().zstdEncodeChecked : undefined
    const made = library?.(bytes, level)
    if (made !== undefined) return made
    const frame = zstdCompress(bytes, level)
    const hash = new Xxh64()
    hash.update(bytes)
    const checked = Buffer.concat([frame, new Uint8Array(4)])
    // Content_Checksum_flag (RFC 8878, 3.1.1.1.1.5); neither engine sets it.
    checked.writeUInt8(checked.readUInt8(4) | 4, 4)
    checked.writeUInt32LE(hash.digestLow(), frame.length)
    return checked
  },
}
