import { corrupt } from '../errors.js'
import type { Codec } from '../block/types.js'
import { decodeBzip2 } from './stream/bzip2.js'
import { Input } from './stream/input.js'
import { decodeXz } from './stream/xz.js'

/** Units that are a whole stream of bzip2 or xz, as the chunks of a DMG are. */
export const bzip2UnitCodec: Codec = wholeStream('bzip2-unit', 'bzip2 stream', (input) => decodeBzip2(input))
export const xzUnitCodec: Codec = wholeStream('xz-unit', 'xz stream', (input) => decodeXz(input))

function wholeStream(id: string, title: string, decode: (input: Input) => Iterable<Uint8Array>): Codec {
  return {
    id,
    decode(stored, target) {
      const read = (at: number, bytes: Uint8Array): void => bytes.set(stored.subarray(at, at + bytes.length))
      let done = 0
      for (const piece of decode(new Input(`the ${title}`, read, 0, stored.length))) {
        if (done + piece.length > target.length)
          throw corrupt('E_COMPRESSED', `the ${title} holds more than ${target.length} bytes`)
        target.set(piece, done)
        done += piece.length
      }
      if (done !== target.length)
        throw corrupt('E_COMPRESSED', `the ${title} gives ${done} bytes instead of ${target.length}`)
    },
  }
}
