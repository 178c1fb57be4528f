import type { Duplex } from 'node:stream'
import { pieceLength, type PieceBuffer, type PieceBuffers } from './buffers.js'
import type { ByteQueue } from './byte-queue.js'
import { NotFast, numberOf, runCommand, statusRuns, textOf } from './disk-commands.js'
import { commandFlag, hasFlag } from './entries.js'
import { allocationId, type Session } from './negotiation.js'
import { Replies } from './replies.js'
import { problemOf } from './request-check.js'
import type { ServedDisk } from './served-disk.js'
import {
  commandType,
  errorNumber,
  longestPayload,
  readRequest,
  request as requestLayout,
  requestMagic,
  type Request,
} from './structs.js'

/**
 * Replies that a connection may hold at once; each has one piece of data at most, so that no client takes more than 4
 * MiB.
 */
const maximumInFlight = 16
/** Replies that wait to go out, in bytes, before no more are made. */
const corkedLength = 128 * 1024
/** Requests that are answered before other connections have their turn. */
const turnLength = 64
/** Shorter zeros within data are sent as data: a chunk of its own costs more. */
const shortestHole = 4096

/** A checked request. */
interface Task {
  readonly request: Request
  readonly offset: number
  readonly length: number
}
/** A read that is being answered, piece by piece. */
interface Reading extends Task {
  done: number
  pending: number
  failed: boolean
}
/** A write whose bytes are coming in. `error`: it cannot be done, and its bytes are thrown away. */
interface Writing extends Task {
  done: number
  buffer: PieceBuffer | undefined
  filled: number
  error: number | undefined
  message: string
}

/** What a transmission needs of its connection. */
export interface Line {
  readonly stream: Duplex
  readonly input: ByteQueue
  readonly buffers: PieceBuffers
  /**
   * To be called when the client said goodbye, or cannot be understood: closes when what was sent is out, or at once.
   */
  readonly close: (how: 'gently' | 'at once') => void
}

/** The server's side of a transmission: takes requests as they come in, and answers them. */
export class Transmission {
  readonly #line: Line
  readonly #session: Session
  readonly #disk: ServedDisk
  readonly #structured: boolean
  readonly #replies: Replies
  #inFlight = 0
  #reading: Reading | undefined
  /** A read without chunks that is too long for one buffer: nothing else may go out meanwhile. */
  #alone = false
  #writing: Writing | undefined
  #closing = false
  #pumping = false
  #paused = false

  constructor(line: Line, session: Session) {
    this.#line = line
    this.#session = session
    this.#disk = session.disk
    this.#structured = session.structured
    this.#replies = new Replies(line.stream)
  }

  /** Answers what can be answered now. To be called when bytes have come in. */
  readonly pump = (): void => {
    if (this.#pumping) return
    this.#pumping = true
    const { stream } = this.#line
    // What is answered in one go goes out in one go.
    stream.cork()
    try {
      let turns = 0
      while (!this.#closing && this.#inFlight < maximumInFlight && !this.#alone && this.#step()) {
        if (stream.writableLength > corkedLength) {
          // Data goes on while the processor has it at hand.
          stream.uncork()
          stream.cork()
          if (stream.writableLength > corkedLength) break
        }
        if (++turns < turnLength) continue
        setImmediate(this.pump)
        break
      }
    } finally {
      stream.uncork()
      this.#pumping = false
    }
    this.#throttle()
    if (this.#closing && this.#inFlight === 0) this.#line.close('gently')
  }

  /** The connection is gone: what is under way ends without a reply. */
  stop(): void {
    this.#closing = true
    if (this.#writing?.buffer !== undefined) this.#line.buffers.release(this.#writing.buffer)
    this.#writing = undefined
  }

  /** Stops taking bytes in while the client does not take replies. */
  #throttle(): void {
    const full = this.#line.input.length > pieceLength
    if (full === this.#paused) return
    this.#paused = full
    if (full) this.#line.stream.pause()
    else this.#line.stream.resume()
  }

  /** One step further; false when more bytes must come in, or replies go out, first. */
  #step(): boolean {
    if (this.#reading !== undefined) return this.#readPiece(this.#reading)
    if (this.#writing !== undefined) return this.#takePayload(this.#writing)
    const bytes = this.#line.input.take(requestLayout.size)
    if (bytes === undefined) return false
    const request = readRequest(bytes)
    // Where the next request begins is not known any more.
    if (request.magic !== requestMagic || (request.type === commandType.write && request.length > longestPayload)) {
      this.#closing = true
      this.#line.close('at once')
      return false
    }
    this.#begin(request)
    return true
  }

  #begin(request: Request): void {
    if (request.type === commandType.disconnect) {
      this.#closing = true
      return
    }
    const problem = problemOf(request, this.#session)
    const { length } = request
    const offset = problem === undefined ? Number(request.offset) : 0
    // No object is spread here: reading would take twice the time, for as long as the server runs.
    if (request.type === commandType.write) {
      this.#writing = {
        request,
        offset,
        length,
        done: 0,
        buffer: undefined,
        filled: 0,
        error: problem?.error,
        message: problem?.message ?? '',
      }
      return
    }
    if (problem !== undefined) {
      this.#fail(request, problem.error, problem.message)
      return
    }
    if (request.type === commandType.read) {
      this.#reading = { request, offset, length, done: 0, pending: 0, failed: false }
      return
    }
    try {
      this.#execute({ request, offset, length })
    } catch (error) {
      this.#failWith(request, error)
    }
  }

  #execute({ request, offset, length }: Task): void {
    if (request.type === commandType.blockStatus) {
      const runs = statusRuns(this.#disk, offset, length, hasFlag(request.flags, commandFlag.requestOne))
      this.#replies.status(request.cookie, allocationId, runs, this.#taken())
      return
    }
    runCommand(this.#disk, request, offset, length)
    this.#out(request.cookie)
  }

  #takePayload(writing: Writing): boolean {
    const { input, buffers } = this.#line
    const rest = writing.length - writing.done - writing.filled
    if (writing.error !== undefined) {
      writing.done += input.skip(rest)
      if (writing.done < writing.length) return false
    } else {
      // Pieces end where pieces of the disk end, so that the format gets whole blocks.
      const at = writing.offset + writing.done
      const end = Math.min(writing.length - writing.done, pieceLength - (at % pieceLength))
      writing.buffer ??= buffers.get()
      writing.filled += input.takeInto(writing.buffer.data.subarray(writing.filled, end))
      if (writing.filled < end) return false
      try {
        this.#disk.write(at, writing.buffer.data.subarray(0, end))
      } catch (error) {
        writing.error = numberOf(error)
        writing.message = textOf(error)
      }
      writing.done += end
      writing.filled = 0
      if (writing.done < writing.length) return true
    }
    this.#written(writing)
    return true
  }

  #written({ request, buffer, error, message }: Writing): void {
    this.#writing = undefined
    if (buffer !== undefined) this.#line.buffers.release(buffer)
    if (error !== undefined) {
      this.#fail(request, error, message)
      return
    }
    try {
      if (hasFlag(request.flags, commandFlag.forceUnitAccess)) this.#disk.flush()
    } catch (failure) {
      this.#failWith(request, failure)
      return
    }
    this.#out(request.cookie)
  }

  /** The next piece of a read. */
  #readPiece(reading: Reading): boolean {
    const {
      request: { cookie, flags },
      length,
    } = reading
    if (length === 0) {
      this.#reading = undefined
      this.#out(cookie)
      return true
    }
    if (!this.#structured && length > pieceLength) {
      if (this.#inFlight > 0) return false
      this.#reading = undefined
      this.#alone = true
      void this.#readAlone(reading)
      return false
    }
    const offset = reading.offset + reading.done
    const rest = length - reading.done
    try {
      const run =
        this.#structured && rest > shortestHole ? this.#disk.runAt(offset, rest, 'read') : { zero: false, length: rest }
      if (
        run.zero &&
        (run.length === length || (run.length >= shortestHole && !hasFlag(flags, commandFlag.dontFragment)))
      ) {
        this.#issued(reading, run.length)
        this.#replies.hole({ cookie, last: this.#isLast(reading) }, offset, run.length, this.#taken())
        return true
      }
      const whole = run.zero || hasFlag(flags, commandFlag.dontFragment)
      this.#readData(
        reading,
        offset,
        Math.min(pieceLength - (whole ? 0 : offset % pieceLength), whole ? rest : run.length),
      )
    } catch (error) {
      // The run is not known; no piece of it was sent.
      this.#reading = undefined
      reading.failed = true
      this.#readFailed(reading, offset, error)
    }
    return true
  }

  #issued(reading: Reading, length: number): void {
    reading.done += length
    if (reading.done >= reading.length) this.#reading = undefined
  }

  /** Whether the chunk about to go out is the last of its reply. */
  #isLast(reading: Reading): boolean {
    return reading.pending === 0 && (reading.failed || reading.done >= reading.length)
  }

  #readData(reading: Reading, offset: number, length: number): void {
    const buffer = this.#line.buffers.get()
    const done = this.#taken(buffer)
    reading.pending++
    this.#issued(reading, length)
    const finish = (error?: unknown): void => {
      reading.pending--
      const { cookie } = reading.request
      if (error !== undefined) {
        if (this.#reading === reading) this.#reading = undefined
        reading.failed = true
        this.#readFailed(reading, offset, error, done)
      } else if (this.#structured)
        this.#replies.data({ cookie, last: this.#isLast(reading) }, offset, buffer, length, done)
      else this.#replies.simpleData(cookie, buffer, length, done)
    }
    let later: Promise<void> | undefined
    try {
      later = this.#disk.read(
        offset,
        buffer.data.subarray(0, length),
        this.#inFlight > 1 || this.#line.input.length >= requestLayout.size,
      )
    } catch (error) {
      finish(error)
      return
    }
    if (later === undefined) finish()
    else later.then(() => finish(), finish)
  }

  #readFailed({ pending, request: { cookie } }: Reading, offset: number, error: unknown, done = this.#taken()): void {
    if (this.#structured)
      this.#replies.error({ cookie, last: pending === 0 }, numberOf(error), textOf(error), offset, done)
    else this.#replies.simple(cookie, numberOf(error), done)
  }

  /**
   * A long read without chunks: the header goes out with the first piece, and a failure after that can only close the
   * connection.
   */
  async #readAlone({ request: { cookie }, offset, length }: Reading): Promise<void> {
    const buffer = this.#line.buffers.get()
    const taken = this.#taken(buffer)
    try {
      for (let done = 0; done < length && !this.#closing; done += pieceLength) {
        const piece = Math.min(pieceLength, length - done)
        try {
          await this.#disk.read(offset + done, buffer.data.subarray(0, piece), false)
        } catch (error) {
          if (done > 0) throw error
          await new Promise<void>((resolve) => {
            this.#replies.simple(cookie, numberOf(error), resolve)
          })
          return
        }
        await new Promise<void>((resolve) => {
          if (done === 0) this.#replies.simpleData(cookie, buffer, piece, resolve)
          else this.#replies.dataOnly(buffer, piece, resolve)
        })
      }
    } catch {
      this.#closing = true
      this.#line.close('at once')
    } finally {
      this.#alone = false
      taken()
    }
  }

  #failWith(request: Request, error: unknown): void {
    if (error instanceof NotFast)
      this.#fail(request, errorNumber.notSupported, 'this would be no faster than writing zeros')
    else this.#fail(request, numberOf(error), textOf(error))
  }

  #fail({ type, cookie }: Request, error: number, message: string): void {
    if (this.#structured && (type === commandType.read || type === commandType.blockStatus))
      this.#replies.error({ cookie, last: true }, error, message, undefined, this.#taken())
    else this.#replies.simple(cookie, error, this.#taken())
  }

  #out(cookie: bigint): void {
    if (this.#structured) this.#replies.none(cookie, this.#taken())
    else this.#replies.simple(cookie, 0, this.#taken())
  }

  /** Counts a reply; what it gives is called when the reply is out. */
  #taken(buffer?: PieceBuffer): () => void {
    this.#inFlight++
    return () => {
      this.#inFlight--
      if (buffer !== undefined) this.#line.buffers.release(buffer)
      this.pump()
    }
  }
}
