import zlib from 'node:zlib'
import { corrupt } from '../errors.js'
import type { Codec } from '../block/types.js'
import { codecLibraries } from '../sys/codec-libraries.js'
import { poolLibraries } from '../sys/pool-libraries.js'

/** What a unit may hold besides what is asked for: the largest chunk of an EWF image. */
const longestUnit = 32 * 1024 * 1024

function inflate(stored: Uint8Array, length: number, longest: number): Buffer {
  try {
    return zlib.inflateSync(stored, { chunkSize: Math.max(64, length), maxOutputLength: longest })
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const why = code === 'ERR_BUFFER_TOO_LARGE' ? `it holds more than ${longest} bytes` : message
    throw corrupt('E_COMPRESSED', `the zlib stream is damaged: ${why}`, { cause })
  }
}

function fill(plain: Buffer, target: Uint8Array): void {
  if (plain.length < target.length)
    throw corrupt('E_COMPRESSED', `the zlib stream gives ${plain.length} bytes instead of ${target.length}`)
  target.set(plain.subarray(0, target.length))
}

/** zlib (RFC 1950), as in the grains of a stream-optimised VMDK. */
export const zlibCodec: Codec = {
  id: 'zlib',
  decode(stored, target) {
    // What the library does not take is looked at again by zlib, which says what is wrong.
    if (codecLibraries().inflateZlib?.(stored, target) !== true)
      fill(inflate(stored, target.length, target.length), target)
  },
  inPool: {
    get decode() {
      return poolLibraries().inflateZlib
    },
  },
  encode: (bytes, level = 6) => zlib.deflateSync(bytes, { level, chunkSize: Math.max(64, bytes.length) }),
}

/** The same for the last unit of a disk, which may be longer than the disk. */
export const zlibTailCodec: Codec = {
  id: 'zlib-tail',
  decode: (stored, target) => fill(inflate(stored, target.length, longestUnit), target),
}
