import { crc32c } from '../../binary/checksum.js'
import { viewOf } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { posixMode } from '../entries.js'
import type { FileMap } from '../file-map.js'
import type { FileNode } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { xfsInodeFlags, xfsTime } from './entries.js'
import type { XfsGeometry } from './free-space.js'
import { inodeChecksum, inodeCore, inodeMore } from './structs.js'

/** The geometry, and what reading files needs besides. */
export interface XfsFiles extends XfsGeometry {
  readonly inodeSize: number
  /** Numbers of inodes: how many of their low bits count within a block, and within a group. */
  readonly logInodesPerBlock: number
  readonly logGroupBlocks: number
  readonly folderBlockSize: number
  readonly fileTypes: boolean
  readonly ignoresCase: boolean
  /** Whether the owner of each block is recorded, and whether it was written (rmapbt). */
  readonly hasReverseMap: boolean
  /** Features that matter only where something is written: one that is not known, or a log that is not empty. */
  readonly unknownToWriters: string | undefined
}

const formats = { device: 0, local: 1, extents: 2, tree: 3 }

/** An inode, with what lies in it. */
export class XfsNode implements FileNode {
  readonly kind: FileNode['kind']
  readonly size: number
  readonly mode: number
  readonly owner: number
  readonly group: number
  readonly modified: bigint
  readonly accessed: bigint
  readonly created?: bigint
  readonly id: string
  readonly links: number
  target?: string
  readonly number: bigint
  /** How the content is stored: 1 in the inode, 2 as a list of extents, 3 as a tree of them. */
  readonly format: number
  readonly extents: number
  /** Whether its blocks may belong to other files too (reflink). */
  readonly isShared: boolean
  /** Byte of the volume where it lies, and what stands there. */
  readonly position: number
  readonly bytes: Uint8Array
  /** The part of the inode where content, or what leads to it, lies. */
  readonly fork: Uint8Array
  map: FileMap | undefined

  constructor(number: bigint, position: number, bytes: Uint8Array, values: StructValues<typeof inodeCore>) {
    const more = values.version === 3 ? inodeMore.read(bytes) : undefined
    const start = values.version === 3 ? inodeMore.size : inodeCore.size
    const { bigTime, manyExtents, isShared } = xfsInodeFlags(values.flags, more?.flags ?? 0n)
    const { kind, permissions } = posixMode(values.mode)
    this.number = number
    this.position = position
    this.bytes = bytes
    this.isShared = isShared
    this.kind = kind
    this.size = kind === 'file' || kind === 'directory' || kind === 'link' ? values.size : 0
    this.mode = permissions
    this.owner = values.owner
    this.group = values.group
    this.modified = xfsTime(values.modified, bigTime)
    this.accessed = xfsTime(values.accessed, bigTime)
    if (more !== undefined) this.created = xfsTime(more.created, bigTime)
    this.id = `inode ${number}`
    this.links = values.version === 1 ? values.oldLinks : values.links
    this.format = values.format
    this.extents = manyExtents ? Number(values.manyExtents) : values.extents
    const end = values.forkOffset === 0 ? bytes.length : start + values.forkOffset * 8
    this.fork = bytes.subarray(start, Math.min(end, bytes.length))
  }

  get isLocal(): boolean {
    return this.format === formats.local
  }

  get isTree(): boolean {
    return this.format === formats.tree
  }

  get hasExtents(): boolean {
    return this.format === formats.extents || this.format === formats.tree
  }
}

/** @throws ImageError corrupt E_FS_CORRUPT: no such inode, a wrong checksum; unsupported E_FS_FEATURE (realtime). */
export function readXfsInode(reader: VolumeReader, files: XfsFiles, number: bigint): XfsNode {
  const position = inodePosition(files, number)
  if (position === undefined) throw damaged('XFS', `inode ${number} is named, and there is no room for it`)
  const bytes = reader.bytes(position, files.inodeSize)
  const values = inodeCore.read(bytes)
  if (values.magic !== 'IN') throw damaged('XFS', `there is no inode where inode ${number} should be`, position)
  if (values.version < 1 || values.version > 3 || (values.version === 3) !== (files.version === 5))
    throw damaged('XFS', `inode ${number} has version ${values.version}`, position)
  if (values.version === 3) {
    if (!littleChecksumHolds(bytes, inodeChecksum))
      throw damaged('XFS', `the checksum of inode ${number} is wrong`, position)
    if (inodeMore.read(bytes).number !== number)
      throw damaged('XFS', `the inode at the place of inode ${number} has another number`, position)
  }
  if (values.mode === 0) throw damaged('XFS', `inode ${number} is named, and it is free`, position)
  if (posixMode(values.mode).kind === 'file' && xfsInodeFlags(values.flags, 0n).isRealtime)
    throw unsupported('E_FS_FEATURE', `inode ${number} of the XFS filesystem lies in its realtime part`)
  return new XfsNode(number, position, bytes, values)
}

/** Checksums are little-endian, the one such number of their structures. */
export function littleChecksumHolds(bytes: Uint8Array, at: number): boolean {
  return littleChecksum(bytes, at) === viewOf(bytes).getUint32(at, true)
}

/** The checksum that is to stand at byte `at`. */
function littleChecksum(bytes: Uint8Array, at: number): number {
  return crc32c(bytes.subarray(at + 4), crc32c(zeros, crc32c(bytes.subarray(0, at))))
}

/** The bytes of an inode with another size, and the checksum that they are to have. */
export function resizedInode(bytes: Uint8Array, version: number, size: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  const view = viewOf(changed)
  view.setBigUint64(inodeCore.fields.size.offset, BigInt(size))
  if (version === 5) view.setUint32(inodeChecksum, littleChecksum(changed, inodeChecksum), true)
  return changed
}

const zeros = new Uint8Array(4)

/** A number is made of the group's, the block's within it, and the place in the block. */
function inodePosition(files: XfsFiles, number: bigint): number | undefined {
  const { logInodesPerBlock, logGroupBlocks, groups, groupBlocks, blocks, blockSize, inodeSize } = files
  if (number <= 0n || number >= 2n ** 53n) return undefined
  const value = Number(number)
  const within = value % 2 ** logInodesPerBlock
  const block = Math.floor(value / 2 ** logInodesPerBlock) % 2 ** logGroupBlocks
  const group = Math.floor(value / 2 ** (logInodesPerBlock + logGroupBlocks))
  if (group >= groups || block >= groupBlocks || group * groupBlocks + block >= blocks) return undefined
  return (group * groupBlocks + block) * blockSize + within * inodeSize
}
