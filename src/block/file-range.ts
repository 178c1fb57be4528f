import type { FarPort } from './far-port.js'
import type { ByteStore } from './types.js'

/** Bytes [start, end). */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** Bytes of a file that another thread can read. */
export interface DescriptorRange extends ByteRange {
  readonly descriptor: number
}

/** A piece of a range, in a file that another thread can read. `at` is where it begins in the range. Bytes. */
export interface DescriptorPiece extends DescriptorRange {
  readonly at: number
}

/** Where a range of the store lies in a file that another thread can read; undefined: in none, or in several. */
export function rangeInFile(store: ByteStore, range: ByteRange): DescriptorRange | undefined {
  const found = pieceInFile(store, range)
  return found !== undefined && found.end - found.start === range.end - range.start ? found : undefined
}

/** More files than this are not held together by the pieces of one image. */
const mostPieces = 65536

/** The pieces of a range of the store, in files that another thread can read; undefined: some of it lies in none. */
export function piecesInFiles(store: ByteStore, { start, end }: ByteRange): readonly DescriptorPiece[] | undefined {
  const pieces: DescriptorPiece[] = []
  for (let at = start; at < end;) {
    const piece = pieces.length === mostPieces ? undefined : pieceInFile(store, { start: at, end })
    if (piece === undefined) return undefined
    pieces.push({ ...piece, at: at - start })
    at += piece.end - piece.start
  }
  return pieces
}

/** Bytes of a store of another computer, that another thread can read too. */
export interface FarRange extends ByteRange {
  readonly openPort: () => FarPort
}

/** Where a range of the store lies in one of another computer; undefined: it does not, or in several. */
export function rangeFarAway(store: ByteStore, { start, end }: ByteRange): FarRange | undefined {
  const { store: far, position, length } = placeOfStart(store, { start, end })
  const openPort = far.openPort?.bind(far)
  if (openPort === undefined || length !== end - start) return undefined
  const range = { start: position, end: position + length }
  return { ...range, openPort: () => openPort(range.start, range.end) }
}

/** As much of the start of a range as lies in one file. */
function pieceInFile(store: ByteStore, range: ByteRange): DescriptorRange | undefined {
  const place = placeOfStart(store, range)
  const { fd: descriptor, descriptorAlignment = 1 } = place.store
  return descriptor === undefined || descriptorAlignment !== 1
    ? undefined
    : { descriptor, start: place.position, end: place.position + place.length }
}

interface StorePlace {
  readonly store: ByteStore
  readonly position: number
  readonly length: number
}

/** Where the start of a range really is, and how much of it lies there. */
function placeOfStart(store: ByteStore, { start, end }: ByteRange): StorePlace {
  let place: StorePlace = { store, position: start, length: end - start }
  for (let { source } = place.store; source !== undefined; { source } = place.store) {
    const extent = source.extentAt(place.position, place.length)
    if (extent.kind !== 'data') break
    place = { store: extent.store, position: extent.position, length: extent.length }
  }
  return place
}
