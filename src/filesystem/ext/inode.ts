import type { StructValues } from '../../binary/struct.js'
import { viewOf } from '../../binary/integers.js'
import { damaged } from '../damage.js'
import { posixMode } from '../entries.js'
import { inodeFlags } from './entries.js'
import type { ExtGroups } from './groups.js'
import { extInode, extInodeExtra } from './structs.js'

/** An inode as it is stored, with what follows from it. */
export interface Inode {
  readonly number: number
  /** Byte of the volume where it lies. */
  readonly position: number
  readonly bytes: Uint8Array
  readonly values: StructValues<typeof extInode>
  readonly mode: ReturnType<typeof posixMode>
  readonly flags: ReturnType<typeof inodeFlags>
  /** Bytes of content. */
  readonly size: number
  /** What the checksums of the blocks that belong to it begin with. */
  readonly seed: number
}

/** @throws ImageError corrupt E_FS_CORRUPT: no such inode, a wrong checksum, an impossible size. */
export function readInode(groups: ExtGroups, number: number): Inode {
  const { layout, reader } = groups
  const { inodes, inodesPerGroup } = layout.superblock
  if (number < 1 || number > inodes)
    throw damaged(reader.title, `inode ${number} is named, and there are inodes 1 to ${inodes}`)
  const { inodeTable } = groups.group(Math.floor((number - 1) / inodesPerGroup))
  const position = inodeTable * layout.blockSize + ((number - 1) % inodesPerGroup) * layout.inodeSize
  const bytes = reader.bytes(position, layout.inodeSize)
  const values = extInode.read(bytes)
  const mode = posixMode(values.mode)
  const size = values.sizeLow + (mode.kind === 'file' || mode.kind === 'directory' ? values.sizeHigh * 2 ** 32 : 0)
  const seed = groups.checksums.inodeSeed(number, values.generation)
  if (!checksumHolds(groups, bytes, values.checksumLow, seed))
    throw damaged(reader.title, `the checksum of inode ${number} is wrong`, position)
  if (!Number.isSafeInteger(size))
    throw damaged(reader.title, `inode ${number} is said to have ${size} bytes`, position)
  return { number, position, bytes, values, mode, flags: inodeFlags(values.flags), size, seed }
}

function checksumHolds({ checksums }: ExtGroups, bytes: Uint8Array, checksumLow: number, seed: number): boolean {
  if (!checksums.ofMetadata) return true
  const { low, high } = inodeChecksum(checksums, bytes, seed)
  return low === checksumLow && (high === undefined || high === viewOf(bytes).getUint16(highHalf.offset, true))
}

const { checksumHigh: highHalf } = extInodeExtra.fields

/** The checksum that an inode is to have; its high half where there is room for it. */
function inodeChecksum(
  checksums: ExtGroups['checksums'],
  bytes: Uint8Array,
  seed: number,
): { readonly low: number; readonly high: number | undefined } {
  const hasHigh = extraSize(bytes) >= highHalf.offset + highHalf.length - extInode.size
  const zeroed = extInode.without('checksumLow', bytes, bytes.length)
  if (hasHigh) zeroed.fill(0, highHalf.offset, highHalf.offset + highHalf.length)
  const checksum = checksums.ofInode(seed, zeroed)
  return { low: checksum % 65536, high: hasHigh ? Math.floor(checksum / 65536) : undefined }
}

/** The bytes of an inode after a change of them, with the checksum that they are to have. */
export function sealedInode({ checksums }: ExtGroups, { seed }: Inode, bytes: Uint8Array): Uint8Array {
  if (!checksums.ofMetadata) return bytes
  const { low, high } = inodeChecksum(checksums, bytes, seed)
  const view = viewOf(bytes)
  view.setUint16(extInode.fields.checksumLow.offset, low, true)
  if (high !== undefined) view.setUint16(highHalf.offset, high, true)
  return bytes
}

/** Bytes behind the first 128 that are fields; attributes follow them. */
export function extraSize(bytes: Uint8Array): number {
  if (bytes.length < extInodeExtra.fields.extraSize.offset + 2) return 0
  return Math.min(viewOf(bytes).getUint16(extInodeExtra.fields.extraSize.offset, true), bytes.length - extInode.size)
}

/** The times of an inode in nanoseconds since 1970. */
export function inodeTimes({ bytes, values }: Inode): {
  readonly modified: bigint
  readonly accessed: bigint
  readonly created: bigint | undefined
} {
  const { modifiedExtra, accessedExtra, created, createdExtra } = extInodeExtra.fields
  const end = extInode.size + extraSize(bytes)
  const view = viewOf(bytes)
  const extra = (field: { readonly offset: number }): number =>
    field.offset + 4 <= end ? view.getUint32(field.offset, true) : 0
  return {
    modified: time(values.modified, extra(modifiedExtra)),
    accessed: time(values.accessed, extra(accessedExtra)),
    created: created.offset + 4 <= end ? time(view.getUint32(created.offset, true), extra(createdExtra)) : undefined,
  }
}

/** Seconds are signed; two bits of `extra` continue them, the others are nanoseconds. */
function time(seconds: number, extra: number): bigint {
  const signed = seconds >= 2 ** 31 ? seconds - 2 ** 32 : seconds
  return BigInt(signed + (extra % 4) * 2 ** 32) * 1_000_000_000n + BigInt(Math.floor(extra / 4))
}
