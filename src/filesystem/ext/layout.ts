import { ceilDivide, isPowerOfTwo } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { extFeatures, type ExtFeatures } from './entries.js'
import type { extSuperblock } from './structs.js'
import { superblockPosition } from './structs.js'

/** 128 TiB with the usual groups of 128 MiB. */
const maximumGroups = 1024 * 1024

/**
 * The superblock, judged, and what follows from it: where groups, descriptors and inodes lie. Numbers of blocks unless
 * said.
 */
export class ExtLayout {
  readonly superblock: StructValues<typeof extSuperblock>
  readonly features: ExtFeatures
  /** ext2, ext3 or ext4. */
  readonly title: string
  readonly blockSize: number
  readonly blocks: number
  readonly freeBlocks: number
  readonly firstDataBlock: number
  readonly groups: number
  readonly blocksPerGroup: number
  /** Blocks of a cluster, which is what a bit of the bitmaps stands for: 1 without bigalloc. */
  readonly ratio: number
  readonly descriptorSize: number
  readonly inodeSize: number
  /** Blocks of a group's table of inodes. */
  readonly inodeTableLength: number
  readonly #descriptorsPerBlock: number
  /** Blocks of descriptors that lie behind every copy of the superblock, without those that meta_bg spreads. */
  readonly #leadingDescriptorBlocks: number

  /** @throws ImageError corrupt E_FS_CORRUPT: geometry that cannot be; unsupported E_FS_LIMIT. */
  constructor(superblock: StructValues<typeof extSuperblock>) {
    this.superblock = superblock
    this.features = extFeatures(superblock)
    this.title = this.features.version
    const { logBlockSize, firstDataBlock, blocksPerGroup, inodesPerGroup } = superblock
    if (logBlockSize > 6) throw this.#wrong(`the block size is 2^${10 + logBlockSize} bytes`)
    this.blockSize = 1024 * 2 ** logBlockSize
    const wide = this.features.has('64bit')
    this.blocks = superblock.blocksLow + (wide ? superblock.blocksHigh * 2 ** 32 : 0)
    this.freeBlocks = superblock.freeBlocksLow + (wide ? superblock.freeBlocksHigh * 2 ** 32 : 0)
    this.firstDataBlock = firstDataBlock
    this.#checkBlocks()
    this.ratio = this.#clusterRatio()
    this.blocksPerGroup = blocksPerGroup
    this.#checkGroup()
    this.groups = ceilDivide(this.blocks - firstDataBlock, blocksPerGroup)
    if (this.groups > maximumGroups)
      throw unsupported(
        'E_FS_LIMIT',
        `the ${this.title} filesystem has ${this.groups} groups of blocks, more than the ${maximumGroups} ` +
          'that are read',
      )
    this.inodeSize = superblock.revision === 0 ? 128 : superblock.inodeSize
    this.#checkInodes()
    this.inodeTableLength = ceilDivide(inodesPerGroup * this.inodeSize, this.blockSize)
    this.descriptorSize = wide ? superblock.descriptorSize : 32
    if (wide && (!isPowerOfTwo(this.descriptorSize) || this.descriptorSize < 64 || this.descriptorSize > 1024)) {
      throw this.#wrong(`a group descriptor is said to have ${this.descriptorSize} bytes`)
    }
    this.#descriptorsPerBlock = this.blockSize / this.descriptorSize
    const all = ceilDivide(this.groups, this.#descriptorsPerBlock)
    this.#leadingDescriptorBlocks = this.features.has('meta_bg')
      ? Math.min(all, superblock.firstMetaGroup)
      : all + superblock.reservedDescriptorBlocks
    if (this.#leadingDescriptorBlocks >= blocksPerGroup)
      throw this.#wrong(`${this.#leadingDescriptorBlocks} blocks of group descriptors do not fit a group`)
  }

  #checkBlocks(): void {
    const { blocks, blockSize, firstDataBlock, freeBlocks } = this
    if (!Number.isSafeInteger(blocks * blockSize)) throw this.#wrong(`it has ${blocks} blocks of ${blockSize} bytes`)
    if (firstDataBlock > 1 || firstDataBlock >= blocks)
      throw this.#wrong(`block ${firstDataBlock} is said to be the first of ${blocks}`)
    if (freeBlocks > blocks) throw this.#wrong(`${freeBlocks} of ${blocks} blocks are said to be free`)
  }

  #clusterRatio(): number {
    if (!this.features.has('bigalloc')) return 1
    const { logBlockSize, logClusterSize } = this.superblock
    if (logClusterSize < logBlockSize || logClusterSize > 20)
      throw this.#wrong(`the cluster size is 2^${10 + logClusterSize} bytes`)
    return 2 ** (logClusterSize - logBlockSize)
  }

  #checkGroup(): void {
    const { blocksPerGroup, clustersPerGroup } = this.superblock
    const bits = this.features.has('bigalloc') ? clustersPerGroup : blocksPerGroup
    if (bits === 0 || bits % 8 !== 0 || bits > this.blockSize * 8 || blocksPerGroup !== bits * this.ratio)
      throw this.#wrong(`a group is said to have ${blocksPerGroup} blocks and ${bits} clusters`)
  }

  #checkInodes(): void {
    const { inodes, inodesPerGroup } = this.superblock
    if (!isPowerOfTwo(this.inodeSize) || this.inodeSize < 128 || this.inodeSize > this.blockSize)
      throw this.#wrong(`an inode is said to have ${this.inodeSize} bytes`)
    if (inodesPerGroup === 0 || inodesPerGroup > this.blockSize * 8 || inodes > inodesPerGroup * this.groups)
      throw this.#wrong(`${inodes} inodes are said to be in ${this.groups} groups of ${inodesPerGroup}`)
  }

  /** Bytes of the filesystem. */
  get size(): number {
    return this.blocks * this.blockSize
  }

  groupStart(group: number): number {
    return this.firstDataBlock + group * this.blocksPerGroup
  }

  /** Blocks of a group: the last may be short. */
  groupLength(group: number): number {
    return Math.min(this.blocksPerGroup, this.blocks - this.groupStart(group))
  }

  /** Whether a group begins with a copy of the superblock. */
  hasSuperblock(group: number): boolean {
    if (group === 0) return true
    const { backupGroup0, backupGroup1 } = this.superblock
    if (this.features.has('sparse_super2')) return group === backupGroup0 || group === backupGroup1
    return !this.features.has('sparse_super') || group === 1 || [3, 5, 7].some((base) => isPowerOf(group, base))
  }

  /** Byte of the volume where a group's descriptor lies. */
  descriptorPosition(group: number): number {
    const index = Math.floor(group / this.#descriptorsPerBlock)
    const within = (group % this.#descriptorsPerBlock) * this.descriptorSize
    if (!this.features.has('meta_bg') || index < this.superblock.firstMetaGroup)
      return (this.#superblockBlock + 1 + index) * this.blockSize + within
    const first = index * this.#descriptorsPerBlock
    // Blocks of 1 KiB: block 0 is the boot block, and the superblock is block 1 even where block 0 counts as the first.
    const start = first === 0 ? this.#superblockBlock : this.groupStart(first)
    return (start + (this.hasSuperblock(first) ? 1 : 0)) * this.blockSize + within
  }

  /** Blocks at a group's start that hold copies of the superblock and of descriptors. */
  leadingBlocks(group: number): number {
    const extra = group === 0 ? this.#superblockBlock - this.firstDataBlock : 0
    const copy = this.hasSuperblock(group) ? 1 : 0
    if (!this.features.has('meta_bg')) return copy === 0 ? 0 : extra + 1 + this.#leadingDescriptorBlocks
    const index = Math.floor(group / this.#descriptorsPerBlock)
    if (index < this.superblock.firstMetaGroup) return copy === 0 ? 0 : extra + 1 + this.#leadingDescriptorBlocks
    const within = group % this.#descriptorsPerBlock
    return extra + copy + (within === 0 || within === 1 || within === this.#descriptorsPerBlock - 1 ? 1 : 0)
  }

  /** The block that holds the first superblock. */
  get #superblockBlock(): number {
    return Math.floor(superblockPosition / this.blockSize)
  }

  #wrong(message: string): Error {
    return damaged(this.title, message, superblockPosition)
  }
}

function isPowerOf(value: number, base: number): boolean {
  let power = base
  while (power < value) power *= base
  return power === value
}
