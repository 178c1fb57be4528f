import { createHash } from 'node:crypto'
import type { ByteStore } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { decodeZstdUpTo } from '../../codec/zstd.js'
import { corrupt, hints, isImageError, unsupported } from '../../errors.js'
import { decodeFlags } from './entries.js'
import { blockHeader, footer, footerMark } from './structs.js'

/** A block of metadata; its bytes were not read yet. Positions are bytes of the file. */
export interface MetadataBlock {
  readonly name: string
  readonly position: number
  readonly length: number
  readonly digest: Uint8Array
  readonly compressed: boolean
}

const mostBlocks = 4096
const pieceLength = 4 * 1024 * 1024

/** Where the metadata of the file begins. @throws ImageError corrupt E_TRUNCATED, E_HEADER. */
export function firstBlock(store: ByteStore): number {
  const { name, size } = store
  const at = size - footer.size
  const bytes = new Uint8Array(footer.size)
  if (at >= 0) store.read(at, bytes)
  const values = footer.read(bytes)
  if (at < 0 || values.mark !== footerMark)
    throw corrupt('E_TRUNCATED', `${name} does not end as an image of Macrium Reflect does (${footerMark})`, {
      details: { position: Math.max(0, at), size },
      hint: hints.incomplete,
    })
  if (values.firstBlock + blockHeader.size > at)
    throw corrupt('E_HEADER', `${name}: the metadata begins at byte ${values.firstBlock}, the file ends at ${size}`, {
      details: { position: at },
    })
  return values.firstBlock
}

/**
 * The blocks from `position` on, up to the last of their list. @returns where the list ends.
 * @throws ImageError corrupt E_TRUNCATED, E_HEADER; unsupported E_ENCRYPTED.
 */
export function readBlocks(store: ByteStore, position: number): { blocks: readonly MetadataBlock[]; end: number } {
  const { name, size } = store
  const blocks: MetadataBlock[] = []
  const bytes = new Uint8Array(blockHeader.size)
  for (let at = position, isLast = false; ;) {
    if (isLast) return { blocks, end: at }
    if (blocks.length === mostBlocks)
      throw corrupt('E_HEADER', `${name}: more than ${mostBlocks} metadata blocks follow byte ${position}`)
    if (at + blockHeader.size > size)
      throw corrupt('E_TRUNCATED', `${name}: a metadata block begins at byte ${at}, the file ends at ${size}`, {
        details: { position: at, size },
        hint: hints.incomplete,
      })
    store.read(at, bytes)
    const { name: title, length, digest, flags } = blockHeader.read(bytes)
    if (!title.startsWith('$') || flags > 7)
      throw corrupt('E_HEADER', `${name}: no metadata block is at byte ${at}`, { details: { position: at } })
    if (at + blockHeader.size + length > size)
      throw corrupt('E_TRUNCATED', `${name}: the metadata block at byte ${at} passes the end of the file`, {
        details: { position: at, size },
        hint: hints.incomplete,
      })
    const { last, compressed, encrypted } = decodeFlags(flags)
    if (encrypted) throw unsupported('E_ENCRYPTED', `${name}: the metadata block at byte ${at} is encrypted`)
    blocks.push({
      name: title.padEnd(8, ' '),
      position: at + blockHeader.size,
      length,
      digest: Uint8Array.from(digest),
      compressed,
    })
    isLast = last
    at += blockHeader.size + length
  }
}

/** The content of a block, verified. @param most bytes that it may have. @throws ImageError corrupt. */
export function blockContent(store: ByteStore, block: MetadataBlock, most: number): Uint8Array {
  const { position, length, digest, compressed } = block
  if (length > most) throw tooLong(store, block, most)
  const stored = new Uint8Array(length)
  store.read(position, stored)
  if (Buffer.compare(createHash('md5').update(stored).digest(), digest) !== 0) throw badDigest(store, block)
  if (!compressed || length === 0) return stored
  // Few are as long as they may be.
  for (let room = Math.min(most, 64 * length + 65536); ; room = Math.min(most, 16 * room)) {
    const content = new Uint8Array(room)
    try {
      return content.subarray(0, decodeZstdUpTo(stored, content))
    } catch (error) {
      if (!isImageError(error)) throw error
      if (room === most)
        throw corrupt('E_COMPRESSED', `${store.name}: the metadata block at byte ${position}: ${error.message}`, {
          details: { position },
        })
    }
  }
}

/** Verifies a block that may be large. Gives how far it is. @throws ImageError corrupt E_CHECKSUM. */
export function* verifyBlock(store: ByteStore, block: MetadataBlock): Work<void> {
  const { position, length, digest } = block
  const hash = createHash('md5')
  const piece = new Uint8Array(Math.min(pieceLength, length))
  for (let at = 0; at < length; at += piece.length) {
    const bytes = piece.subarray(0, Math.min(piece.length, length - at))
    store.read(position + at, bytes)
    hash.update(bytes)
    yield { done: at + bytes.length, total: length }
  }
  if (Buffer.compare(hash.digest(), digest) !== 0) throw badDigest(store, block)
}

function badDigest({ name }: ByteStore, { name: title, position }: MetadataBlock): Error {
  return corrupt(
    'E_CHECKSUM',
    `${name}: the MD5 of the metadata block ${JSON.stringify(title.trim())} at byte ${position} is another than the ` +
      'one stored',
    { details: { position } },
  )
}

function tooLong({ name }: ByteStore, { position, length }: MetadataBlock, most: number): Error {
  return corrupt('E_HEADER', `${name}: the metadata block at byte ${position} has ${length} bytes, at most ${most}`, {
    details: { position },
  })
}
