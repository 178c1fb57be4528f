import fs from 'node:fs'
import { farReading } from '../../block/far-reading.js'
import { corrupt } from '../../errors.js'
import type { ReadBytes } from './input.js'
import type { StartedRequest } from './thread.js'

/** Reads the compressed bytes of a stream, which may lie in several files, or on another computer. */
export function requestBytes(request: StartedRequest): ReadBytes {
  return request.far === undefined ? fileBytes(request) : farReading(request.far, request.end)
}

function fileBytes(request: StartedRequest): ReadBytes {
  return (from, target) => {
    for (let done = 0; done < target.length;) {
      let count: number
      try {
        const { descriptor, position, length } = placeOf(request, from + done, target.length - done)
        count = fs.readSync(descriptor, target, done, length, position)
      } catch (cause) {
        throw corrupt('E_READ', `${request.name}: cannot read at byte ${from + done}: ${(cause as Error).message}`, {
          details: { position: from + done },
        })
      }
      if (count === 0) throw corrupt('E_TRUNCATED', `${request.name} became shorter while it was being read`)
      done += count
    }
  }
}

/** Where a byte of the stream is, and how many of the next ones lie in the same file. */
function placeOf(
  { pieces, descriptor = -1 }: StartedRequest,
  at: number,
  wanted: number,
): { descriptor: number; position: number; length: number } {
  const piece = pieces?.findLast((candidate) => candidate.at <= at)
  if (piece === undefined) return { descriptor, position: at, length: wanted }
  const position = piece.start + at - piece.at
  return { descriptor: piece.descriptor, position, length: Math.min(wanted, piece.end - position) }
}

/** The compressed bytes in windows, one behind the other: while one is decoded, the next is read. */
export class InputWindows {
  readonly #request: StartedRequest
  readonly #read: ReadBytes
  #now: Window
  #next: Window
  /** The next one is being read. */
  #reading: Promise<void> | undefined

  /** @param length bytes of a window. */
  constructor(request: StartedRequest, length: number) {
    this.#request = request
    this.#read = requestBytes(request)
    const room = Math.min(length, request.end - request.start)
    this.#now = { start: 0, length: 0, bytes: new Uint8Array(room) }
    this.#next = { start: 0, length: 0, bytes: new Uint8Array(room) }
  }

  /** What is at hand from a position on; none at the end. The memory is used again. @throws ImageError */
  at(position: number): Uint8Array {
    const held = heldAt(this.#now, position)
    if (held !== undefined) return held
    const { bytes } = this.#now
    const length = Math.min(bytes.length, this.#request.end - position)
    this.#read(position, bytes.subarray(0, length))
    this.#now = { start: position, length, bytes }
    return bytes.subarray(0, length)
  }

  /** The same; the bytes behind it are read meanwhile. One call at a time. */
  async soonAt(position: number): Promise<Uint8Array> {
    if (this.#reading !== undefined && heldAt(this.#now, position) === undefined) {
      await this.#reading
      this.#reading = undefined
      if (heldAt(this.#next, position) !== undefined) [this.#now, this.#next] = [this.#next, this.#now]
    }
    const held = this.at(position)
    const end = this.#now.start + this.#now.length
    if (this.#reading === undefined && end < this.#request.end) this.#reading = this.#readAhead(end)
    return held
  }

  /** Where it cannot be read, reading it again says why. */
  #readAhead(start: number): Promise<void> {
    const { bytes } = this.#next
    const { descriptor, position, length } = placeOf(
      this.#request,
      start,
      Math.min(bytes.length, this.#request.end - start),
    )
    return new Promise((resolve) => {
      fs.read(descriptor, bytes, 0, length, position, (cause, count) => {
        this.#next = { start, length: cause === null ? count : 0, bytes }
        resolve()
      })
    })
  }
}

interface Window {
  readonly start: number
  readonly length: number
  readonly bytes: Uint8Array
}

/** What a window holds from a position on; undefined: nothing. */
function heldAt({ start, length, bytes }: Window, position: number): Uint8Array | undefined {
  return position >= start && position < start + length ? bytes.subarray(position - start, length) : undefined
}
