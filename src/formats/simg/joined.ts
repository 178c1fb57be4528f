import type { ByteStore } from '../../block/types.js'
import { corrupt } from '../../errors.js'
import { kind, type Chunks } from './chunks.js'

/** Chunks of all parts together: they are sorted. */
const mostChunks = 1024 * 1024

/** A part of an image: its file, and what its chunks say. */
export interface SparsePart {
  readonly store: ByteStore
  readonly chunks: Chunks
}

/** The chunks of several parts as those of one image. */
export interface JoinedChunks extends Pick<Chunks, 'count' | 'starts' | 'places' | 'kinds'> {
  /** The number of the part that each chunk is from. */
  readonly owners: Uint16Array
}

/**
 * Lays parts over each other: each says nothing where the others hold something.
 * @throws ImageError corrupt E_MAP where they are no parts of one image; E_OVERLAP where two hold the same blocks.
 */
export function joinedChunks(parts: readonly SparsePart[]): JoinedChunks {
  const [first] = parts
  const capacity = first?.chunks.capacity ?? 0
  for (const { store, chunks } of parts)
    if (chunks.capacity !== capacity || chunks.blockSize !== first?.chunks.blockSize)
      throw corrupt(
        'E_MAP',
        `${store.name}: its disk has ${chunks.capacity} bytes, that of ${first?.store.name ?? ''} ${capacity}: they ` +
          'are no parts of one image',
        { hint },
      )
  const pieces = parts
    .flatMap(({ chunks }, owner) => piecesOf(chunks, owner))
    .sort((left, right) => left.start - right.start)
  if (pieces.length > mostChunks)
    throw corrupt('E_TOO_LARGE', `${first?.store.name ?? ''}: its parts have more than ${mostChunks} chunks together`)
  const result: Piece[] = []
  let end = 0
  for (const piece of pieces) {
    if (piece.start < end)
      throw corrupt(
        'E_OVERLAP',
        `${parts[piece.owner]?.store.name ?? ''} and another part both hold the bytes at offset ${piece.start}`,
        { details: { offset: piece.start }, hint },
      )
    if (piece.start > end) result.push(nothing(end, piece.start))
    result.push(piece)
    end = piece.end
  }
  if (end < capacity) result.push(nothing(end, capacity))
  return {
    count: result.length,
    starts: Float64Array.from([...result.map(({ start }) => start), capacity]),
    places: Float64Array.from(result, ({ place }) => place),
    kinds: Uint8Array.from(result, (piece) => piece.kind),
    owners: Uint16Array.from(result, ({ owner }) => owner),
  }
}

const hint = 'Read this file alone with --from-option parts=false.'

interface Piece {
  readonly start: number
  readonly end: number
  readonly place: number
  readonly kind: number
  readonly owner: number
}

function nothing(start: number, end: number): Piece {
  return { start, end, place: -1, kind: kind.none, owner: 0 }
}

/** What a part holds. */
function piecesOf({ count, starts, places, kinds }: Chunks, owner: number): Piece[] {
  const pieces: Piece[] = []
  for (let chunk = 0; chunk < count; chunk++) {
    const isZero = kinds[chunk] === kind.none && places[chunk] === -1
    if (isZero) continue
    pieces.push({
      start: starts[chunk] ?? 0,
      end: starts[chunk + 1] ?? 0,
      place: places[chunk] ?? 0,
      kind: kinds[chunk] ?? 0,
      owner,
    })
  }
  return pieces
}
