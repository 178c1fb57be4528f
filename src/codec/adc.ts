import { corrupt } from '../errors.js'
import type { Codec } from '../block/types.js'

/** Apple Data Compression: literals, and copies of what came before, in bytes. */
export const adcCodec: Codec = {
  id: 'adc',
  decode(stored, target) {
    let at = 0
    let done = 0
    const byte = (): number => {
      if (at >= stored.length) throw damaged(`the stream ends after ${done} of ${target.length} bytes`)
      return stored[at++] ?? 0
    }
    while (done < target.length) {
      const code = byte()
      if (code >= 0x80) {
        const length = code - 0x7f
        if (at + length > stored.length || done + length > target.length)
          throw damaged(`a run of ${length} bytes passes the end`)
        target.set(stored.subarray(at, at + length), done)
        at += length
        done += length
        continue
      }
      const isLong = code >= 0x40
      const length = isLong ? code - 0x40 + 4 : Math.floor(code / 4) + 3
      const high = isLong ? byte() : code % 4
      const distance = high * 256 + byte() + 1
      if (distance > done || done + length > target.length)
        throw damaged(`a copy of ${length} bytes from ${distance} bytes before leaves the content`)
      // A copy may overlap itself: byte by byte.
      for (let count = 0; count < length; count++, done++) target[done] = target[done - distance] ?? 0
    }
  },
}

function damaged(why: string): Error {
  return corrupt('E_COMPRESSED', `the ADC data is damaged: ${why}`)
}
