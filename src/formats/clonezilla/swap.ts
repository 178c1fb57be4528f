import { parseUuid } from '../../binary/guid.js'

const pageSize = 4096

/**
 * The header of a swap area, as mkswap makes it (kernel: union swap_header). @param size bytes of the partition.
 * Undefined where it is too small.
 */
export function swapHeader(size: number, uuid: string | undefined, label: string | undefined): Uint8Array | undefined {
  const pages = Math.floor(size / pageSize)
  if (pages < 10) return undefined
  const bytes = Buffer.alloc(pageSize)
  bytes.writeUInt32LE(1, 1024)
  bytes.writeUInt32LE(Math.min(pages - 1, 0xffffffff), 1028)
  const id = uuid === undefined ? undefined : parseUuid(uuid)
  if (id !== undefined) bytes.set(id, 1036)
  if (label !== undefined) bytes.write(label, 1052, 15, 'utf8')
  bytes.write('SWAPSPACE2', pageSize - 10, 'latin1')
  return bytes
}
