import { viewOf } from '../../binary/integers.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import type { FileMap } from '../file-map.js'
import type { ExtGroups } from './groups.js'
import type { Inode } from './inode.js'
import { inlineContent } from './inline.js'

/** Room for some twenty million names. */
const maximumFolder = 1024 * 1024 * 1024
const entryHead = 8
/** The first number in a folder that lies in its inode is that of the folder above. */
const inlineParent = 4
/** A checksum looks like an entry without a name, of this length and type, at the end of a block. */
const tailLength = 12
const tailType = 0xde

/** A name in a folder, as it is stored. */
export interface StoredEntry {
  readonly inode: number
  readonly name: Uint8Array
}

/**
 * The names of a folder in the order of the disk. The tree over them (htree) looks like entries without a name, and is
 * passed over.
 * @throws ImageError corrupt E_FS_CORRUPT; unsupported E_FS_LIMIT, E_FS_FEATURE (encrypted).
 */
export function* storedEntries(groups: ExtGroups, inode: Inode, map: () => FileMap): Generator<StoredEntry> {
  const { title } = groups.reader
  if (inode.flags.isEncrypted) throw unsupported('E_FS_FEATURE', `the names of folder ${inode.number} are encrypted`)
  if (inode.flags.isInline) {
    const { head, rest } = inlineContent(title, inode)
    yield* blockEntries(groups, inode, head.subarray(inlineParent))
    yield* blockEntries(groups, inode, rest)
    return
  }
  const { blockSize } = groups.layout
  if (inode.size > maximumFolder)
    throw unsupported(
      'E_FS_LIMIT',
      `folder ${inode.number} has ${inode.size} bytes, more than the ${maximumFolder} that are read`,
    )
  if (inode.size % blockSize !== 0)
    throw damaged(
      title,
      `folder ${inode.number} has ${inode.size} bytes, which is no whole number of blocks`,
      inode.position,
    )
  const blocks = map()
  for (const run of blocks.dataRuns(inode.size)) {
    for (let offset = run.offset; offset < run.offset + run.length; offset += blockSize) {
      const { position = 0 } = blocks.at(offset)
      const bytes = groups.reader.bytes(position, blockSize)
      if (!isTreeNode(inode, offset, bytes)) checkTail(groups, inode, bytes)
      yield* blockEntries(groups, inode, bytes)
    }
  }
}

/**
 * A block of the tree over the names: the first one, and each whose only entry has no name. Its checksum lies
 * elsewhere.
 */
function isTreeNode({ flags }: Inode, offset: number, bytes: Uint8Array): boolean {
  const view = viewOf(bytes)
  return (
    flags.isIndexed &&
    (offset === 0 ||
      (view.getUint32(0, true) === 0 && recordLength(view.getUint16(4, true), bytes.length) === bytes.length))
  )
}

function checkTail({ checksums, reader }: ExtGroups, inode: Inode, bytes: Uint8Array): void {
  if (!checksums.ofMetadata) return
  const at = bytes.length - tailLength
  const view = viewOf(bytes)
  if (
    view.getUint32(at, true) !== 0 ||
    view.getUint16(at + 4, true) !== tailLength ||
    view.getUint8(at + 6) !== 0 ||
    view.getUint8(at + 7) !== tailType
  )
    return
  if (checksums.ofInode(inode.seed, bytes.subarray(0, at)) !== view.getUint32(at + 8, true))
    throw damaged(reader.title, `the checksum of a block of folder ${inode.number} is wrong`, inode.position)
}

function* blockEntries({ layout, reader }: ExtGroups, inode: Inode, bytes: Uint8Array): Generator<StoredEntry> {
  const view = viewOf(bytes)
  const wrong = (message: string): Error => damaged(reader.title, `folder ${inode.number}: ${message}`, inode.position)
  for (let at = 0; at + entryHead <= bytes.length;) {
    const length = recordLength(view.getUint16(at + 4, true), layout.blockSize)
    // Without the type of the file in the entry, its byte belongs to the length of the name.
    const nameLength = layout.features.has('filetype') ? view.getUint8(at + 6) : view.getUint16(at + 6, true)
    if (length < entryHead || length % 4 !== 0 || at + length > bytes.length)
      throw wrong(`an entry is said to have ${length} bytes`)
    const number = view.getUint32(at, true)
    if (number !== 0) {
      if (entryHead + nameLength > length)
        throw wrong(`a name of ${nameLength} bytes does not fit its entry of ${length}`)
      const name = bytes.subarray(at + entryHead, at + entryHead + nameLength)
      if (!isDots(name)) yield { inode: number, name }
    }
    at += length
  }
}

/**
 * Blocks of 64 KiB are longer than 16 bits say: such an entry has 65535 or 0, and of others the low two bits are the
 * high ones.
 */
function recordLength(stored: number, blockSize: number): number {
  if (blockSize < 65536) return stored
  return stored === 65535 || stored === 0 ? blockSize : stored - (stored % 4) + (stored % 4) * 65536
}

function isDots(name: Uint8Array): boolean {
  return (name.length === 1 || name.length === 2) && name.every((byte) => byte === 0x2e)
}
