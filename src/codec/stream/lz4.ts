import { unsupported } from '../../errors.js'
import { littleLong, littleWord, type Input } from './input.js'
import { isSkippable } from './marks.js'
import type { StreamCodec } from './types.js'
import { Xxh32, xxh32 } from './xxh32.js'

/** LZ4 frames (lz4_Frame_format.md) and legacy frames, one behind the other; skippable frames are left out. */
export const lz4Stream: StreamCodec = { id: 'lz4', decode: decodeLz4 }

const frameMagic = 0x184d2204
const legacyMagic = 0x184c2102
const legacyBlock = 8 * 1024 * 1024
/** Blocks may refer this far back into the blocks before. */
const windowLength = 65536

function* decodeLz4(input: Input): Generator<Uint8Array> {
  for (let frames = 0; ; frames++) {
    if (frames > 0 && (input.remaining === 0 || input.onlyZeros())) return
    if (frames > 0 && input.remaining < 4) throw input.trailing('LZ4')
    const magic = littleWord(input.take(4, 'an LZ4 frame'), 0)
    if (magic === frameMagic) yield* decodeFrame(input)
    else if (magic === legacyMagic) yield* decodeLegacy(input)
    else if (isSkippable(magic)) input.skip(littleWord(input.take(4, 'a skippable frame'), 0), 'a skippable frame')
    else {
      input.position -= 4
      throw frames > 0 ? input.trailing('LZ4') : input.damaged('no LZ4 frame begins here')
    }
  }
}

/** The descriptor of a frame. */
export interface Lz4Frame {
  readonly independent: boolean
  readonly blockChecksums: boolean
  readonly contentChecksum: boolean
  readonly contentSize: number | undefined
  readonly blockLength: number
}

/** Takes the descriptor behind the magic. @throws ImageError corrupt; unsupported E_CODEC for dictionaries. */
function takeLz4Frame(input: Input): Lz4Frame {
  const start = input.position
  const [flags = 0, blocks = 0] = input.take(2, 'an LZ4 frame header')
  if (flags >> 6 !== 1) throw input.damaged(`an LZ4 frame has the unknown version ${flags >> 6}`, start)
  if ((flags & 2) !== 0 || (blocks & 0x8f) !== 0) throw input.damaged('an LZ4 frame has reserved bits set', start)
  const size = (blocks >> 4) & 7
  if (size < 4) throw input.damaged(`an LZ4 frame has blocks of the unknown size ${size}`, start + 1)
  const contentSize = (flags & 8) === 0 ? undefined : littleLong(input.take(8, 'an LZ4 frame header'), 0)
  if ((flags & 1) !== 0) throw unsupported('E_CODEC', `${input.name} needs an LZ4 dictionary, which it does not hold`)
  const length = input.position - start
  input.position = start
  const sum = (xxh32(input.take(length, 'an LZ4 frame header')) >>> 8) & 0xff
  if (input.take(1, 'an LZ4 frame header')[0] !== sum)
    throw input.damaged('the checksum of an LZ4 frame header is wrong', start + length)
  return {
    independent: (flags & 0x20) !== 0,
    blockChecksums: (flags & 0x10) !== 0,
    contentChecksum: (flags & 4) !== 0,
    contentSize,
    blockLength: 1 << (8 + 2 * size),
  }
}

function* decodeFrame(input: Input): Generator<Uint8Array> {
  const frame = takeLz4Frame(input)
  const memory = new Uint8Array(windowLength + frame.blockLength)
  let kept = 0
  let done = 0
  const whole = frame.contentChecksum ? new Xxh32() : undefined
  for (;;) {
    const at = input.position
    const word = littleWord(input.take(4, 'an LZ4 frame'), 0)
    if (word === 0) break
    const length = word & 0x7fffffff
    if (length > frame.blockLength) throw input.damaged(`an LZ4 block says it has ${length} bytes`, at)
    const stored = input.takeCopy(length, 'an LZ4 block')
    if (frame.blockChecksums && littleWord(input.take(4, 'an LZ4 block'), 0) !== xxh32(stored))
      throw input.damaged('the checksum of an LZ4 block is wrong', at)
    let end = kept + length
    if (word > 0x7fffffff) memory.set(stored, kept)
    else end = expand(stored, memory, kept, kept + frame.blockLength, frame.independent ? kept : 0, input, at)
    const plain = memory.subarray(kept, end)
    whole?.update(plain)
    done += plain.length
    yield plain
    if (!frame.independent) {
      memory.copyWithin(0, Math.max(0, end - windowLength), end)
      kept = Math.min(windowLength, end)
    }
  }
  if (whole !== undefined && littleWord(input.take(4, 'an LZ4 frame'), 0) !== whole.digest())
    throw input.damaged('the checksum of an LZ4 frame is not that of its content')
  if (frame.contentSize !== undefined && frame.contentSize !== done)
    throw input.damaged(`an LZ4 frame says it holds ${frame.contentSize} bytes and has ${done}`)
}

/** Blocks of 8 MiB without checksums; the frame ends with the file, or where another one begins. */
function* decodeLegacy(input: Input): Generator<Uint8Array> {
  const memory = new Uint8Array(legacyBlock)
  let last = legacyBlock
  while (input.remaining >= 4) {
    const at = input.position
    const length = littleWord(input.peek(4), 0)
    if (length === frameMagic || length === legacyMagic || isSkippable(length) || length === 0) return
    // Every block but the last of a frame is full.
    if (last < legacyBlock) throw input.damaged('an LZ4 block follows the last one of its frame', at)
    input.position += 4
    if (length > legacyBlock + legacyBlock / 255 + 16)
      throw input.damaged(`an LZ4 block says it has ${length} bytes`, at)
    last = expand(input.takeCopy(length, 'an LZ4 block'), memory, 0, legacyBlock, 0, input, at)
    yield memory.subarray(0, last)
  }
}

/**
 * Decodes a block (lz4_Block_format.md) into `target` from `start`. @param lowest the first byte that it may refer
 * back to. @returns where it ended.
 */
function expand(
  stored: Uint8Array,
  target: Uint8Array,
  start: number,
  limit: number,
  lowest: number,
  input: Input,
  position: number,
): number {
  const end = expandLz4(stored, target, start, limit, lowest)
  if (end < 0) throw input.damaged('an LZ4 block does not decode', position)
  return end
}

/** The same; -1 where the block is damaged. @param cut it may hold more, which is left out. */
// eslint-disable-next-line complexity -- one loop without calls: it runs for every few bytes
export function expandLz4(
  stored: Uint8Array,
  target: Uint8Array,
  start: number,
  limit: number,
  lowest: number,
  cut = false,
): number {
  let at = 0
  let out = start
  while (at < stored.length) {
    const token = stored[at++] ?? 0
    let literals = token >> 4
    if (literals === 15) {
      let more: number
      do {
        if (at >= stored.length) return -1
        more = stored[at++] ?? 0
        literals += more
      } while (more === 255)
    }
    if (out + literals >= limit && cut) literals = limit - out
    if (at + literals > stored.length || out + literals > limit) return -1
    target.set(stored.subarray(at, at + literals), out)
    at += literals
    out += literals
    // The last sequence has literals only.
    if (at === stored.length || (cut && out === limit)) return out
    if (at + 2 > stored.length) return -1
    const distance = (stored[at] ?? 0) | ((stored[at + 1] ?? 0) << 8)
    at += 2
    let length = (token & 15) + 4
    if (length === 19) {
      let more: number
      do {
        if (at >= stored.length) return -1
        more = stored[at++] ?? 0
        length += more
      } while (more === 255)
    }
    if (cut && out + length > limit) length = limit - out
    const from = out - distance
    if (distance === 0 || from < lowest || out + length > limit) return -1
    if (distance >= length) target.copyWithin(out, from, from + length)
    else if (distance === 1) target.fill(target[from] ?? 0, out, out + length)
    else for (let index = 0; index < length; index++) target[out + index] = target[from + index] ?? 0
    out += length
  }
  // A block ends with literals; an empty one is none.
  return -1
}
