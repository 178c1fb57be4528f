import zlib from 'node:zlib'
import { corrupt } from '../errors.js'
import type { Codec } from '../block/types.js'
import { codecLibraries } from '../sys/codec-libraries.js'
import { poolLibraries } from '../sys/pool-libraries.js'

/** Raw deflate (RFC 1951) without header or checksum, as in QCOW2 clusters. */
export const deflateCodec: Codec = {
  id: 'deflate',
  decode(stored, target) {
    // What the library does not take is looked at again by zlib, which says what is wrong, or accepts what QEMU does.
    if (codecLibraries().inflate?.(stored, target) === true) return
    let plain: Buffer
    try {
      // SYNC_FLUSH: a stream whose last bits are missing still gives what it holds; the length is checked below.
      plain = zlib.inflateRawSync(stored, {
        chunkSize: Math.max(64, target.length),
        maxOutputLength: target.length,
        finishFlush: zlib.constants.Z_SYNC_FLUSH,
      })
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code
      const why =
        code === 'ERR_BUFFER_TOO_LARGE'
          ? `it holds more than ${target.length} bytes`
          : cause instanceof Error
            ? cause.message
            : String(cause)
      throw corrupt('E_COMPRESSED', `the deflate stream is damaged: ${why}`, { cause })
    }
    if (plain.length !== target.length)
      throw corrupt('E_COMPRESSED', `the deflate stream gives ${plain.length} bytes instead of ${target.length}`)
    target.set(plain)
  },
  encode: deflateRaw,
  inPool: {
    get decode() {
      return poolLibraries().inflate
    },
    encoder: (level) => (takesLibrary(level) ? poolLibraries().deflate : undefined),
  },
}

/** A level is one of zlib's. The same input is to give the same bytes everywhere where SOURCE_DATE_EPOCH is set. */
function takesLibrary(level: number | undefined): boolean {
  return level === undefined && process.env['SOURCE_DATE_EPOCH'] === undefined
}

/**
 * Compresses with a window of 2^12 bytes: QCOW2 readers set no more (qcow2 specification, "Compressed Clusters
 * Descriptor").
 */
export function deflateRaw(bytes: Uint8Array, level?: number): Uint8Array {
  const quick = takesLibrary(level) ? codecLibraries().deflate?.(bytes) : undefined
  return quick ?? deflateByZlib(bytes, level)
}

function deflateByZlib(bytes: Uint8Array, level = 6): Uint8Array {
  return zlib.deflateRawSync(bytes, { level, windowBits: 12, chunkSize: Math.max(64, bytes.length) })
}
