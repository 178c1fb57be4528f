import { isPowerOfTwo } from '../../binary/integers.js'
import type { BlockSource, Fact } from '../../block/types.js'
import { unsupported } from '../../errors.js'
import { damaged } from '../damage.js'
import { Issues, requireTrustworthy } from '../identification.js'
import { setUuid, utf8Label } from '../labels.js'
import type { Filesystem, FilesystemFamily, FileTree, ByteRun, UsedOptions } from '../types.js'
import { volumeRuns } from '../unit-runs.js'
import { bytesAt, VolumeReader } from '../volume-reader.js'
import { unknownFeatures } from './entries.js'
import { btrfsSuperblock, superblockPositions, superblockSize } from './structs.js'
import { BtrfsTree } from './tree.js'
import { checksumHolds, type BtrfsSuperblock } from './trees.js'
import { btrfsUsedBytes } from './used.js'

const magic = '_BHRfS_M'
const checksums: Readonly<Record<number, string>> = { 0: 'crc32c', 1: 'xxhash64', 2: 'sha256', 3: 'blake2b' }

/** btrfs (the sheet's section 8). */
export const btrfs: FilesystemFamily = {
  id: 'btrfs',
  identify: (volume) => {
    const bytes = bytesAt(volume, superblockPositions[0] ?? 0, superblockSize)
    return bytes === undefined || btrfsSuperblock.read(bytes).magic !== magic
      ? []
      : [new Identification(volume, bytes).filesystem()]
  },
}

class Identification {
  readonly #reader: VolumeReader
  readonly #issues = new Issues('btrfs')
  readonly #bytes: Uint8Array
  readonly #superblock: BtrfsSuperblock
  readonly #isSound: boolean

  constructor(volume: BlockSource, bytes: Uint8Array) {
    this.#reader = new VolumeReader(volume, 'btrfs')
    const newest = this.#newest(volume, bytes)
    this.#isSound = newest !== undefined
    this.#bytes = newest ?? bytes
    this.#superblock = btrfsSuperblock.read(this.#bytes)
    if (newest === undefined)
      this.#issues.list.push({
        code: 'E_FS_CHECKSUM',
        severity: 'error',
        message: 'the checksums of all superblocks of the btrfs filesystem are wrong',
      })
    else if (checksumHolds(bytes, btrfsSuperblock.read(bytes).checksumType) === false)
      this.#issues.warn('W_FS_COPY', 'the first superblock of the btrfs filesystem is damaged: a copy is read')
  }

  /** Of the superblock and its copies of the same filesystem, the latest one that is whole. */
  #newest(volume: BlockSource, first: Uint8Array): Uint8Array | undefined {
    const { fsid } = btrfsSuperblock.read(first)
    const generation = (bytes: Uint8Array): bigint => btrfsSuperblock.read(bytes).generation
    const laterFirst = (one: Uint8Array, other: Uint8Array): number =>
      generation(one) === generation(other) ? 0 : generation(one) < generation(other) ? 1 : -1
    return superblockPositions
      .map((position) => ({ position, bytes: bytesAt(volume, position, superblockSize) }))
      .flatMap(({ position, bytes }) => {
        if (bytes === undefined) return []
        const values = btrfsSuperblock.read(bytes)
        const isOne =
          values.magic === magic &&
          values.position === BigInt(position) &&
          (position === superblockPositions[0] || values.fsid === fsid)
        return isOne && checksumHolds(bytes, values.checksumType) !== false ? [bytes] : []
      })
      .sort(laterFirst)[0]
  }

  filesystem(): Filesystem {
    const { fsid, label, sectorSize, totalBytes, deviceBytes, bytesUsed, devices, logRoot } = this.#superblock
    const text = utf8Label(label)
    const id = setUuid(fsid)
    const size = deviceBytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(deviceBytes) : undefined
    this.#issues.checkSize(size ?? Number.MAX_SAFE_INTEGER, this.#reader.size)
    const used =
      devices === 1n && bytesUsed <= totalBytes && bytesUsed <= BigInt(Number.MAX_SAFE_INTEGER)
        ? Number(bytesUsed)
        : undefined
    return {
      type: 'btrfs',
      title: 'btrfs',
      kind: 'filesystem',
      facts: this.#facts(),
      issues: this.#issues.list,
      // Files that were flushed stand in a log of their own until the next commit.
      state: logRoot === 0n ? 'clean' : 'dirty',
      label: text,
      uuid: id,
      ...(isPowerOfTwo(sectorSize) ? { blockSize: sectorSize } : {}),
      size,
      used,
      usedRuns: (options) => this.#usedRuns(options),
      openTree: () => this.#tree(),
    }
  }

  #facts(): Fact[] {
    const { checksumType, devices, deviceId, deviceUuid, generation, nodeSize, totalBytes, incompatible } =
      this.#superblock
    return [
      { name: 'checksum', value: checksums[checksumType] ?? String(checksumType) },
      { name: 'devices', value: devices, unit: 'count' },
      { name: 'incompatible', value: `0x${incompatible.toString(16)}` },
      { name: 'deviceId', value: deviceId },
      { name: 'deviceUuid', label: 'device UUID', value: deviceUuid },
      { name: 'generation', value: generation },
      { name: 'nodeSize', value: nodeSize, unit: 'bytes' },
      { name: 'totalBytes', label: 'size on all devices', value: totalBytes, unit: 'bytes' },
    ]
  }

  #tree(): FileTree {
    this.#requireReadable()
    const { sectorSize } = this.#superblock
    if (!isPowerOfTwo(sectorSize) || sectorSize < 512 || sectorSize > 65536)
      throw damaged('btrfs', `a sector is said to have ${sectorSize} bytes`)
    return new BtrfsTree(this.#reader, this.#superblock, this.#bytes)
  }

  /** @throws ImageError corrupt E_FS_CORRUPT; unsupported E_FS_FEATURE. */
  #requireReadable(): void {
    const { devices, incompatible } = this.#superblock
    if (!this.#isSound) throw damaged('btrfs', 'no superblock is whole')
    const unknown = unknownFeatures(incompatible)
    if (unknown !== 0n)
      throw unsupported(
        'E_FS_FEATURE',
        `the btrfs filesystem has features that are not known here: 0x${unknown.toString(16)}`,
      )
    if (devices !== 1n) throw unsupported('E_FS_FEATURE', `the btrfs filesystem lies on ${devices} devices`)
  }

  #usedRuns(options: UsedOptions | undefined): Iterable<ByteRun> {
    this.#requireReadable()
    const { deviceBytes, logRoot } = this.#superblock
    const state = logRoot === 0n ? 'clean' : 'dirty'
    requireTrustworthy('btrfs', { size: Number(deviceBytes), volumeSize: this.#reader.size, state }, options)
    const size = Number(deviceBytes)
    return volumeRuns(
      btrfsUsedBytes(this.#reader, this.#superblock, this.#bytes, state === 'clean'),
      1,
      0,
      size,
      this.#reader.size,
    )
  }
}
