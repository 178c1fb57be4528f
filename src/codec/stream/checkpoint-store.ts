import zlib from 'node:zlib'
import { Recent } from '../../binary/recent.js'
import { ReadOnlyStore } from '../../block/read-only-store.js'
import type { ByteStore } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { printable, type Label } from '../../errors.js'
import type { OpenBlockInflate } from '../../sys/libz.js'
import { CheckpointDecoder, type Checkpoint } from './checkpoint-decoder.js'
import { Input } from './input.js'

/** Content between two checkpoints, at first; with more than so many checkpoints every second one is dropped. */
const leastSpacing = 2 * 1024 * 1024
const mostCheckpoints = 1024
/** How much is decoded between two looks at signals, in bytes. */
const longestStep = 1048576
/** Content is kept in pieces of this many bytes, and so many of them. */
const pieceLength = 262144
const keptPieces = 64

export interface CheckpointOptions {
  readonly name: string
  readonly store: ByteStore
  /** The range of the store that is one stream. */
  readonly start: number
  readonly end: number
  /** `gzip`: members with headers and checksums; `deflate`: the data alone. */
  readonly codec: 'gzip' | 'deflate'
  readonly expected?: { readonly size: number; readonly crc32: number }
  readonly open: OpenBlockInflate
}

/**
 * The content of a gzip or deflate stream at any place. {@link CheckpointStore.index} decodes all of it once, verifies
 * it, and keeps places from which decoding can go on (bits of the file, and the 32 KiB of content before): a read
 * decodes from the nearest one, and reading on goes on from there. Takes at most 50 MiB, however long the stream is.
 */
export class CheckpointStore extends ReadOnlyStore {
  readonly name: Label
  readonly #options: CheckpointOptions
  readonly #pieces = new Recent(keptPieces, (index) => this.#decoded(index))
  #checkpoints: Checkpoint[] = []
  #spacing = leastSpacing
  #size = 0
  #decoder: CheckpointDecoder | undefined

  constructor(options: CheckpointOptions) {
    super()
    this.#options = options
    this.name = printable(options.name)
  }

  get size(): number {
    return this.#size
  }

  /** Decodes everything once. @throws ImageError corrupt E_COMPRESSED, E_TRUNCATED, E_TRAILING_DATA. */
  *index(): Work<void> {
    const { start, end, expected } = this.#options
    const decoder = this.#begin()
    try {
      let crc = 0
      for (;;) {
        const piece = decoder.next(longestStep)
        if (piece === undefined) break
        if (expected !== undefined) crc = zlib.crc32(piece, crc)
        this.#size += piece.length
        if (decoder.isBetween && this.#size - (this.#checkpoints.at(-1)?.offset ?? -Infinity) >= this.#spacing)
          this.#keep(decoder.checkpoint())
        yield { done: decoder.input.position - start, total: end - start }
      }
      if (expected !== undefined && this.#size !== expected.size)
        throw decoder.input.damaged(`it holds ${this.#size} bytes of content instead of ${expected.size}`)
      if (expected !== undefined && crc !== expected.crc32)
        throw decoder.input.damaged('its checksum (CRC-32) is not that of its content', start)
    } finally {
      decoder[Symbol.dispose]()
    }
  }

  read(position: number, target: Uint8Array): void {
    if (position < 0 || position + target.length > this.#size)
      throw new RangeError(`${target.length} bytes at ${position} of ${this.name}, which has ${this.#size}`)
    for (let done = 0; done < target.length;) {
      const index = Math.floor((position + done) / pieceLength)
      const from = position + done - index * pieceLength
      const part = this.#pieces.get(index).subarray(from, from + target.length - done)
      target.set(part, done)
      done += part.length
    }
  }

  changed(): string | undefined {
    return this.#options.store.changed?.()
  }

  [Symbol.dispose](): void {
    this.#decoder?.[Symbol.dispose]()
    this.#options.store[Symbol.dispose]()
  }

  #begin(at?: Checkpoint): CheckpointDecoder {
    const { name, store, start, end } = this.#options
    const read = (position: number, target: Uint8Array): void => store.read(position, target)
    return new CheckpointDecoder(new Input(name, read, start, end), this.#options, at)
  }

  #keep(checkpoint: Checkpoint): void {
    this.#checkpoints.push(checkpoint)
    if (this.#checkpoints.length <= mostCheckpoints) return
    this.#checkpoints = this.#checkpoints.filter((_, index) => index % 2 === 0)
    this.#spacing *= 2
  }

  /** One piece of the content; of what is decoded on the way to it, the last pieces are kept too. */
  #decoded(index: number): Uint8Array {
    const decoder = this.#decoderBefore(index * pieceLength)
    for (;;) {
      const reached = Math.floor(decoder.offset / pieceLength)
      const piece = decoder.take(Math.min(pieceLength, this.#size - reached * pieceLength))
      if (reached === index) return piece
      if (reached >= index - keptPieces / 2) this.#pieces.set(reached, piece)
    }
  }

  /** A decoder that stands at the beginning of a piece at or before an offset. */
  #decoderBefore(offset: number): CheckpointDecoder {
    const nearest = this.#checkpoints.findLast((checkpoint) => checkpoint.offset <= offset)
    const running = this.#decoder
    if (running !== undefined && running.offset <= offset && running.offset >= (nearest?.offset ?? 0)) return running
    running?.[Symbol.dispose]()
    const decoder = this.#begin(nearest)
    this.#decoder = decoder
    // Pieces begin at multiples of their length, checkpoints anywhere.
    decoder.take(Math.ceil(decoder.offset / pieceLength) * pieceLength - decoder.offset)
    return decoder
  }
}
