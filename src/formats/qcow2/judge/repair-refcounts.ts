import { ceilDivide, viewOf } from '../../../binary/integers.js'
import { UseMap } from '../../../binary/use-map.js'
import { unsupported } from '../../../errors.js'
import type { CheckProgress, RepairAction } from '../../driver.js'
import { countAll } from './check.js'
import { compareRefcounts } from './check-refcounts.js'
import { encodeRefcount } from '../format/entries.js'
import { maximumRefcountTableBytes } from '../format/layout.js'
import { StoredRefcounts } from '../format/refcounts.js'
import { changeHeader } from './repair-header.js'
import { overlapFinder } from '../format/tables.js'
import type { Anatomy } from '../format/use.js'

interface Means {
  /** Bytes of memory for counting. */
  readonly budget: number
  /** Clusters that nothing uses keep their refcounts: a damaged entry may have led to them. */
  readonly keepLeaks: boolean
}

/** Sets the refcounts that are wrong, in the blocks there are. Gives whether anything was done. */
export function* mendRefcounts(
  anatomy: Anatomy,
  { budget, keepLeaks }: Means,
): Generator<RepairAction | CheckProgress, boolean> {
  const { store, header } = anatomy
  const stored = new StoredRefcounts(store, header)
  const map = new UseMap(budget)
  const total = ceilDivide(store.size, header.geometry.clusterSize)
  let raised = 0
  let lowered = 0
  for (let start = 0; start < total; start = map.limit) {
    map.begin(start)
    for (const item of countAll(anatomy, map, stored)) if (typeof item === 'number') yield { done: start, total }
    const block = new OpenBlock(anatomy, stored)
    for (const item of compareRefcounts(anatomy, map, stored)) {
      if (typeof item === 'number') {
        yield { done: start, total }
        continue
      }
      const wanted = Math.min(item.uses, stored.maximum)
      if (!item.block || item.stored === wanted || (wanted === 0 && keepLeaks)) continue
      block.set(item.cluster, wanted)
      if (item.stored < wanted) raised++
      else lowered++
    }
    block.write()
    if (raised + lowered > 0) store.flush()
  }
  if (raised > 0)
    yield {
      code: 'E_REFCOUNT',
      structure: 'refcount blocks',
      message: `raise the refcounts of ${clusters(raised)} to the use that is made of them`,
    }
  if (lowered > 0)
    yield {
      code: 'L_REFCOUNT',
      structure: 'refcount blocks',
      message: `lower the refcounts of ${clusters(lowered)} to the use that is made of them`,
    }
  return raised + lowered > 0
}

function clusters(count: number): string {
  return count === 1 ? '1 cluster' : `${count} clusters`
}

/** The refcount block that is being changed; only the bytes that change are written. */
class OpenBlock {
  readonly #anatomy: Anatomy
  readonly #stored: StoredRefcounts
  #index = -1
  #view: DataView | undefined
  #first = Infinity
  #last = 0

  constructor(anatomy: Anatomy, stored: StoredRefcounts) {
    this.#anatomy = anatomy
    this.#stored = stored
  }

  set(cluster: number, count: number): void {
    const { perBlock } = this.#stored
    const index = Math.floor(cluster / perBlock)
    if (index !== this.#index) {
      this.write()
      this.#index = index
      this.#view = this.#stored.read(index)
    }
    if (this.#view === undefined) throw new TypeError(`refcount block ${index} is not there`)
    const { refcountOrder, refcountBits } = this.#anatomy.header
    encodeRefcount(this.#view, cluster - index * perBlock, refcountOrder, count)
    const at = Math.floor(((cluster - index * perBlock) * refcountBits) / 8)
    this.#first = Math.min(this.#first, at)
    this.#last = Math.max(this.#last, at + Math.max(1, refcountBits / 8))
  }

  write(): void {
    if (this.#view === undefined) return
    const place = this.#stored.place(this.#index)
    if (place.kind === 'block' && this.#last > this.#first) {
      this.#anatomy.store.write(
        place.position + this.#first,
        new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#first, this.#last - this.#first),
      )
    }
    this.#view = undefined
    this.#first = Infinity
    this.#last = 0
  }
}

/**
 * Makes new refcount structures behind the end of the file, and then leads the header to them: until that one write the
 * file is as it
 * was. The space of the old ones becomes free. With `widen` refcounts get as many bits as they need.
 */
export function* rebuildRefcounts(
  anatomy: Anatomy,
  means: Means & { readonly widen: boolean },
): Generator<RepairAction | CheckProgress> {
  const { store, header } = anatomy
  if (!store.growable)
    throw unsupported(
      'E_NOT_GROWABLE',
      `${store.name}: its refcounts must be made anew behind its end, and it cannot grow`,
      { hint: 'Repair a copy of it: --output FILE.' },
    )
  const order = means.widen ? yield* neededOrder(anatomy, means.budget) : header.refcountOrder
  const { clusterSize } = header.geometry
  const total = ceilDivide(store.size, clusterSize)
  // An entry that begins no cluster may reach into the one behind the file's last.
  const builder = new RefcountBuilder(anatomy, order, means.keepLeaks ? total + 1 : total)
  const stored = new StoredRefcounts(store, header)
  const isOld = overlapFinder(store, header, header.l1)
  const map = new UseMap(means.budget)
  for (let start = 0; start < total; start = map.limit) {
    map.begin(start)
    for (const item of countAll(anatomy, map, stored, 'without refcounts'))
      if (typeof item === 'number') yield { done: start, total }
    const end = Math.min(map.limit, total)
    for (let cluster = map.next(start); cluster < end; cluster = map.next(cluster + 1)) {
      const uses = map.uses(cluster)
      if (uses > 0) builder.set(cluster, uses)
    }
    if (!means.keepLeaks) continue
    for (const item of compareRefcounts(anatomy, map, stored)) {
      if (typeof item === 'number' || item.uses > 0 || item.stored === 0) continue
      if (isOld(item.cluster * clusterSize) === undefined) builder.keep(item.cluster)
    }
  }
  const { position, tableClusters } = builder.finish()
  store.flush()
  changeHeader(anatomy, {
    refcountTableOffset: BigInt(position),
    refcountTableClusters: tableClusters,
    ...(order === header.refcountOrder ? {} : { refcountOrder: order }),
  })
  const wider = order === header.refcountOrder ? '' : `, of ${2 ** order} bits instead of ${header.refcountBits}`
  yield {
    code: 'E_REFCOUNT_TABLE',
    structure: 'refcount table',
    position,
    message: `make new refcounts at byte ${position}${wider}: the old ones could not be mended where they are`,
  }
}

/** The narrowest refcounts that hold every count. */
function* neededOrder(anatomy: Anatomy, budget: number): Generator<CheckProgress, number> {
  const stored = new StoredRefcounts(anatomy.store, anatomy.header)
  const map = new UseMap(budget)
  const total = ceilDivide(anatomy.store.size, anatomy.header.geometry.clusterSize)
  let most = 1
  for (let start = 0; start < total; start = map.limit) {
    map.begin(start)
    for (const item of countAll(anatomy, map, stored, 'without refcounts'))
      if (typeof item === 'number') yield { done: start, total }
    for (const item of compareRefcounts(anatomy, map, stored))
      if (typeof item !== 'number') most = Math.max(most, item.uses)
  }
  let order = anatomy.header.refcountOrder
  while (order < 6 && most > 2 ** (2 ** order) - 1) order++
  return order
}

/** Refcount blocks and their table, laid out behind the end of a file. */
class RefcountBuilder {
  readonly #anatomy: Anatomy
  readonly #order: number
  readonly #perBlock: number
  readonly #maximum: number
  readonly #clusterSize: number
  /** Where the new structures begin, and where the next one goes: clusters. */
  readonly #base: number
  #next: number
  /** Positions of the blocks that are written; 0 where none is needed. */
  readonly #table = new Float64Array(maximumRefcountTableBytes / 8)
  /** The block that is being filled, and with leaks that are kept also those before it. */
  readonly #open = new Map<number, DataView>()

  /** @param base the first cluster that they may take. */
  constructor(anatomy: Anatomy, order: number, base: number) {
    this.#anatomy = anatomy
    this.#order = order
    this.#clusterSize = anatomy.header.geometry.clusterSize
    this.#perBlock = (this.#clusterSize * 8) / 2 ** order
    this.#maximum = order < 6 ? 2 ** (2 ** order) - 1 : Number.MAX_SAFE_INTEGER
    this.#base = base
    this.#next = base
  }

  set(cluster: number, count: number): void {
    encodeRefcount(
      this.#block(Math.floor(cluster / this.#perBlock)),
      cluster % this.#perBlock,
      this.#order,
      Math.min(count, this.#maximum),
    )
  }

  /** A cluster that nothing uses, and that nothing else shall take. */
  keep(cluster: number): void {
    this.set(cluster, 1)
  }

  /** Writes what is open and the table. Clusters are counted up to the end of the table itself. */
  finish(): { readonly position: number; readonly tableClusters: number } {
    const first = Math.floor(this.#base / this.#perBlock)
    for (const index of [...this.#open.keys()]) if (index < first) this.#write(index)
    let tableClusters = 1
    let end = 0
    for (let last = first; ;) {
      end = this.#next + (last - first + 1) + tableClusters
      const needed = Math.max(last, Math.floor((end - 1) / this.#perBlock))
      const table = ceilDivide((needed + 1) * 8, this.#clusterSize)
      if (needed === last && table === tableClusters) break
      last = needed
      tableClusters = table
    }
    for (let cluster = this.#base; cluster < end; cluster++) this.set(cluster, 1)
    for (const index of [...this.#open.keys()].sort((a, b) => a - b)) this.#write(index)
    const position = (end - tableClusters) * this.#clusterSize
    const bytes = new Uint8Array(tableClusters * this.#clusterSize)
    const view = viewOf(bytes)
    for (let index = 0; index < bytes.length / 8; index++) view.setBigUint64(index * 8, BigInt(this.#table[index] ?? 0))
    this.#anatomy.store.write(position, bytes)
    return { position, tableClusters }
  }

  #block(index: number): DataView {
    const open = this.#open.get(index)
    if (open !== undefined) return open
    const { store } = this.#anatomy
    if (index >= this.#table.length) {
      throw unsupported(
        'E_REFCOUNT_LIMIT',
        `${store.name}: refcounts cannot be kept for cluster ${index * this.#perBlock}, where its content ends`,
        { hint: 'Convert the image to a new one with a larger cluster-size.' },
      )
    }
    const bytes = new Uint8Array(this.#clusterSize)
    // A block that was closed too early: a kept leak lies in it.
    const position = this.#table[index] ?? 0
    if (position > 0) store.read(position, bytes)
    const view = viewOf(bytes)
    this.#close(index)
    this.#open.set(index, view)
    return view
  }

  /** Writes the other open blocks. The one that the end of the file lies in waits for the new structures. */
  #close(next: number): void {
    const last = Math.floor(this.#base / this.#perBlock)
    for (const index of [...this.#open.keys()]) if (index !== next && index < last) this.#write(index)
  }

  #write(index: number): void {
    const view = this.#open.get(index)
    if (view === undefined) return
    this.#open.delete(index)
    const known = this.#table[index] ?? 0
    const position = known > 0 ? known : this.#next++ * this.#clusterSize
    this.#table[index] = position
    this.#anatomy.store.write(position, new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
  }
}
