import { moveNumbers } from '../../binary/move-numbers.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, hints, type ImageError } from '../../errors.js'
import { commandByte, gapLength } from './structs.js'

const windowLength = 1024 * 1024
/** 17 bytes for each run. */
const mostRuns = 8 * 1024 * 1024

/** What of a disk the commands are for. Sizes are bytes. */
export interface Commanded {
  readonly clusterSize: number
  /** Clusters of the filesystem; one more, shorter one may follow, with the backup of the boot sector. */
  readonly clusters: number
  readonly deviceSize: number
  readonly dataOffset: number
}

/** Clusters that are stored one behind the other, each behind its command byte, or are not stored. */
export interface ClusterRun {
  readonly stored: boolean
  readonly start: number
  readonly end: number
  /** Where the command of the first cluster stands. */
  readonly position: number
}

/** The commands of the file, read as far as they are needed: only the one before leads to the next. */
export class Commands {
  /** Stored clusters met so far, without the one behind the filesystem. */
  stored = 0
  readonly #store: ByteStore
  readonly #disk: Commanded
  #starts = new Float64Array(1024)
  #positions = new Float64Array(1024)
  #kinds = new Uint8Array(1024)
  #count = 0
  /** The first cluster that is not known, and where its command stands. */
  #next = 0
  #position: number
  #last = 0
  readonly #window: Uint8Array
  #windowStart = 0
  #windowLength = 0

  constructor(store: ByteStore, disk: Commanded) {
    this.#store = store
    this.#disk = disk
    this.#position = disk.dataOffset
    this.#window = new Uint8Array(Math.min(windowLength, store.size))
  }

  /** How far the file was read, in bytes. */
  get position(): number {
    return this.#position
  }

  /** Clusters that are known by now. */
  get known(): number {
    return this.#next
  }

  /** The clusters that commands are for; the last may be shorter. */
  get total(): number {
    const { clusters, clusterSize, deviceSize } = this.#disk
    return clusters + (deviceSize > clusters * clusterSize ? 1 : 0)
  }

  lengthOf(cluster: number): number {
    const { clusterSize, deviceSize } = this.#disk
    return Math.min(clusterSize, deviceSize - cluster * clusterSize)
  }

  /**
   * The run that holds a cluster, as far as it is known: at least `ahead` clusters on, where it is as long as that.
   * @throws ImageError corrupt E_MAP, E_TRUNCATED.
   */
  runAt(cluster: number, ahead: number): ClusterRun {
    this.readUntil(Math.min(this.total, cluster + ahead), cluster)
    let low = 0
    let high = this.#count
    const near = this.#last
    if ((this.#starts[near] ?? Infinity) <= cluster && cluster < this.#endOf(near)) low = near
    else
      while (high - low > 1) {
        const middle = Math.floor((low + high) / 2)
        if ((this.#starts[middle] ?? 0) <= cluster) low = middle
        else high = middle
      }
    this.#last = low
    if (this.#endOf(low) === this.total) this.refuseTrailing()
    return {
      stored: this.#kinds[low] === commandByte.cluster,
      start: this.#starts[low] ?? 0,
      end: this.#endOf(low),
      position: this.#positions[low] ?? 0,
    }
  }

  /**
   * Reads commands until a cluster is known. @param needed one for which an error matters; it waits for those behind.
   */
  readUntil(cluster: number, needed = cluster): void {
    try {
      while (this.#next < cluster) this.#command()
    } catch (error) {
      if (this.#next <= needed) throw error
    }
  }

  /**
   * What follows the last command shows that one before it is wrong. To be asked when all of them are known.
   * @throws ImageError corrupt E_TRAILING_DATA.
   */
  refuseTrailing(): void {
    const { name, size } = this.#store
    if (this.#position >= size) return
    throw corrupt(
      'E_TRAILING_DATA',
      `${name}: the last command ends at byte ${this.#position}, but the file goes on to byte ${size}`,
      { details: { position: this.#position, size } },
    )
  }

  #endOf(run: number): number {
    return run + 1 < this.#count ? (this.#starts[run + 1] ?? 0) : this.#next
  }

  #command(): void {
    const position = this.#position
    const { clusters } = this.#disk
    // Version 10.0 did not store the backup of the boot sector.
    if (position === this.#store.size && this.#next === clusters) {
      this.#add(commandByte.gap, position)
      this.#next = this.total
      return
    }
    switch (this.#byte(position)) {
      case commandByte.gap: {
        const count = this.#gap(position)
        if (count <= 0 || count > this.total - this.#next)
          throw this.#bad(position, `a gap of ${count} clusters at cluster ${this.#next} of ${this.total}`)
        this.#add(commandByte.gap, position)
        this.#next += count
        this.#position += gapLength
        return
      }
      case commandByte.cluster: {
        const length = this.lengthOf(this.#next)
        if (position + 1 + length > this.#store.size) throw this.#cut(position)
        this.#add(commandByte.cluster, position)
        if (this.#next < clusters) this.stored++
        this.#next++
        this.#position += 1 + length
        return
      }
      default:
        throw this.#bad(position, `the command ${this.#byte(position)} at cluster ${this.#next} is not known`)
    }
  }

  #add(kind: number, position: number): void {
    // The one behind the filesystem has another length.
    const joins = this.#count > 0 && this.#kinds[this.#count - 1] === kind && this.#next !== this.#disk.clusters
    if (joins) return
    if (this.#count === mostRuns)
      throw corrupt('E_MAP', `${this.#store.name} has more than ${mostRuns} runs of clusters`)
    if (this.#count === this.#kinds.length) this.#grow()
    this.#starts[this.#count] = this.#next
    this.#positions[this.#count] = position
    this.#kinds[this.#count] = kind
    this.#count++
  }

  #grow(): void {
    const size = 2 * this.#kinds.length
    this.#starts = moveNumbers(this.#starts, new Float64Array(size))
    this.#positions = moveNumbers(this.#positions, new Float64Array(size))
    this.#kinds = moveNumbers(this.#kinds, new Uint8Array(size))
  }

  #gap(position: number): number {
    let value = 0
    for (let at = gapLength - 1; at > 0; at--) value = value * 256 + this.#byte(position + at)
    return value
  }

  #byte(position: number): number {
    if (position >= this.#store.size) throw this.#cut(position)
    if (position < this.#windowStart || position >= this.#windowStart + this.#windowLength) {
      this.#windowStart = position
      this.#windowLength = Math.min(this.#window.length, this.#store.size - position)
      this.#store.read(position, this.#window.subarray(0, this.#windowLength))
    }
    return this.#window[position - this.#windowStart] ?? 0
  }

  #bad(position: number, why: string): ImageError {
    return corrupt('E_MAP', `${this.#store.name}: ${why} (byte ${position})`, { details: { position } })
  }

  #cut(position: number): ImageError {
    const { name, size } = this.#store
    return corrupt('E_TRUNCATED', `${name}: the file ends at byte ${size}, in cluster ${this.#next} of ${this.total}`, {
      details: { position, size },
      hint: hints.incomplete,
    })
  }
}
