import { damaged } from '../damage.js'
import type { VolumeReader } from '../volume-reader.js'
import { ChunkMap } from './chunks.js'
import { chunkItem, chunkStripe, itemTypes, systemChunksStart, treeKey } from './structs.js'
import { TreeWalker, type BtrfsSuperblock } from './trees.js'

/**
 * The chunks of a filesystem, and a walker of its trees. @param raw the superblock's bytes. @throws ImageError corrupt
 * E_FS_CORRUPT; unsupported E_FS_FEATURE.
 */
export function openTrees(
  reader: VolumeReader,
  superblock: BtrfsSuperblock,
  raw: Uint8Array,
): { readonly chunks: ChunkMap; readonly walker: TreeWalker } {
  const chunks = new ChunkMap(reader.title, superblock.deviceId, reader.size)
  const walker = new TreeWalker(reader, superblock, chunks)
  // The chunks that hold the tree of chunks stand in the superblock.
  addSystemChunks(chunks, superblock, raw, reader.title)
  for (const { type, offset, data } of walker.items(superblock.chunkRoot, superblock.chunkRootLevel))
    if (type === itemTypes.chunk) chunks.add(offset, data)
  return { chunks, walker }
}

function addSystemChunks(
  chunks: ChunkMap,
  { systemChunksLength }: BtrfsSuperblock,
  raw: Uint8Array,
  title: string,
): void {
  const end = systemChunksStart + systemChunksLength
  if (systemChunksLength > 2048)
    throw damaged(title, `the superblock is said to have ${systemChunksLength} bytes of chunks`)
  for (let at = systemChunksStart; at < end;) {
    if (at + treeKey.size + chunkItem.size > end) throw damaged(title, "the superblock's chunks are cut short")
    const { type, offset } = treeKey.read(raw, at)
    const length = chunkItem.size + chunkItem.read(raw, at + treeKey.size).stripes * chunkStripe.size
    if (type !== itemTypes.chunk || at + treeKey.size + length > end)
      throw damaged(title, "the superblock's chunks are cut short")
    chunks.add(offset, raw.subarray(at + treeKey.size, at + treeKey.size + length))
    at += treeKey.size + length
  }
}
