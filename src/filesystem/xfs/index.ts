import { crc32c } from '../../binary/checksum.js'
import { isPowerOfTwo, viewOf } from '../../binary/integers.js'
import type { BlockSource, Fact } from '../../block/types.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { Issues, requireTrustworthy } from '../identification.js'
import { setUuid, utf8Label } from '../labels.js'
import type { Filesystem, FilesystemFamily, FilesystemState, ByteRun, UsedOptions } from '../types.js'
import { volumeRuns } from '../unit-runs.js'
import { bytesAt, VolumeReader } from '../volume-reader.js'
import { hasFileTypes, hasReverseMap, ignoresCase } from './entries.js'
import { xfsUsedBlocks, type XfsGeometry } from './free-space.js'
import type { XfsFiles } from './inode.js'
import { isLogEmpty } from './log.js'
import { xfsSuperblock } from './structs.js'
import { XfsTree } from './tree.js'

const mostGroups = 1024 * 1024
/** Features of version 5 (incompat) up to `parent`: none of them changes how free space or files are recorded. */
const knownIncompatible = 0x100
/** Those that matter to writers (ro_compat) up to `inobtcount`: none changes what a file's inode and blocks are. */
const knownReadOnly = 0x10
const needsRepair = 0x10

/** XFS (the sheet's section 7). */
export const xfs: FilesystemFamily = {
  id: 'xfs',
  identify: (volume) => {
    const bytes = bytesAt(volume, 0, 512)
    return bytes === undefined || xfsSuperblock.read(bytes).magic !== 'XFSB'
      ? []
      : [new Identification(volume, bytes).filesystem()]
  },
}

class Identification {
  readonly #reader: VolumeReader
  readonly #superblock
  readonly #version: number
  readonly #issues = new Issues('XFS')

  constructor(volume: BlockSource, bytes: Uint8Array) {
    this.#reader = new VolumeReader(volume, 'XFS')
    this.#superblock = xfsSuperblock.read(bytes)
    this.#version = this.#superblock.version % 16
  }

  filesystem(): Filesystem {
    const { label, uuid, freeBlocks } = this.#superblock
    const geometry = this.#issues.attempt(() => this.#geometry())
    const state = (geometry === undefined ? undefined : this.#issues.attempt(() => this.#state(geometry))) ?? 'unknown'
    const text = utf8Label(label)
    const id = setUuid(uuid)
    const size = geometry === undefined ? undefined : geometry.blocks * geometry.blockSize
    if (size !== undefined) this.#issues.checkSize(size, this.#reader.size)
    const free =
      geometry === undefined || freeBlocks > BigInt(geometry.blocks)
        ? undefined
        : Number(freeBlocks) * geometry.blockSize
    return {
      type: 'xfs',
      title: 'XFS',
      kind: 'filesystem',
      state,
      facts: this.#facts(),
      issues: this.#issues.list,
      label: text,
      uuid: id,
      ...(geometry === undefined || size === undefined ? {} : { blockSize: geometry.blockSize, size }),
      ...(free === undefined || size === undefined ? {} : { free, used: size - free }),
      usedRuns: (options) => this.#usedRuns(state, options),
      openTree: () => new XfsTree(this.#reader, this.#files(), this.#superblock.rootInode),
    }
  }

  #geometry(): XfsGeometry {
    const { blockSize, blocks, groupBlocks, groups, sectorSize, logBlockSize } = this.#superblock
    const version = this.#version
    if (version !== 4 && version !== 5) throw unsupported('E_FS_FEATURE', `the XFS filesystem has version ${version}`)
    if (blockSize < 512 || blockSize > 65536 || blockSize !== 2 ** logBlockSize)
      throw damaged('XFS', `the block size is said to be ${blockSize} bytes`, 0)
    if (!isPowerOfTwo(sectorSize) || sectorSize < 512 || sectorSize > 32768)
      throw damaged('XFS', `the sector size is said to be ${sectorSize} bytes`, 0)
    if (blocks * BigInt(blockSize) > BigInt(Number.MAX_SAFE_INTEGER))
      throw damaged('XFS', `it is said to have ${blocks} blocks`, 0)
    const count = Number(blocks)
    if (groups === 0 || groups > mostGroups || (groups - 1) * groupBlocks >= count || groups * groupBlocks < count)
      throw damaged('XFS', `${count} blocks are said to be in ${groups} groups of ${groupBlocks}`, 0)
    const sector = this.#reader.bytes(0, sectorSize)
    if (version === 5 && !superblockHolds(sector)) throw damaged('XFS', 'the checksum of the superblock is wrong', 0)
    return { version, blockSize, sectorSize, blocks: count, groups, groupBlocks }
  }

  /** What reading files needs. @throws ImageError corrupt E_FS_CORRUPT; unsupported E_FS_FEATURE. */
  #files(): XfsFiles {
    const geometry = this.#geometry()
    const { blockSize, blocks, groupBlocks, version } = geometry
    this.#requireKnown(version)
    const { inodeSize, logInodesPerBlock, logGroupBlocks, logFolderBlocks } = this.#superblock
    if (
      !isPowerOfTwo(inodeSize) ||
      inodeSize < 256 ||
      inodeSize > 2048 ||
      inodeSize * 2 ** logInodesPerBlock !== blockSize
    )
      throw damaged('XFS', `an inode is said to have ${inodeSize} bytes`, 0)
    if (logGroupBlocks > 31 || 2 ** logGroupBlocks < Math.min(groupBlocks, blocks))
      throw damaged('XFS', `a group is said to have 2^${logGroupBlocks} blocks, and ${groupBlocks}`, 0)
    const folderBlockSize = blockSize * 2 ** Math.min(logFolderBlocks, 16)
    if (folderBlockSize > 65536) throw damaged('XFS', `a block of a folder is said to have ${folderBlockSize} bytes`, 0)
    return {
      ...geometry,
      inodeSize,
      logInodesPerBlock,
      logGroupBlocks,
      folderBlockSize,
      fileTypes: hasFileTypes(this.#superblock),
      ignoresCase: ignoresCase(this.#superblock.version),
      hasReverseMap: version === 5 && hasReverseMap(this.#superblock.readOnlyCompatible),
      unknownToWriters: version === 5 ? this.#unknownToWriters() : undefined,
    }
  }

  #unknownToWriters(): string | undefined {
    const { readOnlyCompatible, logIncompatible } = this.#superblock
    if (readOnlyCompatible >= knownReadOnly)
      return `the filesystem has features that are not known here: 0x${readOnlyCompatible.toString(16)}`
    return logIncompatible === 0 ? undefined : 'the log of the filesystem is not empty'
  }

  #requireKnown(version: number): void {
    const { incompatible } = this.#superblock
    if (version === 5 && incompatible >= knownIncompatible)
      throw unsupported(
        'E_FS_FEATURE',
        `the XFS filesystem has features that are not known here: 0x${incompatible.toString(16)}`,
      )
  }

  #state({ blockSize, groupBlocks, blocks, version }: XfsGeometry): FilesystemState {
    const { logStart, logBlocks, logGroupBlocks, inProgress, incompatible } = this.#superblock
    if (inProgress !== 0 || (version === 5 && Math.floor(incompatible / needsRepair) % 2 === 1)) return 'dirty'
    // A log on another device.
    if (logStart === 0n) return 'unknown'
    const group = Number(logStart / 2n ** BigInt(Math.min(logGroupBlocks, 32)))
    const block = group * groupBlocks + Number(logStart % 2n ** BigInt(Math.min(logGroupBlocks, 32)))
    if (block + logBlocks > blocks) throw damaged('XFS', `its log is said to be at block ${block} of ${blocks}`, 0)
    return isLogEmpty(this.#reader, block * blockSize, logBlocks * blockSize) ? 'clean' : 'dirty'
  }

  #facts(): Fact[] {
    const { sectorSize, logBlocks, inodeSize, groups, compatible, readOnlyCompatible, incompatible, logIncompatible } =
      this.#superblock
    const word = (name: string, value: number): Fact => ({ name, value: `0x${value.toString(16)}` })
    return [
      { name: 'format', value: `v${this.#version}` },
      { name: 'sectorSize', value: sectorSize, unit: 'bytes' },
      { name: 'logBlocks', value: logBlocks, unit: 'count' },
      { name: 'groups', label: 'allocation groups', value: groups, unit: 'count' },
      { name: 'inodeSize', value: inodeSize, unit: 'bytes' },
      ...(this.#version === 5
        ? [
            word('compatible', compatible),
            word('readOnlyCompatible', readOnlyCompatible),
            word('incompatible', incompatible),
            word('logIncompatible', logIncompatible),
          ]
        : []),
    ]
  }

  #usedRuns(state: FilesystemState, options: UsedOptions | undefined): Iterable<ByteRun> {
    const geometry = this.#geometry()
    const { realtimeBlocks } = this.#superblock
    if (realtimeBlocks !== 0n) throw unsupported('E_FS_FEATURE', 'the XFS filesystem has a realtime part')
    this.#requireKnown(geometry.version)
    const size = geometry.blocks * geometry.blockSize
    requireTrustworthy('XFS', { size, volumeSize: this.#reader.size, state }, options)
    return volumeRuns(
      xfsUsedBlocks(this.#reader, geometry, state === 'clean'),
      geometry.blockSize,
      0,
      size,
      this.#reader.size,
    )
  }
}

/** The one number of the superblock that is little-endian. */
function superblockHolds(sector: Uint8Array): boolean {
  const { offset } = xfsSuperblock.fields.checksum
  return crc32c(xfsSuperblock.without('checksum', sector, sector.length)) === viewOf(sector).getUint32(offset, true)
}
