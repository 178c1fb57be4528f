import type { BlockSource, Fact } from '../../block/types.js'
import { isBitlocker } from '../bitlocker.js'
import { isWindowsAsleep } from '../hibernation.js'
import { Issues, requireTrustworthy, serialText } from '../identification.js'
import { codePage437 } from '../names.js'
import type { Filesystem, FilesystemState, ByteRun, UsedOptions } from '../types.js'
import { countUnits, volumeRuns } from '../unit-runs.js'
import { VolumeReader } from '../volume-reader.js'
import { fatFlags, isStateDirty } from './entries.js'
import { readFatLayout, type FatLayout } from './layout.js'
import { fatInfoSector, infoMarks } from './structs.js'
import { FatTable } from './table.js'
import { FatTree } from './tree.js'

/** A larger table is not counted: FSInfo's number is reported instead. */
const countedTable = 64 * 1024 * 1024

/** FAT12, FAT16 or FAT32, if the volume is one. Never throws for what it reads. */
export function identifyFat(volume: BlockSource): Filesystem | undefined {
  if (volume.capacity < 512) return undefined
  const sector = new Uint8Array(512)
  volume.read(0, sector)
  if (isBitlocker(sector)) return undefined
  const layout = readFatLayout(sector)
  return layout === undefined ? undefined : new Identification(volume, layout).filesystem()
}

class Identification {
  readonly #reader: VolumeReader
  readonly #layout: FatLayout
  readonly #table: FatTable
  readonly #title: string
  readonly #issues: Issues

  constructor(volume: BlockSource, layout: FatLayout) {
    this.#title = `FAT${layout.bits}`
    this.#issues = new Issues(this.#title)
    this.#layout = layout
    this.#reader = new VolumeReader(volume, this.#title)
    this.#table = new FatTable(this.#reader, layout)
  }

  filesystem(): Filesystem {
    const { size, clusterSize, serial } = this.#layout
    this.#issues.checkSize(size, this.#reader.size)
    const state = this.#issues.attempt(() => this.#state()) ?? 'unknown'
    const free = this.#issues.attempt(() => this.#free())
    const label = this.#issues.attempt(() => new FatTree(this.#reader, this.#layout, this.#table).label())
    return {
      type: 'vfat',
      title: this.#title,
      kind: 'filesystem',
      version: this.#title,
      blockSize: clusterSize,
      size,
      state,
      label,
      ...(serial === undefined || serial === 0 ? {} : { uuid: serialText(serial) }),
      ...(free === undefined ? {} : { free, used: size - free }),
      facts: this.#facts(),
      issues: this.#issues.list,
      usedRuns: (options) => this.#usedRuns(state, options),
      openTree: () => new FatTree(this.#reader, this.#layout, this.#table),
    }
  }

  #state(): FilesystemState {
    const { bits, state } = this.#layout
    const { clean, noErrors } = fatFlags(this.#table.entry(1), bits)
    if (!noErrors) this.#issues.warn('W_FS_ERRORS', `the ${this.#title} filesystem records errors of its medium`)
    if (isWindowsAsleep(new FatTree(this.#reader, this.#layout, this.#table))) return 'hibernated'
    return clean && !isStateDirty(state) ? 'clean' : 'dirty'
  }

  #free(): number | undefined {
    const { bits, clusters, clusterSize } = this.#layout
    const recorded = this.#recordedFree()
    if ((clusters * bits) / 8 > countedTable) return recorded === undefined ? undefined : recorded * clusterSize
    const free = clusters - countUnits(this.#table.used())
    if (recorded !== undefined && recorded !== free) {
      this.#issues.warn(
        'W_FS_FREE_COUNT',
        `the FSInfo sector says that ${recorded} clusters are free, and the table that ${free} are`,
      )
    }
    return free * clusterSize
  }

  /** Free clusters by the FSInfo sector, where there is one that knows. */
  #recordedFree(): number | undefined {
    const { infoSector, sectorSize, clusters } = this.#layout
    if (infoSector === undefined) return undefined
    const info = fatInfoSector.read(this.#reader.bytes(infoSector * sectorSize, fatInfoSector.size))
    if (info.leadSignature !== infoMarks.lead || info.structSignature !== infoMarks.struct) {
      this.#issues.warn('W_FS_INFO', `there is no FSInfo sector at byte ${infoSector * sectorSize} of the volume`)
      return undefined
    }
    return info.freeClusters > clusters ? undefined : info.freeClusters
  }

  #facts(): Fact[] {
    const { boot, label, clusters, sectorSize, backupBootSector } = this.#layout
    const bootLabel = label === undefined ? '' : codePage437(label).replace(/[ \0]+$/, '')
    return [
      { name: 'oemName', label: 'OEM name', value: boot.oemName.trimEnd() },
      ...(bootLabel === '' || bootLabel === 'NO NAME'
        ? []
        : [{ name: 'bootLabel', label: 'label in the boot sector', value: bootLabel }]),
      { name: 'sectorSize', value: sectorSize, unit: 'bytes' },
      { name: 'clusters', value: clusters, unit: 'count' },
      { name: 'hiddenSectors', value: boot.hiddenSectors, unit: 'count' },
      ...(backupBootSector === undefined ? [] : [{ name: 'backupBootSector', value: backupBootSector }]),
    ]
  }

  #usedRuns(state: FilesystemState, options: UsedOptions | undefined): Iterable<ByteRun> {
    const { size, clusters, clusterSize, dataStart } = this.#layout
    requireTrustworthy(this.#title, { size, volumeSize: this.#reader.size, state }, options)
    return volumeRuns(this.#table.used(), clusterSize, dataStart, dataStart + clusters * clusterSize, this.#reader.size)
  }
}
