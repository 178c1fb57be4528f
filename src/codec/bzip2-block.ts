import { corrupt } from '../errors.js'
import type { Codec } from '../block/types.js'
import { decodeBzip2Block } from './stream/bzip2-block.js'

/** A block of a bzip2 file, with the magic behind it, of a stream with blocks of up to that many times 100000 bytes. */
function bzip2BlockCodec(level: number): Codec {
  return {
    id: `bzip2-block-${level}`,
    decode(stored, target) {
      let done = 0
      for (const piece of decodeBzip2Block(stored, level)) {
        if (done + piece.length > target.length)
          throw corrupt('E_COMPRESSED', `the bzip2 block holds more than ${target.length} bytes`)
        target.set(piece, done)
        done += piece.length
      }
      if (done !== target.length)
        throw corrupt('E_COMPRESSED', `the bzip2 block holds ${done} bytes instead of ${target.length}`)
    },
  }
}

export const bzip2BlockCodecs: readonly Codec[] = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(bzip2BlockCodec)
