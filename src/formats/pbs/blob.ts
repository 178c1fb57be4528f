import { crc32 } from 'node:zlib'
import { hex32 } from '../../binary/hex.js'
import { decodeZstdUpTo } from '../../codec/zstd.js'
import { corrupt, isImageError, unsupported, type ImageError } from '../../errors.js'
import { blobHeader, blobKinds } from './structs.js'

/**
 * What a chunk or a small file holds. @param most bytes that it may have.
 * @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_CHECKSUM, E_COMPRESSED; unsupported E_ENCRYPTED.
 */
export function blobContent(bytes: Uint8Array, name: string, most: number): Uint8Array {
  if (bytes.length < blobHeader.size) throw corrupt('E_TRUNCATED', `${name} has only ${bytes.length} bytes`)
  const { magic, checksum } = blobHeader.read(bytes)
  const kind = blobKinds[Buffer.from(magic).toString('hex')]
  if (kind === undefined) throw corrupt('E_HEADER', `${name} is no chunk of Proxmox Backup Server (header byte 0)`)
  const stored = bytes.subarray(blobHeader.size)
  const sum = crc32(stored)
  if (sum !== checksum)
    throw corrupt('E_CHECKSUM', `${name}: the CRC-32 is 0x${hex32(sum)}, the one stored 0x${hex32(checksum)}`)
  if (kind === 'encrypted') throw encrypted(name)
  if (kind === 'plain') return stored
  const content = new Uint8Array(most)
  try {
    return content.subarray(0, decodeZstdUpTo(stored, content))
  } catch (error) {
    if (!isImageError(error)) throw error
    throw corrupt('E_COMPRESSED', `${name} does not decode: ${error.message}`)
  }
}

/** What is encrypted is read by Proxmox's own client alone. */
export function encrypted(name: string): ImageError {
  return unsupported('E_ENCRYPTED', `${name} is encrypted`, {
    hint: 'Restore the disk with proxmox-backup-client and its key.',
  })
}
