import { streamLibraries, type LibraryStep, type LibraryStream } from '../../sys/stream-libraries.js'
import { Input } from './input.js'
import { InputWindows, requestBytes } from './request-bytes.js'
import type { DecodeRequest } from './thread.js'
import { nextZstdFrame } from './zstd.js'

/** Bytes of the file that are read at a time; two such windows are there. */
const windowLength = 1048576
/** What is between frames is read by so many bytes. */
const headLength = 65536
/** Content is decoded into memory of its own in pieces of this many bytes. */
const pieceLength = 1048576

/** A frame, and the bytes of its content that were given out. */
interface Frame {
  readonly start: number
  readonly contentSize: number | undefined
  given: number
}

/**
 * Zstandard frames, one behind the other, decoded by libzstd: in this thread, or in those of Node's pool straight into
 * the memory of the caller. A thread of its own takes longer to start than 50 MiB take to decode, and its content has
 * to be copied.
 */
export class ZstdInPool implements Disposable {
  readonly #input: Input
  readonly #windows: InputWindows
  readonly #stream: LibraryStream
  #piece: Uint8Array | undefined
  /** The frame that is being decoded. */
  #frame: Frame | undefined
  #isFirst = true
  #busy = false
  #stopped = false

  private constructor(request: DecodeRequest, stream: LibraryStream) {
    this.#input = new Input(request.name, requestBytes(request), request.start, request.end, headLength)
    this.#windows = new InputWindows(request, windowLength)
    this.#stream = stream
  }

  /**
   * Undefined where this is another codec, or the library is missing, or a checksum from outside is to be compared, or
   * the stream comes from another computer: it arrives while it is decoded in a thread of its own.
   */
  static open(request: DecodeRequest): ZstdInPool | undefined {
    if (request.codec !== 'zstd' || request.expected !== undefined || request.openPort !== undefined) return undefined
    const stream = streamLibraries().zstd?.()
    return stream?.stepInPool === undefined ? undefined : new ZstdInPool(request, stream)
  }

  /** How far the file was read, in bytes. */
  get position(): number {
    return this.#input.position
  }

  /** Whether {@link into} is under way: {@link next} has to wait for it. */
  get isBusy(): boolean {
    return this.#busy
  }

  /** The next bytes, decoded here; undefined at the end. They are good until the next call. @throws ImageError */
  next(): Uint8Array | undefined {
    const piece = (this.#piece ??= new Uint8Array(pieceLength))
    const steps = this.#steps(piece)
    for (let step = steps.next(); ;) {
      if (step.done === true) return step.value === 0 ? undefined : piece.subarray(0, step.value)
      const stored = this.#windows.at(this.#input.position)
      step = steps.next(this.#stream.step(stored, step.value, false))
    }
  }

  /**
   * Fills `target` with the next bytes, in the pool; one call at a time. @returns how many there were: fewer only at
   * the end. @throws ImageError
   */
  async into(target: Uint8Array): Promise<number> {
    this.#busy = true
    try {
      const steps = this.#steps(target)
      for (let step = steps.next(); ;) {
        if (step.done === true) return step.value
        const stored = await this.#windows.soonAt(this.#input.position)
        step = steps.next(await this.#stream.stepInPool?.(stored, step.value))
      }
    } finally {
      this.#busy = false
      if (this.#stopped) this.#stream[Symbol.dispose]()
    }
  }

  /** Frees the memory of the library: at once, or when {@link into} is done. */
  [Symbol.dispose](): void {
    this.#stopped = true
    if (!this.#busy) this.#stream[Symbol.dispose]()
  }

  /** Fills `target`, asking for a step into each of its parts. @returns how many bytes there were. */
  *#steps(target: Uint8Array): Generator<Uint8Array, number, LibraryStep | undefined> {
    const input = this.#input
    let filled = 0
    while (filled < target.length) {
      const frame = (this.#frame ??= this.#begin())
      if (frame === undefined) break
      const step = yield target.subarray(filled)
      if (step === undefined || step.state === 'damaged' || step.state === 'refused')
        throw input.damaged('the zstd frame does not decode: it is damaged, or its checksum is wrong', frame.start)
      input.position += step.taken
      filled += step.given
      frame.given += step.given
      const { given, contentSize = given } = frame
      const ended = step.state === 'ended'
      if (given > contentSize || (ended && given < contentSize))
        throw input.damaged(`a zstd frame says it holds ${contentSize} bytes and has ${given}`, frame.start)
      if (ended) this.#frame = undefined
      else if (step.taken === 0 && step.given === 0) throw this.#stuck(frame)
    }
    return filled
  }

  /** The library takes and gives nothing any more. */
  #stuck({ start }: Frame): Error {
    return this.#input.remaining === 0
      ? this.#input.cut('a zstd frame')
      : this.#input.damaged('the zstd frame does not decode: it ends before its last block', start)
  }

  /** Takes what stands between frames. Undefined at the end. @throws ImageError */
  #begin(): Frame | undefined {
    const found = nextZstdFrame(this.#input, this.#isFirst)
    this.#isFirst = false
    return found === undefined ? undefined : { start: this.#input.position, contentSize: found.contentSize, given: 0 }
  }
}
