import type { ChainedVolume, ClusterLink } from '../cluster-chain.js'
import type { VolumeReader } from '../volume-reader.js'
import type { ExfatLayout } from './layout.js'

const badCluster = 0xfffffff7
const endOfChain = 0xffffffff

/** The file allocation table: which cluster follows which. What is free, the bitmap says. */
export class ExfatTable implements ChainedVolume {
  readonly title: string
  readonly clusterSize: number
  readonly clusters: number
  readonly heapStart: number
  readonly #reader: VolumeReader
  readonly #tableStart: number

  constructor(reader: VolumeReader, layout: ExfatLayout) {
    this.#reader = reader
    this.title = reader.title
    this.clusterSize = layout.clusterSize
    this.clusters = layout.clusters
    this.heapStart = layout.heapStart
    this.#tableStart = layout.tableStart
  }

  link(cluster: number): ClusterLink {
    const entry = this.#reader.u32(this.#tableStart + cluster * 4)
    if (entry === endOfChain) return { kind: 'end' }
    if (entry === badCluster) return { kind: 'bad' }
    return entry === 0 ? { kind: 'free' } : { kind: 'next', cluster: entry }
  }
}
