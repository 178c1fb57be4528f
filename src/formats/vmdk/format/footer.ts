import { viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import {
  gdAtEnd,
  marker,
  markerType,
  sectorLength,
  sparseHeader,
  sparseMagic,
  type SparseHeaderValues,
} from './structs.js'

/** How far from the end of the file a footer is looked for, in bytes: copies and archives leave bytes behind it. */
const searchLength = 1024 * 1024

export interface Footer {
  readonly values: SparseHeaderValues
  readonly bytes: Uint8Array
  /** Bytes. */
  readonly position: number
  /** Bytes of the file behind the end of the stream. */
  readonly behind: number
}

/** The footer of a stream-optimised extent: where it belongs, else before bytes that were added behind it. */
export function findFooter(store: ByteStore): Footer | undefined {
  const last = Math.floor(store.size / sectorLength) * sectorLength
  const start = Math.max(0, last - searchLength)
  const bytes = new Uint8Array(last - start)
  store.read(start, bytes)
  const view = viewOf(bytes)
  for (let at = bytes.length - sectorLength; at >= sectorLength; at -= sectorLength) {
    if (view.getUint32(at, false) !== 0x4b444d56) continue
    const before = marker.read(bytes, at - sectorLength)
    if (before.type !== markerType.footer || before.size !== 0) continue
    const values = sparseHeader.read(bytes, at)
    if (values.magic !== sparseMagic || values.gdOffset === gdAtEnd || values.gdOffset === 0n) continue
    const position = start + at
    return {
      values,
      bytes: bytes.slice(at, at + sectorLength),
      position,
      behind: Math.max(0, store.size - position - 2 * sectorLength),
    }
  }
  return undefined
}
