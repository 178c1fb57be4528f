import { createCipheriv } from 'node:crypto'
import { isZero } from '../binary/zero.js'

/** Bytes of a tag, and of the key that tags are made with. */
export const tagLength = 16
export const tagKeyLength = 16

/** Bytes of the nonce of AES-GCM. */
const nonceLength = 12

/**
 * The tags of the parts of a piece of a disk, one behind the other: of each the GMAC (NIST SP 800-38D) with AES-128 of
 * its bytes, with its offset as the nonce; zeros where all of the part is zero. A tag says whether a part is what it
 * was, five times as quickly as its digest: two that differ have the same one with a probability below 2^-110, whatever
 * is in them, as long as who writes the disk does not know the key.
 * @param offset where on the disk the piece begins, in bytes. @param length bytes of a part.
 */
export function partTags(bytes: Uint8Array, offset: number, length: number, key: Uint8Array): Uint8Array {
  const tags = new Uint8Array(Math.ceil(bytes.length / length) * tagLength)
  for (let at = 0, index = 0; at < bytes.length; at += length, index++) {
    const part = bytes.subarray(at, Math.min(bytes.length, at + length))
    if (!isZero(part)) tags.set(tagOf(part, offset + at, key), index * tagLength)
  }
  return tags
}

function tagOf(part: Uint8Array, offset: number, key: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(nonceLength)
  new DataView(nonce.buffer).setBigUint64(0, BigInt(offset), true)
  const cipher = createCipheriv('aes-128-gcm', key, nonce)
  cipher.setAAD(part)
  cipher.final()
  return cipher.getAuthTag()
}
