import { eachPiece } from '../../../block/pieces.js'
import { ceilDivide, roundUp, viewOf } from '../../../binary/integers.js'
import type { BlockSource, ByteStore } from '../../../block/types.js'
import type { Work } from '../../../block/work.js'
import { corrupt, targetError, unsupported, usage } from '../../../errors.js'
import { maximumDirectory, readSparseHeader, sparseLayout, type SparseLayout } from '../format/sparse-layout.js'
import { capacityAt, gdAt, rgdAt, sectorLength, uncleanAt } from '../format/structs.js'
import { HostedGrains } from '../read/hosted-grains.js'
import { GrainSlots } from './grain-slots.js'

/** A table that was changed, or looked at: its entries, and where it and its copy are (bytes). */
interface Table {
  readonly entries: DataView
  readonly places: readonly number[]
}

/** Where the directories of an extent are, in bytes. */
interface Directories {
  readonly gd: number
  readonly rgd: number | undefined
}

/** What lies below the extent: the parent's bytes at an offset of the extent. */
export type Below = Pick<BlockSource, 'capacity' | 'read'> | undefined

/**
 * A hosted sparse extent open for changes. New grains come at the end of the file; no table leads to one that is not on
 * the medium: a flush brings the grains there first, then the copies of the tables, then the tables.
 */
export class LiveSparse {
  /** Another one after a change of the capacity. */
  grains: HostedGrains
  readonly store: ByteStore
  #layout: SparseLayout
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
    this.grains = this.#grainsOf(layout)
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

  /**
   * Whether a larger disk is possible: what a parent has behind the end of this extent must be hidden by zeros that
   * take no space. @throws ImageError unsupported E_NO_RESIZE; usage E_TOO_LARGE_FOR_FORMAT.
   */
  assertGrows(visible: number, capacity: number): void {
    if (capacity / sectorLength > 2 ** 32 - 1)
      throw usage('E_TOO_LARGE_FOR_FORMAT', `${this.store.name}: a sparse VMDK cannot hold ${capacity} bytes`, {
        hint: 'Convert it to the type monolithicFlat.',
      })
    if (ceilDivide(capacity, this.#layout.coverage) * 4 > maximumDirectory)
      throw unsupported('E_NO_RESIZE', `${this.store.name}: its directory would be longer than VMware allows`)
    if ((this.#below?.capacity ?? 0) > visible && !this.#layout.zeroedGrains)
      throw unsupported(
        'E_NO_RESIZE',
        `${this.store.name}: its parent is longer, and it has no zeroed grains that could hide what lies there`,
        { hint: 'Make one image of the chain first: vdisk chain flatten.' },
      )
  }

  /**
   * Makes the extent longer: what is behind its old end reads as zero before the one write of the header that shows
   * it. @param visible bytes that the disk has of it now, which may be fewer than the header says.
   */
  grow(visible: number, capacity: number): void {
    this.#begin()
    this.#endPartialGrain(visible)
    const { tables, coverage, grainSize, entriesPerTable } = this.#layout
    for (let grain = ceilDivide(visible, grainSize); grain < tables * entriesPerTable; grain++)
      this.#forgetGrain(grain, this.#hidden(grain) ? 1 : 0)
    this.flush()
    const more = ceilDivide(capacity, coverage) - tables
    const directories = more > 0 ? this.#writeTables(more) : undefined
    this.#publish(capacity, directories)
  }

  /** Makes the extent shorter: no table leads to what was cut off afterwards. */
  shrink(capacity: number): void {
    this.#begin()
    const { coverage, grainSize, entriesPerTable } = this.#layout
    const kept = ceilDivide(capacity, coverage) * entriesPerTable
    for (let grain = ceilDivide(capacity, grainSize); grain < kept; grain++) this.#forgetGrain(grain, 0)
    this.flush()
    this.#publish(capacity, undefined)
  }

  /**
   * Moves grains from the end of the file into free places, and cuts the file off behind the last one. May be stopped
   * anywhere.
   */
  *compact(): Work<void> {
    this.flush()
    const { grainSize, overhead } = this.#layout
    const slots = new GrainSlots(overhead, grainSize, this.store.size)
    yield* this.#survey(slots)
    if (!slots.aligned || (!slots.hasMove && slots.endOfGrains >= this.store.size)) return
    this.#begin()
    const bytes = new Uint8Array(grainSize)
    let moved = 0
    for (let move = slots.nextMove(); move !== undefined; move = slots.nextMove()) {
      const { grain, from, to } = move
      this.store.read(from, bytes.subarray(0, Math.min(grainSize, this.store.size - from)))
      this.store.write(to, bytes)
      this.#set(grain, to / sectorLength)
      moved++
      if (moved % 64 === 0) yield { done: moved, total: moved + slots.left }
    }
    this.flush()
    const { endOfGrains } = slots
    this.#end = this.#lowerTables(endOfGrains) ?? slots.end
    this.#free.length = 0
    this.#free.push(...slots.freeBefore(endOfGrains).reverse())
    if (this.store.size > this.#end) this.store.truncate(this.#end)
    this.store.flush()
    this.grains.forget()
  }

  /** Everything is on the medium, and the image is whole again. */
  close(): void {
    if (!this.#written) return
    this.flush()
    this.#mark(0)
    this.store.flush()
  }

  /** Which places of the file are taken, and by what. */
  *#survey(slots: GrainSlots): Work<void> {
    const { tables, entriesPerTable, gdPosition, rgdPosition, grainSize, capacity } = this.#layout
    for (const start of [gdPosition, rgdPosition]) if (start !== undefined) slots.take(start, tables * 4)
    const grains = ceilDivide(capacity, grainSize)
    for (let index = 0; index < tables; index++) {
      const { entries, places } = this.#table(index)
      for (const place of places) slots.take(place, entriesPerTable * 4)
      const first = index * entriesPerTable
      for (let slot = 0; slot < entriesPerTable && first + slot < grains; slot++) {
        const entry = entries.getUint32(slot * 4, true)
        if (entry > 1 || (entry === 1 && !this.#layout.zeroedGrains))
          slots.own(this.#placeOf(first + slot, entry), first + slot)
      }
      if (index % 64 === 63) yield { done: 0, total: tables - index }
    }
  }

  #grainsOf(layout: SparseLayout): HostedGrains {
    return new HostedGrains(
      this.store,
      layout,
      () => undefined,
      undefined,
      (index) => this.#changed.get(index)?.entries,
    )
  }

  /** What the last grain has behind the end of the disk becomes zero. */
  #endPartialGrain(visible: number): void {
    const { grainSize } = this.#layout
    const within = visible % grainSize
    if (within === 0) return
    const grain = Math.floor(visible / grainSize)
    const entry = this.#entry(grain)
    if (entry > 1) this.store.write(this.#placeOf(grain, entry) + within, new Uint8Array(grainSize - within))
    else if (entry === 0 && this.#below !== undefined && this.#below.capacity > visible) {
      const whole = new Uint8Array(grainSize)
      this.#below.read(grain * grainSize, whole.subarray(0, within))
      this.#put(grain, 0, whole)
    }
  }

  /** An entry behind the end of the disk. Its place is left to `compact`, which knows what else may lie there. */
  #forgetGrain(grain: number, entry: 0 | 1): void {
    if (this.#entry(grain) !== entry) this.#set(grain, entry)
  }

  /** Whether a grain without data would show what the parent has. */
  #hidden(grain: number): boolean {
    return this.#below !== undefined && grain * this.#layout.grainSize < this.#below.capacity
  }

  /** Longer directories, and the tables that are new in them, at the end of the file. Positions, in bytes. */
  #writeTables(more: number): Directories {
    const { tables, entriesPerTable, gdPosition, rgdPosition, grainSize } = this.#layout
    const directoryLength = roundUp((tables + more) * 4, sectorLength)
    const tableLength = entriesPerTable * 4
    const copies = [rgdPosition, gdPosition].filter((position) => position !== undefined)
    const setLength = directoryLength + more * tableLength
    const start = this.#end
    const region = new Uint8Array(roundUp(copies.length * setLength, grainSize))
    if ((start + region.length) / sectorLength > 2 ** 32)
      throw targetError('E_FILE_TOO_BIG', `${this.store.name}: a sparse VMDK cannot have more than 2 TiB`)
    const view = viewOf(region)
    for (const [copy, position] of copies.entries()) {
      const at = copy * setLength
      this.store.read(position, region.subarray(at, at + tables * 4))
      for (let index = 0; index < more; index++) {
        const table = at + directoryLength + index * tableLength
        view.setUint32(at + (tables + index) * 4, (start + table) / sectorLength, true)
        for (let slot = 0; slot < entriesPerTable; slot++)
          if (this.#hidden((tables + index) * entriesPerTable + slot)) view.setUint32(table + slot * 4, 1, true)
      }
    }
    this.store.write(start, region)
    this.store.flush()
    this.#end = start + region.length
    return { rgd: copies.length > 1 ? start : undefined, gd: start + (copies.length - 1) * setLength }
  }

  /**
   * Tables behind the last grain come down to it, with other directories. Nothing is done where they would lie over
   * what they are copied from. @returns where they end, in bytes; undefined where they stay.
   */
  #lowerTables(endOfGrains: number): number | undefined {
    const { tables, entriesPerTable, gdPosition, rgdPosition, grainSize, capacity } = this.#layout
    const old = [rgdPosition, gdPosition].filter((position) => position !== undefined)
    const directoryLength = roundUp(tables * 4, sectorLength)
    const tableLength = entriesPerTable * 4
    const behind = old.filter((position) => position >= endOfGrains)
    let lowest = Math.min(...behind)
    let moving = 0
    for (let index = 0; index < tables; index++)
      for (const place of this.#table(index).places)
        if (place >= endOfGrains) {
          lowest = Math.min(lowest, place)
          moving++
        }
    const length = old.length * directoryLength + moving * tableLength
    if (behind.length + moving === 0 || endOfGrains + length > lowest) return undefined
    let next = endOfGrains + old.length * directoryLength
    for (const [copy, position] of old.entries()) {
      const directory = new Uint8Array(directoryLength)
      this.store.read(position, directory.subarray(0, tables * 4))
      const words = viewOf(directory)
      for (let index = 0; index < tables; index++) {
        const place = words.getUint32(index * 4, true) * sectorLength
        if (place < endOfGrains) continue
        const table = new Uint8Array(tableLength)
        this.store.read(place, table)
        this.store.write(next, table)
        words.setUint32(index * 4, next / sectorLength, true)
        next += tableLength
      }
      this.store.write(endOfGrains + copy * directoryLength, directory)
    }
    this.store.flush()
    this.#publish(capacity, {
      rgd: old.length > 1 ? endOfGrains : undefined,
      gd: endOfGrains + (old.length - 1) * directoryLength,
    })
    return roundUp(next, grainSize)
  }

  /** One write of the header shows the new capacity, and leads to other directories. */
  #publish(capacity: number, directories: Directories | undefined): void {
    const header = new Uint8Array(sectorLength)
    this.store.read(0, header)
    const view = viewOf(header)
    view.setBigUint64(capacityAt, BigInt(capacity / sectorLength), true)
    if (directories !== undefined) {
      view.setBigUint64(gdAt, BigInt(directories.gd / sectorLength), true)
      if (directories.rgd !== undefined) view.setBigUint64(rgdAt, BigInt(directories.rgd / sectorLength), true)
    }
    this.store.write(0, header)
    this.store.flush()
    this.#layout = sparseLayout(this.store, readSparseHeader(this.store), 0)
    this.grains = this.#grainsOf(this.#layout)
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
