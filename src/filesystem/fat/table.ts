import { viewOf } from '../../binary/integers.js'
import type { ChainedVolume, ClusterLink } from '../cluster-chain.js'
import type { UnitRun } from '../unit-runs.js'
import type { VolumeReader } from '../volume-reader.js'
import { fat12Entry, fat32Mask, fatLink } from './entries.js'
import type { FatLayout } from './layout.js'

const pieceLength = 65536

/** The file allocation table: which clusters are in use, and which follows which. Read by piece. */
export class FatTable implements ChainedVolume {
  readonly title: string
  readonly clusterSize: number
  readonly clusters: number
  readonly heapStart: number
  readonly #reader: VolumeReader
  readonly #layout: FatLayout

  constructor(reader: VolumeReader, layout: FatLayout) {
    this.#reader = reader
    this.#layout = layout
    this.title = reader.title
    this.clusterSize = layout.clusterSize
    this.clusters = layout.clusters
    this.heapStart = layout.dataStart
  }

  /**
   * An entry as it stands (0 and 1 belong to no cluster). @throws ImageError corrupt E_FS_CORRUPT past the volume's
   * end.
   */
  entry(cluster: number): number {
    const { bits, tableStart } = this.#layout
    if (bits === 32) return this.#reader.u32(tableStart + cluster * 4)
    if (bits === 16) return this.#reader.u16(tableStart + cluster * 2)
    return fat12Entry(this.#reader.u16(tableStart + Math.floor((cluster * 3) / 2)), cluster)
  }

  /** The runs of clusters whose entry is not zero; unit 0 is cluster 2. */
  *used(): Generator<UnitRun> {
    let start = -1
    let unit = 0
    for (const free of this.#free()) {
      for (let index = 0; index < free.length; index++, unit++) {
        if (free[index] === 0) {
          if (start < 0) start = unit
        } else if (start >= 0) {
          yield { first: start, count: unit - start }
          start = -1
        }
      }
    }
    if (start >= 0) yield { first: start, count: unit - start }
  }

  link(cluster: number): ClusterLink {
    return fatLink(this.entry(cluster), this.#layout.bits)
  }

  /** For each cluster from 2 on: 1 where it is free. By piece. */
  *#free(): Generator<Uint8Array> {
    const { bits, tableStart, clusters } = this.#layout
    const perPiece = bits === 12 ? 4096 : pieceLength / (bits / 8)
    const flags = new Uint8Array(perPiece)
    const bytes = new Uint8Array(pieceLength)
    const view = viewOf(bytes)
    for (let cluster = 2; cluster < clusters + 2; cluster += perPiece) {
      const count = Math.min(perPiece, clusters + 2 - cluster)
      if (bits === 12) {
        for (let index = 0; index < count; index++) flags[index] = this.entry(cluster + index) === 0 ? 1 : 0
      } else {
        const width = bits / 8
        this.#reader.read(tableStart + cluster * width, bytes.subarray(0, count * width))
        if (bits === 16)
          for (let index = 0; index < count; index++) flags[index] = view.getUint16(index * 2, true) === 0 ? 1 : 0
        else
          for (let index = 0; index < count; index++)
            flags[index] = view.getUint32(index * 4, true) % (fat32Mask + 1) === 0 ? 1 : 0
      }
      yield flags.subarray(0, count)
    }
  }
}
