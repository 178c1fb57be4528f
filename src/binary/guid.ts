import { createHash } from 'node:crypto'

/** The text of 16 bytes in plain order (RFC 9562): VHD. */
export function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/**
 * The 16 bytes of a text `xxxxxxxx-xxxx-…` in plain order, or undefined when the text is no UUID. Braces are allowed.
 */
export function parseUuid(text: string): Uint8Array | undefined {
  const bare = text.replace(/^\{(.*)\}$/, '$1')
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(bare)) return undefined
  return new Uint8Array(Buffer.from(bare.replaceAll('-', ''), 'hex'))
}

/**
 * Swaps between plain order and Microsoft's mixed order (first three groups little-endian): VHDX, GPT. Its own inverse.
 */
function swapGuid(bytes: Uint8Array): Uint8Array {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
  return Uint8Array.from(order, (index) => bytes[index] ?? 0)
}

/** The text of 16 bytes in Microsoft's mixed order, lower case. */
export function guidText(bytes: Uint8Array): string {
  return uuidText(swapGuid(bytes))
}

/** The 16 mixed-order bytes of a text, or undefined when the text is no GUID. */
export function parseGuid(text: string): Uint8Array | undefined {
  const plain = parseUuid(text)
  return plain === undefined ? undefined : swapGuid(plain)
}

/** A UUID that depends only on `uuid` and `name`, for images that need several: the same input gives the same file. */
export function derivedUuid(uuid: string, name: string): string {
  const digest = createHash('sha1').update(uuid.toLowerCase()).update('\0').update(name).digest()
  const bytes = Uint8Array.from(digest.subarray(0, 16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return uuidText(bytes)
}
