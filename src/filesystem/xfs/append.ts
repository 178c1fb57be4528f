import { roundUp } from '../../binary/integers.js'
import { fixed } from '../rewrite.js'
import type { VolumeWrite } from '../types.js'
import { ownExtents, unwrittenBit, type XfsExtent } from './extents.js'
import { resizedInode, type XfsFiles, type XfsNode } from './inode.js'

/** Blocks that are set aside beyond what is needed are written as zeros: no more than these. */
const mostZeros = 64 * 1048576

/** What is written at once, or not at all, on any disk. */
const sector = 512

/**
 * What is to be written so that a file goes on with `bytes` in blocks that were allocated for it beyond its end
 * (`fallocate --keep-size`). Nothing is allocated. The inode, which lies in one sector, makes the file longer, and its
 * extents written.
 * @throws ImageError unsupported E_FILE_FIXED; corrupt E_FS_CORRUPT.
 */
export function appendToXfsFile(files: XfsFiles, node: XfsNode, bytes: Uint8Array): VolumeWrite[][] {
  const size = node.size + bytes.length
  const { blockSize, hasReverseMap } = files
  const extents = ownExtents(files, node)
  if (extents === undefined) throw fixed('XFS', 'its extents lie in a tree')
  const end = roundUp(size, blockSize)
  const room = allocatedEnd(extents, node.size)
  if (room < end)
    throw fixed('XFS', `it has ${node.size} bytes, its blocks have room for ${room}, and ${size} are needed`)
  if (hasReverseMap) throw fixed('XFS', 'what was never written is recorded a second time (rmapbt)')
  const behind = extents.filter(({ offset, length }) => offset + length > node.size && offset < end)
  const writes = behind.flatMap((extent) => writesIn(extent, node.size, bytes))
  const changed = Uint8Array.from(node.bytes)
  for (const { isUnwritten, at } of behind) {
    if (!isUnwritten) continue
    const place = node.fork.byteOffset - node.bytes.byteOffset + at
    if (place >= sector) throw fixed('XFS', `its extents lie behind the first ${sector} bytes of its inode`)
    changed[place] = (changed[place] ?? 0) - unwrittenBit
  }
  return [writes, [{ position: node.position, bytes: resizedInode(changed, files.version, size) }]]
}

/** How far the extents reach without a gap from the last byte of a file on. */
function allocatedEnd(extents: readonly XfsExtent[], size: number): number {
  let end = size
  for (const { offset, length } of extents) if (offset <= end) end = Math.max(end, offset + length)
  return end
}

/** What is written into an extent: the bytes that fall into it, and zeros to its end, where it was never written. */
function writesIn(
  { offset, length, position, isUnwritten }: XfsExtent,
  size: number,
  bytes: Uint8Array,
): VolumeWrite[] {
  const from = Math.max(offset, size)
  if (isUnwritten && from > offset) throw fixed('XFS', 'its last block was never written')
  const part = bytes.subarray(from - size, offset + length - size)
  if (!isUnwritten) return [{ position: position + from - offset, bytes: part }]
  if (length - part.length > mostZeros) throw fixed('XFS', `an extent of ${length} bytes is set aside for it`)
  const all = new Uint8Array(length)
  all.set(part)
  return [{ position, bytes: all }]
}
