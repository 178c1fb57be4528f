import { corrupt } from '../errors.js'
import { hostName } from '../sys/host-fs.js'
import type { ByteStore } from './types.js'

/**
 * A text file as a whole: UTF-8, or UTF-16 with a byte order mark. Bytes that are no UTF-8 stay as names of files have
 * them (src/sys/host-fs.ts). @param most bytes that such a file can have.
 * @throws ImageError corrupt E_TOO_LARGE, E_READ.
 */
export function documentText(store: ByteStore, most: number): string {
  const { name, size } = store
  if (size > most)
    throw corrupt('E_TOO_LARGE', `${name} has ${size} bytes; a file of its kind has at most ${most}`, {
      details: { size },
    })
  const bytes = new Uint8Array(size)
  store.read(0, bytes)
  const [first, second] = bytes
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes)
  return hostName(bytes.subarray(first === 0xef && second === 0xbb && bytes[2] === 0xbf ? 3 : 0))
}
