import { roundUp } from '../../../binary/integers.js'
import type { ByteStore, Note } from '../../../block/types.js'
import type { OpenContext } from '../../driver.js'
import { bitmapClusters } from '../format/bitmaps.js'
import { hasBit, withBits } from '../../../binary/flags.js'
import { editHeader, type HeaderChanges } from '../format/header-editor.js'
import { readHeader, type Header } from '../format/header.js'
import { RefcountStore } from '../format/refcounts.js'
import { LiveRefcounts } from './live-refcounts.js'
import { LiveTables } from './live-tables.js'
import { MetadataMap } from './metadata-map.js'
import { Qcow2Image } from '../read/reader.js'
import { trustRefcounts } from '../judge/refcount-trust.js'
import { takeOutBitmaps } from '../judge/repair-header.js'
import { autoclear } from '../format/structs.js'

/** Tables that may wait for the next commit, in bytes, and clusters that may wait to be released. */
const mostPendingBytes = 16 * 1024 * 1024
const mostReleased = 262144

/**
 * A QCOW2 that is being changed. Data goes to the file at once, to clusters that nothing leads to, or in place; tables
 * change in memory
 * until {@link commit} writes them in an order in which every stop between two flushes leaves an image without errors:
 * what is referred
 * to is there and counted before anything leads to it, and is released after nothing does. A stop may leave leaks.
 * After a failure everything is refused: what the medium holds is then unknown, and as consistent as the order makes
 * it.
 */
export class WriteSession {
  readonly file: ByteStore
  readonly metadata: MetadataMap
  readonly tables: LiveTables
  readonly refcounts: LiveRefcounts
  /** What changes have brought about that the user should know. */
  readonly notes: Note[] = []
  readonly #context: OpenContext
  #header: Header
  #image: Qcow2Image
  #begun = false
  #changesData = false
  #written = false
  #cutsEnd = false
  #failure: { readonly cause: unknown } | undefined

  constructor(file: ByteStore, context: OpenContext) {
    this.file = file
    this.#context = context
    this.#header = readHeader(file)
    this.tables = new LiveTables(file, this.#header)
    const refcounts = RefcountStore.of(file, this.#header)
    this.metadata = new MetadataMap(file, this.#header, this.tables.l1, refcounts)
    this.refcounts = new LiveRefcounts(file, refcounts, this.metadata, () => trustRefcounts(file))
    this.#image = this.#open()
  }

  get header(): Header {
    return this.#header
  }

  /** The active disk as it is now. */
  get image(): Qcow2Image {
    return this.#image
  }

  /**
   * Comes before every change. The first one marks what other programs keep beside the disk as out of date; of
   * bitmaps only the first
   * that changes what the guest sees.
   */
  begin(changesData = true): void {
    if (this.#begun && (this.#changesData || !changesData) && this.#failure === undefined) return
    this.guarded(() => {
      const { autoclearFeatures: before } = this.#header
      const kept = !changesData && hasBit(before, autoclear.bitmaps) ? withBits([autoclear.bitmaps]) : 0n
      if (before !== kept) {
        editHeader(this.file, { autoclearFeatures: kept })
        this.file.flush()
        if (changesData && hasBit(before, autoclear.bitmaps)) this.#dropBitmaps()
        this.reload()
      }
      this.#begun = true
      this.#changesData ||= changesData
    })
  }

  /** Writes bytes of clusters. `end`: the file is to have at least that many. */
  write(position: number, bytes: Uint8Array, end = 0): void {
    this.file.write(position, bytes)
    if (this.file.size < end) this.file.truncate(end)
    this.#written = true
  }

  /** Commits when very much waits for it. */
  relieve(): void {
    if (this.tables.pendingBytes > mostPendingBytes || this.refcounts.releasedCount > mostReleased) this.commit()
  }

  /** Makes all changes so far durable. Space that they gave up may be used again. */
  commit(): void {
    this.guarded(() => {
      const { tables, refcounts } = this
      if (this.#written || tables.hasFresh || refcounts.blocks.hasChanges) {
        refcounts.blocks.writeBlocks()
        tables.writeFresh()
        this.file.flush()
        this.#written = false
      }
      if (refcounts.blocks.leads) {
        editHeader(this.file, this.#movedTable())
        refcounts.blocks.writeTable()
        this.file.flush()
      }
      if (tables.leads) {
        const moved = tables.movedL1 !== undefined
        editHeader(this.file, this.#movedL1())
        tables.writeChanged()
        this.file.flush()
        if (moved) this.reload()
      }
      refcounts.settle()
    })
  }

  /** Changes the header, durably. All that it is to lead to has been committed. */
  edit(changes: HeaderChanges): void {
    this.guarded(() => {
      editHeader(this.file, changes)
      this.file.flush()
      this.reload()
    })
  }

  /**
   * Leads to structures that were made beside the old ones, refcounts among them ({@link LiveRefcounts.shadow}), in one
   * write of one
   * sector: a power cut leaves all of the old ones or all of the new. Another session goes on afterwards.
   */
  switchOver(changes: HeaderChanges): void {
    this.guarded(() => {
      const { refcounts } = this
      refcounts.blocks.writeBlocks()
      const end = refcounts.usedEnd()
      if (this.file.size < end) this.file.truncate(end)
      this.file.flush()
      editHeader(this.file, { ...changes, ...this.#movedTable() })
      this.file.flush()
    })
  }

  /** Goes on with the header as it is now. */
  reload(): void {
    this.#header = readHeader(this.file)
    this.#image = this.#open()
  }

  /** Asks for the unused end of the file to be cut off even if this session gave nothing up. */
  cutEnd(): void {
    this.#cutsEnd = true
  }

  /** Brings everything into the file, and cuts off its unused end. The file is not closed. */
  end(): void {
    if (!this.#begun || this.#failure !== undefined) return
    this.commit()
    // What was released last is still counted in the file.
    this.commit()
    this.guarded(() => this.#trim())
    this.#begun = false
  }

  /** Does something after which nothing is possible any more if it fails. */
  guarded<Result>(act: () => Result): Result {
    if (this.#failure !== undefined) throw this.#failure.cause
    try {
      return act()
    } catch (cause) {
      this.#failure = { cause }
      throw cause
    }
  }

  /** They are not those of the disk any more; what they took is free from the next commit on. */
  #dropBitmaps(): void {
    const header = this.#header
    const count = header.extensions.bitmaps?.count ?? 0
    const clusters = bitmapClusters(this.file, header)
    const isTheirs = (cluster: number): boolean => this.refcounts.count(cluster) === 1 && !this.metadata.has(cluster)
    if (clusters === undefined || ![...clusters].every(isTheirs)) return
    if (takeOutBitmaps(this.file, header) === undefined) return
    for (const cluster of clusters) this.refcounts.release(cluster * header.geometry.clusterSize, 1)
    this.notes.push({
      code: 'W_BITMAPS_DROPPED',
      message:
        `${this.file.name}: ${count === 1 ? 'its bitmap was' : `its ${count} bitmaps were`} dropped, since ` +
        'the change ' +
        'makes them untrue: the next backup that goes by them must be a full one',
    })
  }

  #movedTable(): HeaderChanges {
    const { blocks } = this.refcounts
    if (!blocks.hasMoved) return {}
    const { position, length } = blocks.tablePlace
    return { refcountTableOffset: BigInt(position), refcountTableClusters: length / this.#header.geometry.clusterSize }
  }

  #movedL1(): HeaderChanges {
    const { movedL1 } = this.tables
    return movedL1 === undefined ? {} : { l1TableOffset: BigInt(movedL1.position), l1Size: movedL1.entries }
  }

  #open(): Qcow2Image {
    return new Qcow2Image(this.file, this.#context, this.tables)
  }

  #trim(): void {
    if (!(this.refcounts.gaveUp || this.#cutsEnd) || !this.file.growable) return
    const end = roundUp(this.refcounts.usedEnd(), this.#header.geometry.clusterSize)
    if (end >= this.file.size) return
    this.file.truncate(end)
    this.file.flush()
    this.refcounts.cut(end)
  }
}
