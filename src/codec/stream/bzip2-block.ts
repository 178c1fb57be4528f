import { corrupt } from '../../errors.js'
import { bitsFrom, blockMagic, endMagic, magicBits, standsAt } from './bzip2-scan.js'
import { decodeBzip2 } from './bzip2.js'
import { Input } from './input.js'
import { decodedPieceLength } from './library-stream.js'

/** Bytes of a file that hold one block of bzip2 and the magic that follows it, at whatever bits these begin. */
export interface BlockBytes {
  readonly position: number
  readonly length: number
}

/** Of this thread: a block is decoded to its end before the next, and blocks are as small as 100000 bytes. */
let piece: Uint8Array | undefined

/** Where the bytes of a block are. @param start the first bit of its magic. @param end of the magic behind it. */
export function bytesOfBlock(start: number, end: number): BlockBytes {
  const position = Math.floor(start / 8)
  return { position, length: Math.ceil((end + magicBits) / 8) - position }
}

/**
 * The content of one block, decoded as the only one of a stream: its checksum is then that of the stream. The memory of
 * a piece is used again, also for the next block. @param level how large it may be. @throws ImageError corrupt
 * E_COMPRESSED, E_TRUNCATED.
 */
export function* decodeBzip2Block(stored: Uint8Array, level: number): Generator<Uint8Array> {
  const stream = asStream(stored, level)
  const input = new Input(
    'the bzip2 block',
    (at, bytes) => bytes.set(stream.subarray(at, at + bytes.length)),
    0,
    stream.length,
  )
  yield* decodeBzip2(input, undefined, (piece ??= new Uint8Array(decodedPieceLength)))
}

/** A stream of one block. @throws ImageError corrupt E_COMPRESSED where no block is there. */
function asStream(stored: Uint8Array, level: number): Uint8Array {
  const start = [0, 1, 2, 3, 4, 5, 6, 7].find((shift) => standsAt(stored, 0, shift, blockMagic))
  const end = endOf(stored)
  if (start === undefined || end === undefined || end < start + magicBits + 32)
    throw corrupt('E_COMPRESSED', 'no bzip2 block begins or ends there')
  const whole = Math.floor((end - start) / 8)
  const left = (end - start) % 8
  const block = bitsFrom(stored, start, whole + 1)
  // What follows the block: the magic of the end, and the block's checksum as that of the stream.
  const trailer = new Uint8Array(11)
  trailer.set(endMagic)
  trailer.set(block.subarray(6, 10), endMagic.length)
  const stream = new Uint8Array(4 + whole + trailer.length)
  stream.set([0x42, 0x5a, 0x68, 0x30 + level])
  stream.set(block.subarray(0, whole), 4)
  let carried = left === 0 ? 0 : (block[whole] ?? 0) >>> (8 - left)
  for (const [index, byte] of trailer.entries()) {
    stream[4 + whole + index] = (carried << (8 - left)) | (byte >>> left)
    carried = byte & ((1 << left) - 1)
  }
  return stream.subarray(0, stream.length - (left === 0 ? 1 : 0))
}

/** The bit at which the magic begins that is the last of the bytes. */
function endOf(stored: Uint8Array): number | undefined {
  for (let bit = stored.length * 8 - magicBits; bit > stored.length * 8 - magicBits - 8; bit--) {
    const at = Math.floor(bit / 8)
    if (standsAt(stored, at, bit % 8, blockMagic) || standsAt(stored, at, bit % 8, endMagic)) return bit
  }
  return undefined
}
