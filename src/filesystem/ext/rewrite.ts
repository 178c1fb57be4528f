import { viewOf } from '../../binary/integers.js'
import type { FileMap } from '../file-map.js'
import { fixed, mappedRewrite } from '../rewrite.js'
import type { FilePatch, VolumeWrite } from '../types.js'
import type { ExtGroups } from './groups.js'
import { sealedInode, type Inode } from './inode.js'
import { inlineContent, inlineHead } from './inline.js'
import { extInode } from './structs.js'

/** Features of a whole filesystem with which files are not changed in their place. */
const sealing = ['shared_blocks', 'read-only', 'orphan_present', 'mmp']

/**
 * What is to be written so that a file has other bytes. Blocks of data have no checksums; the inode has one, which
 * covers the size and what lies in the inode itself. @throws ImageError unsupported E_FILE_FIXED, E_FS_FEATURE.
 */
export function rewriteExtFile(
  groups: ExtGroups,
  inode: Inode,
  map: () => FileMap,
  patches: readonly FilePatch[],
  size: number,
): VolumeWrite[][] {
  requireChangeable(groups, inode)
  const { layout, reader } = groups
  const { title } = reader
  if (inode.flags.isInline) return rewriteInline(groups, inode, patches, size)
  return mappedRewrite(
    {
      title,
      map: map(),
      size: inode.size,
      unit: layout.blockSize,
      resized: (bytes) => [
        { position: inode.position, bytes: sealedInode(groups, inode, resizedExtInode(inode, bytes)) },
      ],
    },
    patches,
    size,
  )
}

/**
 * What a file and its filesystem must be like before the file is changed. @throws ImageError unsupported E_FILE_FIXED.
 */
export function requireChangeable({ layout, reader }: ExtGroups, { flags }: Inode): void {
  const { title } = reader
  const unknown = layout.features.unknownReadOnly
  if (unknown.length > 0) throw fixed(title, `it has features that are not known here: ${unknown.join(', ')}`)
  const sealed = sealing.find((name) => layout.features.has(name))
  if (sealed !== undefined) throw fixed(title, `the filesystem has the feature ${sealed}`)
  if (flags.isEncrypted || flags.isCompressed) throw fixed(title, 'it is encrypted or compressed')
  if (flags.isSealed) throw fixed(title, 'its content has checksums (verity)')
  if (flags.hasOwnInode) throw fixed(title, 'it holds an attribute')
}

/** The inode with another size. */
export function resizedExtInode({ bytes }: Inode, size: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  const view = viewOf(changed)
  view.setUint32(extInode.fields.sizeLow.offset, size % 2 ** 32, true)
  view.setUint32(extInode.fields.sizeHigh.offset, Math.floor(size / 2 ** 32), true)
  return changed
}

/** Content inside the inode: all of it is one write. */
function rewriteInline(groups: ExtGroups, inode: Inode, patches: readonly FilePatch[], size: number): VolumeWrite[][] {
  const { title } = groups.reader
  const { rest } = inlineContent(title, inode)
  const room = inlineHead + rest.length
  if (size > room) throw fixed(title, `it lies in its inode, which has room for ${room} bytes, and ${size} are needed`)
  const changed = resizedExtInode(inode, size)
  // The attribute lies behind the fields of the inode, of which it is a view.
  const restStart = rest.length === 0 ? 0 : rest.byteOffset - inode.bytes.byteOffset
  for (const { offset, bytes } of patches)
    for (const [index, byte] of bytes.entries()) {
      const at = offset + index
      changed[at < inlineHead ? extInode.fields.block.offset + at : restStart + at - inlineHead] = byte
    }
  return [[{ position: inode.position, bytes: sealedInode(groups, inode, changed) }]]
}
