import fs from 'node:fs'
import { corrupt } from '../errors.js'
import { compressedError } from '../block/read.js'
import { ReusedMemory } from '../block/reused-memory.js'
import { codecFor } from '../codec/registry.js'
import { allOf } from './all-of.js'
import type { ChunkPiece } from './chunk.js'

export type Packed = Extract<ChunkPiece, { kind: 'packed' }>
type Data = Extract<ChunkPiece, { kind: 'data' }>

/** Units from this length on are kept for the next piece, which is often one of the same: they take long to decode. */
const keptFrom = 1024 * 1024

/** Buffers of one thread for the stored and the decoded bytes of a compressed unit, grown when a unit needs more. */
export class UnitBuffers {
  readonly #stored = new ReusedMemory()
  readonly #plain = new ReusedMemory()
  #kept: Pick<Packed, 'descriptor' | 'position' | 'unitLength'> | undefined

  stored(length: number): Uint8Array {
    return this.#stored.take(length)
  }

  /** The content of a unit, where it is the one that was decoded last. */
  kept({ descriptor, position, unitLength }: Packed): Uint8Array | undefined {
    const { descriptor: ofKept, position: keptAt, unitLength: keptLength } = this.#kept ?? {}
    const same = ofKept === descriptor && keptAt === position && keptLength === unitLength
    return same ? this.#plain.take(unitLength) : undefined
  }

  /** Remembers which unit {@link plain} holds. */
  keep(piece: Packed): void {
    this.#kept = piece.unitLength >= keptFrom ? piece : undefined
  }

  plain(length: number): Uint8Array {
    this.#kept = undefined
    return this.#plain.take(length)
  }
}

/** Zeroes the parts of a buffer that no piece covers. Pieces are in ascending order. */
export function clearGaps(
  target: Uint8Array,
  length: number,
  covered: readonly { readonly at: number; readonly length: number }[],
): void {
  let end = 0
  for (const piece of covered) {
    if (piece.at > end) target.fill(0, end, piece.at)
    end = piece.at + piece.length
  }
  if (end < length) target.fill(0, end, length)
}

/** Fills the pieces into the buffer, with blocking reads: for worker threads and small jobs. @throws ImageError */
export function fillSync(pieces: readonly ChunkPiece[], target: Uint8Array, buffers: UnitBuffers): void {
  for (const piece of pieces) {
    if (piece.kind === 'packed') fillPacked(piece, target, buffers)
    else readSync(piece.descriptor, piece.position, target.subarray(piece.at, piece.at + piece.length), piece.name)
  }
}

/** Fills the pieces into the buffer, plain ones through the thread pool, several at once. @throws ImageError */
export async function fillAsync(
  pieces: readonly ChunkPiece[],
  target: Uint8Array,
  buffers: UnitBuffers,
): Promise<void> {
  const reads: Promise<void>[] = []
  for (const piece of pieces) if (piece.kind === 'data') reads.push(readAsync(piece, target))
  await allOf(reads)
  for (const piece of pieces) if (piece.kind === 'packed') fillPacked(piece, target, buffers)
}

/** Reads and decodes one unit. @throws ImageError */
export function fillPacked(piece: Packed, target: Uint8Array, buffers: UnitBuffers): void {
  const kept = buffers.kept(piece)
  if (kept !== undefined) {
    target.set(kept.subarray(piece.within, piece.within + piece.length), piece.at)
    return
  }
  const stored = buffers.stored(piece.storedLength)
  readSync(piece.descriptor, piece.position, stored, piece.name)
  const whole = piece.within === 0 && piece.length === piece.unitLength
  const plain = whole ? target.subarray(piece.at, piece.at + piece.length) : buffers.plain(piece.unitLength)
  try {
    codecFor(piece.codec).decode(stored, plain)
  } catch (cause) {
    throw compressedError(piece.name, piece.position, piece.unitOffset, cause)
  }
  if (whole) return
  buffers.keep(piece)
  target.set(plain.subarray(piece.within, piece.within + piece.length), piece.at)
}

function readSync(descriptor: number, position: number, target: Uint8Array, name: string): void {
  let done = 0
  while (done < target.length) {
    let count: number
    try {
      count = fs.readSync(descriptor, target, done, target.length - done, position + done)
    } catch (cause) {
      throw readError(name, position + done, cause)
    }
    if (count === 0) throw truncatedError(name, position, target.length, done)
    done += count
  }
}

function readAsync(piece: Data, target: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    let done = 0
    const step = (): void => {
      fs.read(piece.descriptor, target, piece.at + done, piece.length - done, piece.position + done, (cause, count) => {
        if (cause !== null) reject(readError(piece.name, piece.position + done, cause))
        else if (count === 0) reject(truncatedError(piece.name, piece.position, piece.length, done))
        else if ((done += count) < piece.length) step()
        else resolve()
      })
    }
    step()
  })
}

function readError(name: string, position: number, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause)
  return corrupt('E_READ', `${name}: cannot read at byte ${position}: ${why}`, { cause, details: { position } })
}

function truncatedError(name: string, position: number, length: number, done: number): Error {
  return corrupt(
    'E_TRUNCATED',
    `${name}: ${length} bytes were to be read at byte ${position}, but the file ends at byte ${position + done}`,
    {
      details: { position, length, size: position + done },
    },
  )
}
