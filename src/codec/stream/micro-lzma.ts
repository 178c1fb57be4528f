import { corrupt } from '../../errors.js'
import { LzmaDamage, LzmaDecoder } from './lzma.js'

/** Literal bits at most, as in LZMA2: lc + lp. */
const mostLiteralBits = 4

/**
 * Fills `target` from MicroLZMA data, as EROFS stores it: an LZMA stream without a header, in which the byte of
 * properties, inverted, stands in place of the first byte of the range coder, which is always zero
 * (XZ Utils, lzma_microlzma_decoder).
 * @param isPartial what is stored may hold more than `target` takes. @throws ImageError corrupt E_COMPRESSED.
 */
export function expandMicroLzma(stored: Uint8Array, target: Uint8Array, isPartial: boolean): void {
  const lzma = new LzmaDecoder(target.length)
  lzma.input = Uint8Array.from(stored)
  lzma.input[0] = 0
  lzma.end = stored.length
  try {
    lzma.setProperties(~(stored[0] ?? 0) & 0xff, mostLiteralBits)
    lzma.resetState()
    lzma.start()
    const length = lzma.decode(target.length, true)
    if (length < target.length) throw new LzmaDamage(`it holds ${length} of ${target.length} bytes`)
    if (!isPartial && !lzma.finished) throw new LzmaDamage('its range coder does not end as it must')
  } catch (error) {
    if (!(error instanceof LzmaDamage)) throw error
    throw corrupt('E_COMPRESSED', `the LZMA data is damaged: ${error.message}`)
  }
  let done = 0
  for (const part of lzma.produced(0, target.length)) {
    target.set(part, done)
    done += part.length
  }
}
