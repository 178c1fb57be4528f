import { viewOf } from './integers.js'

/**
 * Marvin32, Microsoft's hash of short texts, as 64 bits: logs of registry hives have it. @param seed its lower word,
 * then its upper one.
 */
export function marvin32(bytes: Uint8Array, [lower, upper]: readonly [number, number]): bigint {
  const view = viewOf(bytes)
  let low = lower | 0
  let high = upper | 0
  const words = bytes.length >>> 2
  // One word each, then one for the rest with its end mark, then an empty one.
  for (let index = 0; index < words + 2; index++) {
    const word = index < words ? view.getUint32(index * 4, true) : index === words ? tail(bytes, words * 4) : 0
    low = (low + word) | 0
    high ^= low
    low = ((low << 20) | (low >>> 12)) + high
    high = ((high << 9) | (high >>> 23)) ^ low
    low = (((low << 27) | (low >>> 5)) + high) | 0
    high = (high << 19) | (high >>> 13)
  }
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}

function tail(bytes: Uint8Array, from: number): number {
  let word = 0x80
  for (let at = bytes.length - 1; at >= from; at--) word = (word << 8) | (bytes[at] ?? 0)
  return word
}
