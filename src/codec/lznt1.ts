import { corrupt } from '../errors.js'

/** Bytes that one chunk gives. */
const chunkLength = 4096

/**
 * Decodes LZNT1, the compression of NTFS ([MS-XCA] 2.5): chunks of a 16-bit header and up to 4096 bytes of result each.
 * What a chunk leaves
 * of its 4096 bytes, and what follows the last chunk, is zero.
 * @param target is filled whole; chunks that lie behind its end are not looked at.
 * @throws ImageError corrupt E_COMPRESSED
 */
export function decodeLznt1(stored: Uint8Array, target: Uint8Array): void {
  target.fill(0)
  let at = 0
  for (let start = 0; start < target.length && at + 2 <= stored.length; start += chunkLength) {
    const header = (stored[at] ?? 0) | ((stored[at + 1] ?? 0) << 8)
    if (header === 0) return
    const end = at + 2 + (header & 0x0fff) + 1
    if (end > stored.length) throw damagedChunk(start, `it needs ${end} bytes of ${stored.length}`)
    const chunk = stored.subarray(at + 2, end)
    const result = target.subarray(start, start + chunkLength)
    if ((header & 0x8000) === 0) result.set(chunk.subarray(0, result.length))
    else decodeChunk(chunk, result, start)
    at = end
  }
}

function decodeChunk(chunk: Uint8Array, result: Uint8Array, start: number): void {
  let at = 0
  let out = 0
  while (at < chunk.length && out < result.length) {
    let flags = chunk[at++] ?? 0
    for (let token = 0; token < 8 && at < chunk.length && out < result.length; token++, flags >>= 1) {
      if ((flags & 1) === 0) {
        result[out++] = chunk[at++] ?? 0
        continue
      }
      if (at + 2 > chunk.length) throw damagedChunk(start, 'it ends within a reference')
      const word = (chunk[at] ?? 0) | ((chunk[at + 1] ?? 0) << 8)
      at += 2
      // The further in the chunk, the more bits hold the distance and the fewer the length.
      let lengthBits = 12
      for (let rest = out - 1; rest >= 16; rest >>= 1) lengthBits--
      const distance = (word >> lengthBits) + 1
      const length = (word & ((1 << lengthBits) - 1)) + 3
      if (distance > out) throw damagedChunk(start, `it refers ${distance} bytes back from its byte ${out}`)
      if (out + length > result.length && result.length === chunkLength)
        throw damagedChunk(start, `it gives more than ${chunkLength} bytes`)
      for (let end = Math.min(out + length, result.length); out < end; out++) result[out] = result[out - distance] ?? 0
    }
  }
}

function damagedChunk(start: number, why: string): Error {
  return corrupt('E_COMPRESSED', `the LZNT1 chunk for byte ${start} of its unit is damaged: ${why}`)
}
