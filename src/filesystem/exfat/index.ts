import type { BlockSource } from '../../block/types.js'
import { clusterChain } from '../cluster-chain.js'
import { damaged } from '../damage.js'
import type { FileMap } from '../file-map.js'
import { Issues, requireTrustworthy, serialText } from '../identification.js'
import type { Filesystem, FilesystemFamily, FilesystemState, ByteRun, UsedOptions } from '../types.js'
import { bitmapRuns, countUnits, volumeRuns, type UnitRun } from '../unit-runs.js'
import { VolumeReader } from '../volume-reader.js'
import { primaryEntries } from './directory.js'
import { readExfatLayout, type ExfatLayout } from './layout.js'
import { exfatBitmapEntry, exfatLabelEntry } from './structs.js'
import { ExfatTable } from './table.js'
import { ExfatTree } from './tree.js'

const bitmapType = 0x81
const labelType = 0x83
const maximumRoot = 16 * 1024 * 1024

/** exFAT (the sheet's section 5). */
export const exfat: FilesystemFamily = {
  id: 'exfat',
  identify: (volume) => {
    const layout = readExfatLayout(volume)
    return layout === undefined ? [] : [new Identification(volume, layout).filesystem()]
  },
}

class Identification {
  readonly #reader: VolumeReader
  readonly #layout: ExfatLayout
  readonly #table: ExfatTable
  readonly #issues = new Issues('exFAT')
  #label: string | undefined
  #bitmap: FileMap | undefined

  constructor(volume: BlockSource, layout: ExfatLayout) {
    this.#layout = layout
    this.#reader = new VolumeReader(volume, 'exFAT')
    this.#table = new ExfatTable(this.#reader, layout)
  }

  filesystem(): Filesystem {
    const { boot, clusterSize, size, clusters, isDirty, sectorSize, hasErrors } = this.#layout
    this.#issues.checkSize(size, this.#reader.size)
    if (!this.#layout.checksumHolds)
      this.#issues.list.push({
        code: 'E_FS_CHECKSUM',
        severity: 'error',
        message: "the checksum of exFAT's boot region is wrong",
      })
    if (hasErrors) this.#issues.warn('W_FS_ERRORS', 'the exFAT filesystem records errors of its medium')
    const used = this.#issues.attempt(() => {
      this.#readRoot()
      return countUnits(this.#used())
    })
    const free = used === undefined ? undefined : (clusters - used) * clusterSize
    const state = isDirty ? 'dirty' : 'clean'
    return {
      type: 'exfat',
      title: 'exFAT',
      kind: 'filesystem',
      version: `${boot.majorRevision}.${boot.minorRevision}`,
      blockSize: clusterSize,
      size,
      state,
      ...(this.#label === undefined || this.#label === '' ? {} : { label: this.#label }),
      ...(boot.serial === 0 ? {} : { uuid: serialText(boot.serial) }),
      ...(free === undefined ? {} : { free, used: size - free }),
      facts: [
        { name: 'revision', value: `${boot.majorRevision}.${boot.minorRevision}` },
        { name: 'volumeFlags', value: `0x${boot.volumeFlags.toString(16).padStart(4, '0')}` },
        { name: 'sectorSize', value: sectorSize, unit: 'bytes' },
        { name: 'clusters', value: clusters, unit: 'count' },
        { name: 'partitionOffset', value: boot.partitionOffset, unit: 'count' },
      ],
      issues: this.#issues.list,
      usedRuns: (options) => this.#usedRuns(state, options),
      openTree: () => new ExfatTree(this.#reader, this.#table, this.#layout.rootCluster),
    }
  }

  /** The label and the bitmap are entries of the root folder. */
  #readRoot(): void {
    const { rootCluster, active, clusters } = this.#layout
    const root = clusterChain(this.#table, rootCluster, undefined, maximumRoot)
    for (const { type, bytes } of primaryEntries(this.#reader, root)) {
      if (type === labelType) {
        const { characters } = exfatLabelEntry.read(bytes)
        this.#label = Buffer.from(bytes.subarray(2, 2 + Math.min(characters, 15) * 2)).toString('utf16le')
      } else if (type === bitmapType && this.#bitmap === undefined) {
        const bitmap = exfatBitmapEntry.read(bytes)
        if (bitmap.flags % 2 !== active) continue
        const needed = Math.ceil(clusters / 8)
        if (bitmap.length < BigInt(needed))
          throw damaged(this.#reader.title, `the bitmap has ${bitmap.length} bytes, and ${needed} are needed`)
        this.#bitmap = clusterChain(this.#table, bitmap.cluster, needed)
      }
    }
  }

  /** Clusters in use, from cluster 2. @throws ImageError corrupt E_FS_CORRUPT. */
  #used(): Iterable<UnitRun> {
    const bitmap = this.#bitmap
    if (bitmap === undefined) throw damaged(this.#reader.title, 'there is no bitmap of its clusters')
    return bitmapRuns((offset, target) => bitmap.read(this.#reader, offset, target), this.#layout.clusters)
  }

  #usedRuns(state: FilesystemState, options: UsedOptions | undefined): Iterable<ByteRun> {
    const { size, clusters, clusterSize, heapStart, checksumHolds } = this.#layout
    if (!checksumHolds) throw damaged(this.#reader.title, 'the checksum of the boot region is wrong')
    requireTrustworthy(this.#reader.title, { size, volumeSize: this.#reader.size, state }, options)
    return volumeRuns(this.#used(), clusterSize, heapStart, heapStart + clusters * clusterSize, this.#reader.size)
  }
}
