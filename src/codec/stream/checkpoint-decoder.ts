import zlib from 'node:zlib'
import type { BlockInflate, OpenBlockInflate } from '../../sys/libz.js'
import { memberFollows, skipGzipHeader, takeGzipTrailer } from './gzip.js'
import type { Input } from './input.js'

/** A place between two deflate blocks, from which decoding can go on. */
export interface Checkpoint {
  /** Of the content. */
  readonly offset: number
  /** Of the file: the first byte of which no bit was taken. */
  readonly position: number
  /** How many of the highest bits of the byte before come first. */
  readonly bits: number
  /** The content before it, compressed: up to 32 KiB are needed. */
  readonly window: Uint8Array
}

const windowLength = 32768
const memoryLength = windowLength + 1048576
/** Of compressed bytes that the library is given at a time. */
const sliceLength = 65536

export interface CheckpointDecoding {
  /** `gzip`: members with headers and checksums; `deflate`: the data alone. */
  readonly codec: 'gzip' | 'deflate'
  readonly open: OpenBlockInflate
}

/**
 * Decodes a gzip or deflate stream in steps that end between deflate blocks. From the start it verifies the checksums
 * of members; from a checkpoint on it cannot.
 */
export class CheckpointDecoder implements Disposable {
  readonly input: Input
  /** Of the content: where the next byte belongs. */
  offset: number
  /** Whether it stands between two blocks. */
  isBetween = false
  readonly #decoding: CheckpointDecoding
  readonly #memory = new Uint8Array(memoryLength)
  #filled = 0
  #bits = 0
  #inflate: BlockInflate | undefined
  #ended = false
  /** Of the member, where it was decoded from its start. */
  #sums: { crc: number; length: number } | undefined

  /** @param input stands at the start of the stream; it is moved to the checkpoint. */
  constructor(input: Input, decoding: CheckpointDecoding, at?: Checkpoint) {
    this.input = input
    this.#decoding = decoding
    this.offset = at?.offset ?? 0
    if (at === undefined) {
      this.#begin()
      return
    }
    const window = zlib.inflateRawSync(at.window)
    this.#memory.set(window)
    this.#filled = window.length
    input.position = at.position - 1
    const [before = 0] = input.take(1, 'its compressed data')
    this.#inflate = decoding.open({ bits: at.bits, value: before >>> (8 - at.bits), window })
  }

  /**
   * Some of the content, up to `most` bytes or the end of a block; may be empty. Undefined at the end. The memory is
   * used again. @throws ImageError corrupt.
   */
  next(most: number): Uint8Array | undefined {
    if (this.#ended) return undefined
    this.isBetween = false
    this.#makeRoom()
    const room = this.#memory.subarray(this.#filled, Math.min(this.#memory.length, this.#filled + most))
    const { input } = this
    const { position } = input
    const stored = input.peek(sliceLength)
    const step = this.#inflate?.step(stored, room)
    if (step === undefined || step.state === 'damaged')
      throw input.damaged('the deflate data does not decode', position)
    const { taken, given, state, bits } = step
    input.position = position + taken
    if (taken === 0 && given === 0 && input.remaining === 0 && state === 'more') throw input.cut('its compressed data')
    const piece = room.subarray(0, given)
    this.#filled += given
    this.offset += given
    this.#bits = bits
    this.isBetween = state === 'between'
    if (this.#sums !== undefined && this.#decoding.codec === 'gzip') {
      this.#sums.crc = zlib.crc32(piece, this.#sums.crc)
      this.#sums.length += given
    }
    if (state === 'ended') this.#end()
    return piece
  }

  /** Exactly so many bytes, in memory of their own. @throws ImageError corrupt. */
  take(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length;) {
      const piece = this.next(length - done)
      if (piece === undefined) throw this.input.damaged('it has become shorter')
      bytes.set(piece, done)
      done += piece.length
    }
    return bytes
  }

  /** Where it stands, between two blocks. */
  checkpoint(): Checkpoint {
    const window = this.#memory.subarray(Math.max(0, this.#filled - windowLength), this.#filled)
    return {
      offset: this.offset,
      position: this.input.position,
      bits: this.#bits,
      window: zlib.deflateRawSync(window, { level: 1 }),
    }
  }

  [Symbol.dispose](): void {
    this.#inflate?.[Symbol.dispose]()
    this.#inflate = undefined
  }

  /** The last 32 KiB stay, since a checkpoint needs them. */
  #makeRoom(): void {
    if (this.#filled < this.#memory.length) return
    this.#memory.copyWithin(0, this.#filled - windowLength, this.#filled)
    this.#filled = windowLength
  }

  #begin(): void {
    if (this.#decoding.codec === 'gzip') skipGzipHeader(this.input)
    this.#inflate?.[Symbol.dispose]()
    this.#inflate = this.#decoding.open()
    this.#bits = 0
    this.#sums = { crc: 0, length: 0 }
  }

  /** Behind the last block of a member: the next one begins, or nothing does. */
  #end(): void {
    const { input } = this
    if (this.#decoding.codec === 'deflate') {
      if (input.remaining > 0) throw input.trailing('deflate')
      this.#ended = true
      return
    }
    if (this.#sums === undefined) input.skip(8, 'the trailer of a gzip member')
    else takeGzipTrailer(input, this.#sums.crc, this.#sums.length)
    this.#ended = !memberFollows(input)
    if (this.#ended) return
    this.#begin()
    this.isBetween = true
  }
}
