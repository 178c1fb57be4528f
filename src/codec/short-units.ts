import zlib from 'node:zlib'
import { corrupt, isImageError } from '../errors.js'
import { expandLzo } from './lzo.js'
import { Input } from './stream/input.js'
import { expandLz4 } from './stream/lz4.js'
import { decodeXz } from './stream/xz.js'
import { decodeZstdUpTo } from './zstd.js'

/**
 * Decodes a unit whose length is only known to be at most that of `target`, as filesystems have them.
 * @returns how many bytes it holds. @throws ImageError corrupt E_COMPRESSED: damaged, or more than that.
 */
export type ShortUnitDecoder = (stored: Uint8Array, target: Uint8Array) => number

function damagedUnit(what: string, why: string, cause?: unknown): Error {
  return corrupt('E_COMPRESSED', `the ${what} data is damaged: ${why}`, { cause })
}

function expanded(what: string, length: number): number {
  if (length < 0) throw damagedUnit(what, 'it does not decode, or holds more than was expected')
  return length
}

function inflated(what: string, inflate: typeof zlib.inflateSync): ShortUnitDecoder {
  return (stored, target) => {
    try {
      const plain = inflate(stored, { maxOutputLength: Math.max(1, target.length) })
      target.set(plain)
      return plain.length
    } catch (cause) {
      throw damagedUnit(what, cause instanceof Error ? cause.message : String(cause), cause)
    }
  }
}

function unpackedXz(stored: Uint8Array, target: Uint8Array): number {
  const read = (at: number, bytes: Uint8Array): void => bytes.set(stored.subarray(at, at + bytes.length))
  let done = 0
  try {
    for (const piece of decodeXz(new Input('the xz data', read, 0, stored.length))) {
      if (done + piece.length > target.length) throw damagedUnit('xz', `it holds more than ${target.length} bytes`)
      target.set(piece, done)
      done += piece.length
    }
  } catch (error) {
    if (isImageError(error) && error.kind === 'corrupt' && error.code !== 'E_COMPRESSED')
      throw damagedUnit('xz', error.message, error)
    throw error
  }
  return done
}

export const shortUnits = {
  zlib: inflated('zlib', zlib.inflateSync),
  deflate: inflated('deflate', zlib.inflateRawSync),
  lz4: (stored, target) => expanded('LZ4', expandLz4(stored, target, 0, target.length, 0)),
  lzo: (stored, target) => expanded('LZO', expandLzo(stored, target)),
  xz: unpackedXz,
  zstd: decodeZstdUpTo,
} as const satisfies Readonly<Record<string, ShortUnitDecoder>>
