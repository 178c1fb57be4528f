import { createHash } from 'node:crypto'
import type { Codec } from '../block/types.js'
import { corrupt } from '../errors.js'
import { Xxh64 } from './stream/xxh64.js'

/** A tar header, before the member that holds the checksum. */
const headerLength = 512

/**
 * Pieces of an XVA: bytes as they are, a tar header, and the content of the next member, which is their checksum in
 * hexadecimal. The piece ends at a multiple of 512 bytes.
 */
export const sha1PieceCodec: Codec = piece('xva-sha1', 'SHA-1', 40, (bytes) =>
  createHash('sha1').update(bytes).digest('hex'),
)
export const xxh64PieceCodec: Codec = piece('xva-xxh64', 'xxHash', 16, (bytes) => {
  const hash = new Xxh64()
  hash.update(bytes)
  return hash.digest().toString(16).padStart(16, '0')
})

function piece(id: string, title: string, digits: number, sumOf: (bytes: Uint8Array) => string): Codec {
  return {
    id,
    decode(stored, target) {
      const length = stored.length - headerLength - digits
      if (length < target.length)
        throw corrupt('E_COMPRESSED', `${Math.max(0, length)} bytes are stored instead of ${target.length}`)
      const content = stored.subarray(0, length)
      const recorded = Buffer.from(stored.subarray(-digits)).toString('latin1').toLowerCase()
      const sum = sumOf(content)
      if (sum !== recorded)
        throw corrupt('E_COMPRESSED', `its ${title} is ${sum}, the one recorded is ${JSON.stringify(recorded)}`)
      target.set(content.subarray(0, target.length))
    },
  }
}
