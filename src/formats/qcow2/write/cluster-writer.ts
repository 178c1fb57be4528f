import { isZero } from '../../../binary/zero.js'
import { OverlaySource } from '../../../block/overlay.js'
import type { BlockSource } from '../../../block/types.js'
import { reference } from '../../../errors.js'
import { hasUnit, unitBits, unitsWith, unitsWithout, type EntryState } from '../format/entries.js'
import type { NewClusters } from './live-refcounts.js'
import { subclustersPerCluster, type Geometry } from '../format/layout.js'
import { ClusterEntries } from './cluster-entries.js'
import type { WriteSession } from './write-session.js'

/** Clusters that are written at once, in bytes. */
const longestRun = 16 * 1024 * 1024

/** Writes and zeroes the content of clusters: data goes into the file, what leads to it into the session's tables. */
export class ClusterWriter {
  readonly entries: ClusterEntries
  readonly #session: WriteSession
  readonly #parent: BlockSource | undefined
  readonly #geometry: Geometry
  readonly #version: number
  readonly #extended: boolean
  /** What the layer leaves absent comes from somewhere else. */
  readonly #differencing: boolean
  readonly #units: number

  /** @param parent the whole disk below, of a differencing image. */
  constructor(session: WriteSession, parent: BlockSource | undefined) {
    const { header } = session
    this.#session = session
    this.entries = new ClusterEntries(session)
    this.#parent = parent
    this.#geometry = header.geometry
    this.#version = header.version
    this.#extended = header.extendedL2
    this.#differencing = header.backingFile !== undefined
    this.#units = header.extendedL2 ? subclustersPerCluster : 1
  }

  /** Writes some of the bytes, from the first on; gives how many. */
  write(offset: number, bytes: Uint8Array): number {
    const { clusterSize } = this.#geometry
    const within = offset % clusterSize
    const cluster = (offset - within) / clusterSize
    if (within === 0 && bytes.length >= clusterSize) return this.#writeWhole(cluster, bytes)
    const piece = bytes.subarray(0, Math.min(bytes.length, clusterSize - within))
    this.#writePart(cluster, within, piece)
    return piece.length
  }

  /** Makes some of a range read as zero, whatever the parent has, and gives space back; gives how much of it. */
  zero(offset: number, length: number): number {
    const { clusterSize, tableCoverage } = this.#geometry
    const l1Index = Math.floor(offset / tableCoverage)
    if (!this.#differencing && this.#session.tables.position(l1Index) === undefined)
      return Math.min(length, (l1Index + 1) * tableCoverage - offset)
    const within = offset % clusterSize
    const piece = Math.min(length, clusterSize - within)
    this.#zeroPart((offset - within) / clusterSize, within, piece)
    return piece
  }

  #writeWhole(first: number, bytes: Uint8Array): number {
    const { clusterSize, entriesPerTable } = this.#geometry
    const most = Math.min(
      Math.floor(bytes.length / clusterSize),
      entriesPerTable - (first % entriesPerTable),
      Math.max(1, longestRun / clusterSize),
    )
    const target = this.#target(first, bytes.subarray(0, clusterSize))
    if (target === 'nothing') return clusterSize
    let count = 1
    while (
      count < most &&
      this.#target(first + count, bytes.subarray(count * clusterSize, (count + 1) * clusterSize)) ===
        (target === 'new' ? 'new' : target + count * clusterSize)
    )
      count++
    let position = target
    if (position === 'new') {
      // The table first: a place for it between the clusters would part them.
      this.entries.table(first)
      const place = this.#session.refcounts.allocate(count)
      count = place.count
      position = place.position
    }
    this.#session.write(position, bytes.subarray(0, count * clusterSize))
    const allocated = unitBits(0, this.#units)
    for (let index = 0; index < count; index++)
      this.entries.set(first + index, { position: position + index * clusterSize, copied: true, allocated, zeroed: 0 })
    return count * clusterSize
  }

  /**
   * Where a cluster that is written whole goes: to a new cluster, to the position of its own, or nowhere since it is
   * zero and so are the bytes.
   */
  #target(cluster: number, bytes: Uint8Array): number | 'new' | 'nothing' {
    const state = this.entries.state(cluster)
    if (state.kind === 'packed') return 'new'
    if (this.#isZero(state.use, 0, this.#units) && isZero(bytes)) return 'nothing'
    return this.entries.owns(state.use) ? state.use.position : 'new'
  }

  #writePart(cluster: number, within: number, bytes: Uint8Array): void {
    const { clusterSize, grain } = this.#geometry
    const state = this.entries.state(cluster)
    if (state.kind === 'packed') {
      this.#replace(cluster, this.#filled(cluster, 0, clusterSize, within, bytes))
      return
    }
    const { use } = state
    const first = Math.floor(within / grain)
    const end = Math.ceil((within + bytes.length) / grain)
    if (this.#isZero(use, first, end) && isZero(bytes)) return
    const touched = unitBits(first, end)
    const allocated = unitsWith(use.allocated, touched)
    const zeroed = unitsWithout(use.zeroed, touched)
    if (this.entries.owns(use)) {
      const from = hasUnit(use.allocated, first) ? within : first * grain
      const to = hasUnit(use.allocated, end - 1) ? within + bytes.length : end * grain
      this.#session.write(use.position + from, this.#filled(cluster, from, to, within, bytes))
      if (allocated !== use.allocated || zeroed !== use.zeroed)
        this.entries.set(cluster, { position: use.position, copied: use.copied, allocated, zeroed })
      return
    }
    const content = this.#filled(cluster, first * grain, end * grain, within, bytes)
    this.entries.table(cluster)
    const place = this.#session.refcounts.allocate(1)
    this.#writeNew(place, first * grain, content, within, within + bytes.length)
    for (let unit = 0; unit < this.#units; unit++) {
      if (hasUnit(touched, unit) || !hasUnit(use.allocated, unit)) continue
      this.#session.write(
        place.position + unit * grain,
        this.#filled(cluster, unit * grain, (unit + 1) * grain, 0, new Uint8Array(0)),
      )
    }
    this.entries.set(cluster, { position: place.position, copied: true, allocated, zeroed })
  }

  /** A whole cluster gets a new place. */
  #replace(cluster: number, content: Uint8Array): void {
    this.entries.table(cluster)
    const place = this.#session.refcounts.allocate(1)
    this.#session.write(place.position, content)
    this.entries.set(cluster, {
      position: place.position,
      copied: true,
      allocated: unitBits(0, this.#units),
      zeroed: 0,
    })
  }

  /**
   * Writes into a new cluster what belongs at `at` of it. Zeros around [from, to) need not be written where there are
   * zeros.
   */
  #writeNew(place: NewClusters, at: number, content: Uint8Array, from: number, to: number): void {
    const { clusterSize } = this.#geometry
    const start = place.fresh && isZero(content, 0, from - at) ? from : at
    const end = place.fresh && isZero(content, to - at) ? to : at + content.length
    this.#session.write(place.position + start, content.subarray(start - at, end - at), place.position + clusterSize)
  }

  #zeroPart(cluster: number, within: number, length: number): void {
    const { clusterSize, grain } = this.#geometry
    const version = this.#version
    const state = this.entries.state(cluster)
    const reachesEnd = cluster * clusterSize + within + length >= this.#session.image.capacity
    const whole = within === 0 && (length === clusterSize || reachesEnd)
    if (whole && (version >= 3 || !this.#differencing)) {
      const zeroed = this.#differencing ? unitBits(0, this.#units) : 0
      const empty = { position: 0, copied: false, allocated: 0, zeroed }
      const isDone = state.kind === 'plain' && state.use.position === 0 && this.#isZero(state.use, 0, this.#units)
      if (!isDone) this.entries.set(cluster, empty)
      return
    }
    if (
      state.kind === 'plain' &&
      this.#isZero(state.use, Math.floor(within / grain), Math.ceil((within + length) / grain))
    )
      return
    if (state.kind === 'plain' && this.#isAbsent(state.use) && this.#zeroBelow(cluster * clusterSize + within, length))
      return
    if (this.#extended && state.kind === 'plain') this.#zeroUnits(cluster, within, length, state.use, reachesEnd)
    else this.#writePart(cluster, within, new Uint8Array(length))
  }

  /** Whole subclusters need no bytes. */
  #zeroUnits(cluster: number, within: number, length: number, use: EntryState, reachesEnd: boolean): void {
    const { grain } = this.#geometry
    const first = Math.ceil(within / grain)
    const end = reachesEnd ? this.#units : Math.floor((within + length) / grain)
    if (first >= end) {
      this.#writePart(cluster, within, new Uint8Array(length))
      return
    }
    if (within < first * grain) this.#writePart(cluster, within, new Uint8Array(first * grain - within))
    if (!reachesEnd && end * grain < within + length)
      this.#writePart(cluster, end * grain, new Uint8Array(within + length - end * grain))
    const state = this.entries.state(cluster)
    const now = state.kind === 'plain' ? state.use : use
    const units = unitBits(first, end)
    const allocated = unitsWithout(now.allocated, units)
    const zeroed = unitsWith(now.zeroed, units)
    this.entries.set(
      cluster,
      allocated === 0
        ? { position: 0, copied: false, allocated, zeroed }
        : { position: now.position, copied: now.copied, allocated, zeroed },
    )
  }

  /**
   * Bytes [from, to) of a cluster as the guest sees them, with `bytes` at `within`. What is past the disk's end is
   * zero.
   */
  #filled(cluster: number, from: number, to: number, within: number, bytes: Uint8Array): Uint8Array {
    if (to - from === bytes.length) return bytes
    const content = new Uint8Array(to - from)
    const start = cluster * this.#geometry.clusterSize
    const read = (begin: number, end: number): void => {
      const limit = Math.min(end, this.#session.image.capacity - start)
      if (limit > begin)
        this.#disk(start + begin, start + limit).read(start + begin, content.subarray(begin - from, limit - from))
    }
    if (bytes.length === 0) read(from, to)
    else {
      read(from, within)
      read(within + bytes.length, to)
      content.set(bytes, within - from)
    }
    return content
  }

  /**
   * The disk as the guest sees it, to read [from, to). @throws ImageError reference E_PARENT_NEEDED where only the
   * parent knows.
   */
  #disk(from: number, to: number): BlockSource {
    const { image, file } = this.#session
    if (this.#parent !== undefined) return new OverlaySource(image, this.#parent)
    for (let offset = from; this.#differencing && offset < to;) {
      const { kind, length } = image.extentAt(offset, to - offset)
      if (kind === 'absent') {
        throw reference(
          'E_PARENT_NEEDED',
          `${file.name}: bytes ${from} to ${to} of the disk are changed in part and the rest of them is the ` +
            `parent's, which is not open`,
        )
      }
      offset += length
    }
    return image
  }

  /** Whether these units of a cluster read as zero without anything of the parent. */
  #isZero(use: EntryState, first: number, end: number): boolean {
    const units = unitBits(first, end)
    return (
      unitsWithout(units, use.zeroed) === 0 ||
      (!this.#differencing && unitsWithout(use.allocated, unitsWithout(0xffffffff, units)) === 0)
    )
  }

  #isAbsent(use: EntryState): boolean {
    return use.allocated === 0 && use.zeroed === 0
  }

  /** Whether what is below reads as zero, as far as that is known without reading. */
  #zeroBelow(offset: number, length: number): boolean {
    for (let at = offset; at < offset + length;) {
      if (this.#parent === undefined) return false
      const available = this.#parent.capacity - at
      if (available <= 0) return true
      const extent = this.#parent.extentAt(at, Math.min(available, offset + length - at))
      if (extent.kind !== 'zero' && extent.kind !== 'absent') return false
      at += extent.length
    }
    return true
  }
}
