import { eachPiece } from '../../../block/pieces.js'
import { roundUp, viewOf } from '../../../binary/integers.js'
import type { BlockSource, ByteStore } from '../../../block/types.js'
import { corrupt, targetError, unsupported } from '../../../errors.js'
import type { SparseLayout } from '../format/sparse-layout.js'
import { sectorLength, uncleanAt } from '../format/structs.js'
import { HostedGrains } from '../read/hosted-grains.js'

/** A table that was changed, or looked at: its entries, and where it and its copy are (bytes). */
interface Table {
  readonly entries: DataView
  readonly places: readonly number[]
}

/** What lies below the extent: the parent's bytes at an offset of the extent. */
export type Below = Pick<BlockSource, 'capacity' | 'read'> | undefined

/**
 * A hosted sparse extent open for changes. New grains come at the end of the file; no table leads to one that is not on
 * the medium: a flush brings the grains there first, then the copies of the tables, then the tables.
 */
export class LiveSparse {
  readonly grains: HostedGrains
  readonly store: ByteStore
  readonly #layout: SparseLayout
  readonly #below: Below
  readonly #changed = new Map<number, Table>()
  /** Grains (positions) that may be given out again, and those that may be after the next flush. */
  readonly #free: number[] = []
  #freed: number[] = []
  #end: number
  #marked = false
  #written = false

  /**
   * @param below the parent's disk, seen from the start of this extent. @throws ImageError unsupported E_NOT_WRITABLE.
   */
  constructor(store: ByteStore, layout: SparseLayout, below: Below) {
    const refuse = (why: string, hint: string): Error => unsupported('E_NOT_WRITABLE', `${store.name} ${why}`, { hint })
    if (layout.compressed)
      throw refuse('is compressed (streamOptimized), and is not changed in place', 'Convert it to monolithicSparse.')
    if (layout.notes.length > 0 || layout.values.uncleanShutdown !== 0)
      throw refuse(
        'was not closed by what wrote it last, or is damaged',
        'Repair it first (vdisk repair), or convert it.',
      )
    this.store = store
    this.#layout = layout
    this.#below = below
    this.grains = new HostedGrains(
      store,
      layout,
      () => undefined,
      undefined,
      (index) => this.#changed.get(index)?.entries,
    )
    this.#end = Math.max(layout.overhead, roundUp(store.size, layout.grainSize))
  }

  /** Offset and bytes lie in the extent. */
  write(offset: number, bytes: Uint8Array): void {
    eachPiece(offset, bytes.length, this.#layout.grainSize, (grain, within, done, length) =>
      this.#put(grain, within, bytes.subarray(done, done + length)),
    )
  }

  /** The range reads as zero afterwards. */
  discard(offset: number, length: number): void {
    const { grainSize, capacity } = this.#layout
    const end = offset + length
    for (let at = offset; at < end;) {
      const grain = Math.floor(at / grainSize)
      const next = Math.min(end, (grain + 1) * grainSize)
      const whole = at === grain * grainSize && (next === (grain + 1) * grainSize || next === capacity)
      if (whole) this.#clear(grain)
      else if (!this.#isZero(grain)) this.#put(grain, at - grain * grainSize, new Uint8Array(next - at))
      at = next
    }
  }

  flush(): void {
    this.store.flush()
    if (this.#changed.size > 0) {
      const tables = [...this.#changed.values()]
      for (const { entries, places } of tables)
        for (const place of places.toReversed())
          this.store.write(place, new Uint8Array(entries.buffer, entries.byteOffset, entries.byteLength))
      this.store.flush()
      this.#changed.clear()
      this.grains.forget()
    }
    this.#free.push(...this.#freed)
    this.#freed = []
  }

  /** Everything is on the medium, and the image is whole again. */
  close(): void {
    if (!this.#written) return
    this.flush()
    this.#mark(0)
    this.store.flush()
  }

  #put(grain: number, within: number, bytes: Uint8Array): void {
    const { grainSize } = this.#layout
    const entry = this.#entry(grain)
    this.#begin()
    if (entry > 1 || (entry === 1 && !this.#layout.zeroedGrains)) {
      this.store.write(this.#placeOf(grain, entry) + within, bytes)
      return
    }
    const whole = new Uint8Array(grainSize)
    if (entry === 0) this.#readBelow(grain, whole)
    whole.set(bytes, within)
    const position = this.#allocate()
    this.store.write(position, whole)
    this.#set(grain, position / sectorLength)
  }

  #clear(grain: number): void {
    if (this.#isZero(grain)) return
    const entry = this.#entry(grain)
    const hidden = this.#below !== undefined && grain * this.#layout.grainSize < this.#below.capacity
    if (hidden && !this.#layout.zeroedGrains) {
      const { grainSize, capacity } = this.#layout
      this.#put(grain, 0, new Uint8Array(Math.min(grainSize, capacity - grain * grainSize)))
      return
    }
    this.#begin()
    if (entry > 1) this.#freed.push(this.#placeOf(grain, entry))
    this.#set(grain, hidden ? 1 : 0)
  }

  /** Whether a grain reads as zero without being stored. */
  #isZero(grain: number): boolean {
    const entry = this.#entry(grain)
    if (entry === 1 && this.#layout.zeroedGrains) return true
    return entry === 0 && (this.#below === undefined || grain * this.#layout.grainSize >= this.#below.capacity)
  }

  #readBelow(grain: number, target: Uint8Array): void {
    const start = grain * this.#layout.grainSize
    const length = Math.min(target.length, (this.#below?.capacity ?? 0) - start, this.#layout.capacity - start)
    if (length > 0) this.#below?.read(start, target.subarray(0, length))
  }

  /** @throws ImageError corrupt where no grain can be. */
  #placeOf(grain: number, entry: number): number {
    const piece = this.grains.pieceAt(grain * this.#layout.grainSize)
    if (piece.kind !== 'data' || piece.position !== entry * sectorLength)
      throw corrupt(
        'E_GRAIN_TABLE',
        `${this.store.name}: the table entry of grain ${grain} is ${entry}, which cannot be`,
      )
    return piece.position
  }

  #allocate(): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const position = this.#end
    if ((position + this.#layout.grainSize) / sectorLength > 2 ** 32)
      throw targetError('E_FILE_TOO_BIG', `${this.store.name}: a sparse VMDK cannot have more than 2 TiB`)
    this.#end += this.#layout.grainSize
    return position
  }

  #entry(grain: number): number {
    const { entriesPerTable } = this.#layout
    const index = Math.floor(grain / entriesPerTable)
    return this.#table(index).entries.getUint32((grain % entriesPerTable) * 4, true)
  }

  #set(grain: number, entry: number): void {
    const { entriesPerTable } = this.#layout
    const index = Math.floor(grain / entriesPerTable)
    let table = this.#changed.get(index)
    if (table === undefined) {
      const { entries, places } = this.#table(index)
      const copy = new Uint8Array(entries.byteLength)
      copy.set(new Uint8Array(entries.buffer, entries.byteOffset, entries.byteLength))
      this.#changed.set(index, (table = { entries: viewOf(copy), places }))
    }
    table.entries.setUint32((grain % entriesPerTable) * 4, entry, true)
    this.grains.forget()
    // So many tables take 8 MiB.
    if (this.#changed.size >= 4096) this.flush()
  }

  #table(index: number): Table {
    const changed = this.#changed.get(index)
    if (changed !== undefined) return changed
    const { places, entries } = this.grains.tableAt(index) ?? {}
    if (places === undefined || entries === undefined)
      throw unsupported(
        'E_NOT_WRITABLE',
        `${this.store.name}: grain table ${index} is missing, or has a damaged copy`,
        {
          hint: 'Convert the image: the new one has all tables.',
        },
      )
    return { places, entries }
  }

  /** Before the first change: the image says that it is open. */
  #begin(): void {
    this.#written = true
    if (this.#marked) return
    this.#mark(1)
    this.store.flush()
  }

  #mark(value: 0 | 1): void {
    const header = new Uint8Array(sectorLength)
    this.store.read(0, header)
    header[uncleanAt] = value
    this.store.write(0, header)
    this.#marked = value === 1
  }
}
