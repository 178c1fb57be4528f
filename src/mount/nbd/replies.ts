import type { Duplex } from 'node:stream'
import type { StructValues } from '../../binary/struct.js'
import { chunkDone, hasFlag } from './entries.js'
import {
  blockDescriptor,
  chunkHeader,
  chunkMagic,
  chunkOffset,
  chunkType,
  errorPayload,
  holePayload,
  simpleReply,
  simpleReplyMagic,
  word,
} from './structs.js'
import { headerRoom, type PieceBuffer } from './buffers.js'

/** One run of a block status. */
export interface StatusRun {
  length: number
  readonly status: number
}

export type ChunkHead = { readonly cookie: bigint; readonly last: boolean }

/** Builds replies and puts them on the wire. `done` is called when the connection has taken the bytes. */
export class Replies {
  readonly #stream: Duplex

  constructor(stream: Duplex) {
    this.#stream = stream
  }

  simple(cookie: bigint, error: number, done: () => void): void {
    this.#stream.write(simpleReply.write({ magic: simpleReplyMagic, error, cookie }), done)
  }

  /** A simple reply with the data of a read, which stands in the buffer. */
  simpleData(cookie: bigint, buffer: PieceBuffer, length: number, done: () => void): void {
    const start = headerRoom - simpleReply.size
    simpleReply.writeInto(buffer.view, start, { magic: simpleReplyMagic, error: 0, cookie })
    this.#stream.write(buffer.whole.subarray(start, headerRoom + length), done)
  }

  /** The data of a read alone, whose header is on its way already. */
  dataOnly(buffer: PieceBuffer, length: number, done: () => void): void {
    this.#stream.write(buffer.whole.subarray(headerRoom, headerRoom + length), done)
  }

  none(cookie: bigint, done: () => void): void {
    this.#stream.write(header({ cookie, last: true }, chunkType.none, 0), done)
  }

  data(head: ChunkHead, offset: number, buffer: PieceBuffer, length: number, done: () => void): void {
    const start = headerRoom - chunkHeader.size - chunkOffset.size
    chunkHeader.writeInto(buffer.view, start, headerValues(head, chunkType.offsetData, chunkOffset.size + length))
    chunkOffset.writeInto(buffer.view, headerRoom - chunkOffset.size, { offset: BigInt(offset) })
    this.#stream.write(buffer.whole.subarray(start, headerRoom + length), done)
  }

  hole(head: ChunkHead, offset: number, size: number, done: () => void): void {
    this.#stream.write(
      Buffer.concat([
        header(head, chunkType.offsetHole, holePayload.size),
        holePayload.write({ offset: BigInt(offset), size }),
      ]),
      done,
    )
  }

  status(cookie: bigint, context: number, runs: readonly StatusRun[], done: () => void): void {
    const bytes = [word(context), ...runs.map(({ length, status }) => blockDescriptor.write({ length, status }))]
    this.#stream.write(
      Buffer.concat([
        header({ cookie, last: true }, chunkType.blockStatus, 4 + runs.length * blockDescriptor.size),
        ...bytes,
      ]),
      done,
    )
  }

  /** An error as a chunk; with the offset where it is known. */
  error(head: ChunkHead, error: number, message: string, offset: number | undefined, done: () => void): void {
    const text = Buffer.from(message).subarray(0, 4000)
    const payload = [
      errorPayload.write({ error, messageLength: text.length }),
      text,
      ...(offset === undefined ? [] : [chunkOffset.write({ offset: BigInt(offset) })]),
    ]
    const length = payload.reduce((sum, part) => sum + part.length, 0)
    this.#stream.write(
      Buffer.concat([header(head, offset === undefined ? chunkType.error : chunkType.errorOffset, length), ...payload]),
      done,
    )
  }
}

function headerValues({ cookie, last }: ChunkHead, type: number, length: number): StructValues<typeof chunkHeader> {
  return { magic: chunkMagic, flags: last ? chunkDone : 0, type, cookie, length }
}

function header(head: ChunkHead, type: number, length: number): Uint8Array {
  return chunkHeader.write(headerValues(head, type, length))
}

/** Whether a chunk's flags say that it is the last one. */
export function isLast(flags: number): boolean {
  return hasFlag(flags, chunkDone)
}
