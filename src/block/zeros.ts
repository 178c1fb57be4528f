import { isZero } from '../binary/zero.js'
import type { ByteStore } from './types.js'

/** Bytes that are written at once. */
const pieceLength = 1048576

/** Writes zeros over a range, `piece` bytes at a time at most. */
export function writeZeros(
  target: { write(position: number, bytes: Uint8Array): void },
  position: number,
  length: number,
  piece = pieceLength,
): void {
  const zeros = new Uint8Array(Math.min(length, piece))
  for (let done = 0; done < length; done += zeros.length)
    target.write(position + done, zeros.subarray(0, Math.min(zeros.length, length - done)))
}

/** Makes bytes of a file read as zero: as a hole where the store can. */
export function clearBytes(store: ByteStore, position: number, length: number): void {
  if (length <= 0) return
  if (store.zero === undefined) writeZeros(store, position, length)
  else store.zero(position, length)
}

/** Copies bytes within a file, `piece` at a time. Holes stay holes. */
export function copyBytes(store: ByteStore, from: number, to: number, length: number, piece: number): void {
  const buffer = new Uint8Array(Math.min(length, piece))
  for (let done = 0; done < length; done += buffer.length) {
    const bytes = buffer.subarray(0, Math.min(buffer.length, length - done))
    store.read(from + done, bytes)
    if (isZero(bytes)) clearBytes(store, to + done, bytes.length)
    else store.write(to + done, bytes)
  }
}
