import type { BlockSource, Fact } from '../../block/types.js'
import { damaged } from '../damage.js'
import { isWindowsAsleep } from '../hibernation.js'
import { Issues, requireTrustworthy } from '../identification.js'
import type { Filesystem, FilesystemState, ByteRun, UsedOptions } from '../types.js'
import { bitmapRuns, countUnits, volumeRuns, type UnitRun } from '../unit-runs.js'
import { VolumeReader } from '../volume-reader.js'
import { isLogClean, volumeFlags } from './entries.js'
import { readNtfsLayout, type NtfsLayout } from './layout.js'
import { Mft } from './mft.js'
import { attributeTypes, utf16Text } from './record.js'
import { restartArea, restartPage, volumeInformation } from './structs.js'
import { NtfsTree } from './tree.js'

const logFileRecord = 2
const volumeRecord = 3
const bitmapRecord = 6
/** A larger bitmap is not counted: 4 Gi clusters. */
const countedBitmap = 512 * 1024 * 1024
const restartPageSize = 4096
const noClient = 0xffff

/** NTFS, if the volume is one. Never throws for what it reads. */
export function identifyNtfs(volume: BlockSource): Filesystem | undefined {
  const layout = readNtfsLayout(volume)
  return layout === undefined ? undefined : new Identification(volume, layout).filesystem()
}

interface VolumeFacts {
  readonly label: string
  readonly version: string | undefined
  readonly isDirty: boolean
}

class Identification {
  readonly #reader: VolumeReader
  readonly #layout: NtfsLayout
  readonly #issues = new Issues('NTFS')
  #kept: Mft | undefined

  constructor(volume: BlockSource, layout: NtfsLayout) {
    this.#layout = layout
    this.#reader = new VolumeReader(volume, 'NTFS')
  }

  filesystem(): Filesystem {
    const { size, clusterSize, clusters, boot } = this.#layout
    this.#issues.checkSize(size, this.#reader.size)
    const volume = this.#issues.attempt(() => this.#volume())
    const state = this.#issues.attempt(() => this.#state(volume?.isDirty)) ?? 'unknown'
    const used = clusters / 8 > countedBitmap ? undefined : this.#issues.attempt(() => countUnits(this.#used()))
    return {
      type: 'ntfs',
      title: 'NTFS',
      kind: 'filesystem',
      blockSize: clusterSize,
      size,
      state,
      ...(volume === undefined || volume.label === '' ? {} : { label: volume.label }),
      ...(boot.serial === 0n ? {} : { uuid: boot.serial.toString(16).toUpperCase().padStart(16, '0') }),
      ...(used === undefined ? {} : { used: used * clusterSize, free: (clusters - used) * clusterSize }),
      facts: this.#facts(volume?.version),
      issues: this.#issues.list,
      usedRuns: (options) => this.#usedRuns(state, options),
      openTree: () => new NtfsTree(this.#mft, this.#layout),
    }
  }

  get #mft(): Mft {
    this.#kept ??= new Mft(this.#reader, this.#layout)
    return this.#kept
  }

  #facts(version: string | undefined): Fact[] {
    const { boot, clusterSize, recordSize, clusters, sectorSize } = this.#layout
    return [
      ...(version === undefined ? [] : [{ name: 'version', value: version }]),
      { name: 'sectorSize', value: sectorSize, unit: 'bytes' },
      { name: 'clusterSize', value: clusterSize, unit: 'bytes' },
      { name: 'clusters', value: clusters, unit: 'count' },
      { name: 'recordSize', label: 'MFT record size', value: recordSize, unit: 'bytes' },
      { name: 'hiddenSectors', value: boot.hiddenSectors, unit: 'count' },
    ]
  }

  #volume(): VolumeFacts {
    const record = this.#mft.record(volumeRecord)
    const [name] = this.#mft.attributes(record, attributeTypes.volumeName)
    const [information] = this.#mft.attributes(record, attributeTypes.volumeInformation)
    const label = name?.content.resident === true ? utf16Text(name.content.value) : ''
    if (information?.content.resident !== true || information.content.value.length < volumeInformation.size)
      throw damaged('NTFS', '$Volume does not say which version it is')
    const { major, minor, flags } = volumeInformation.read(information.content.value)
    return { label, version: `${major}.${minor}`, isDirty: volumeFlags(flags).isDirty }
  }

  #state(isDirty: boolean | undefined): FilesystemState {
    if (isWindowsAsleep(new NtfsTree(this.#mft, this.#layout))) return 'hibernated'
    if (isDirty === undefined) return 'unknown'
    return isDirty || !this.#isLogClean() ? 'dirty' : 'clean'
  }

  /**
   * Of the two restart pages the later one says whether something of the log is left to be done. An empty log is all
   * ones.
   */
  #isLogClean(): boolean {
    const stream = this.#mft.stream(this.#mft.record(logFileRecord), attributeTypes.data)
    const page = new Uint8Array(restartPageSize)
    let latest: { readonly lsn: bigint; readonly clientsInUse: number; readonly flags: number } | undefined
    for (
      let position = 0;
      position < restartPageSize * 2 && position + restartPageSize <= stream.size;
      position += restartPageSize
    ) {
      stream.read(position, page)
      const { magic, areaOffset } = restartPage.read(page)
      if (magic === 'CHKD') return true
      if (magic !== 'RSTR' || areaOffset + restartArea.size > 510) continue
      const area = restartArea.read(page, areaOffset)
      if (latest === undefined || area.lsn > latest.lsn) latest = area
    }
    return latest === undefined || latest.clientsInUse === noClient || isLogClean(latest.flags)
  }

  /** Clusters in use. @throws ImageError corrupt E_FS_CORRUPT. */
  #used(): Iterable<UnitRun> {
    const { clusters } = this.#layout
    const stream = this.#mft.stream(this.#mft.record(bitmapRecord), attributeTypes.data)
    if (stream.size < Math.ceil(clusters / 8))
      throw damaged('NTFS', `$Bitmap has ${stream.size} bytes, and ${clusters} clusters need more`)
    return bitmapRuns((offset, target) => stream.read(offset, target), clusters)
  }

  #usedRuns(state: FilesystemState, options: UsedOptions | undefined): Iterable<ByteRun> {
    const { size, clusters, clusterSize } = this.#layout
    requireTrustworthy('NTFS', { size, volumeSize: this.#reader.size, state }, options)
    // What follows the last cluster, with the copy of the boot sector, is copied as the tail.
    return volumeRuns(this.#used(), clusterSize, 0, clusters * clusterSize, this.#reader.size)
  }
}
