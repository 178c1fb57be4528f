import zlib from 'node:zlib'
import { corrupt } from '../errors.js'
import type { Codec } from '../block/types.js'
import { Input } from './stream/input.js'
import { XzBlock } from './stream/xz.js'

/** Units of compressed files that decode on their own, with their checksums: single gzip members, single xz blocks. */

/** A gzip member as BGZF has them: at most 64 KiB. */
export const gzipMemberCodec: Codec = {
  id: 'gzip-member',
  decode(stored, target) {
    let plain: Buffer
    try {
      plain = zlib.gunzipSync(stored, { maxOutputLength: Math.max(1, target.length) })
    } catch (cause) {
      throw corrupt(
        'E_COMPRESSED',
        `the gzip member is damaged: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      )
    }
    if (plain.length !== target.length)
      throw corrupt('E_COMPRESSED', `the gzip member holds ${plain.length} bytes instead of ${target.length}`)
    target.set(plain)
  },
}

/** A block of an .xz file whose stream has that type of check. */
function xzBlockCodec(check: number): Codec {
  return {
    id: `xz-block-${check}`,
    decode(stored, target) {
      const input = new Input(
        'the xz block',
        (at, bytes) => bytes.set(stored.subarray(at, at + bytes.length)),
        0,
        stored.length,
      )
      let done = 0
      for (const piece of new XzBlock(input, check).content()) {
        if (done + piece.length > target.length)
          throw corrupt('E_COMPRESSED', `the xz block holds more than the ${target.length} bytes of the index`)
        target.set(piece, done)
        done += piece.length
      }
      if (done !== target.length)
        throw corrupt('E_COMPRESSED', `the xz block holds ${done} bytes, and ${target.length} by the index`)
    },
  }
}

export const xzBlockCodecs: readonly Codec[] = [0, 1, 4, 10].map(xzBlockCodec)
