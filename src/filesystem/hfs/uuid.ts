import { createHash } from 'node:crypto'
import { uuidText } from '../../binary/guid.js'

const namespace = Buffer.from('b3e20f39f29211d697a400306543ecac', 'hex')

/**
 * The UUID that systems make of the eight bytes of Finder information: version 3, in a namespace of Apple's. Undefined:
 * there is none.
 */
export function hfsUuid(identifier: Uint8Array): string | undefined {
  if (identifier.every((byte) => byte === 0)) return undefined
  const digest = createHash('md5').update(namespace).update(identifier).digest()
  digest[6] = 0x30 + ((digest[6] ?? 0) % 16)
  digest[8] = 0x80 + ((digest[8] ?? 0) % 64)
  return uuidText(digest)
}
