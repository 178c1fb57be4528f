import { adler32 } from '../binary/adler32.js'
import { viewOf } from '../binary/integers.js'
import type { Codec } from '../block/types.js'
import { corrupt } from '../errors.js'

const sumLength = 4

/**
 * Bytes as they are, and behind them their Adler-32 (little-endian), as an EWF image has them. What is stored may be
 * longer than what is asked for: the sum then is over all of it.
 */
export const adlerCodec: Codec = {
  id: 'stored-adler32',
  decode(stored, target) {
    const length = stored.length - sumLength
    if (length < target.length)
      throw corrupt('E_COMPRESSED', `${Math.max(0, length)} bytes are stored instead of ${target.length}`)
    const recorded = viewOf(stored).getUint32(length, true)
    const sum = adler32(stored, 0, length)
    if (sum !== recorded)
      throw corrupt(
        'E_COMPRESSED',
        `the checksum (Adler-32) is 0x${sum.toString(16)}, the one recorded is 0x${recorded.toString(16)}`,
      )
    target.set(stored.subarray(0, target.length))
  },
}

/** Eight bytes that are repeated (pattern fill of an Ex01 image). */
export const patternCodec: Codec = {
  id: 'pattern',
  decode(stored, target) {
    if (stored.length === 0) throw corrupt('E_COMPRESSED', 'the pattern is empty')
    target.set(stored.subarray(0, target.length))
    // Doubles what is there already.
    for (let done = stored.length; done < target.length; done *= 2) target.copyWithin(done, 0, done)
  },
}
