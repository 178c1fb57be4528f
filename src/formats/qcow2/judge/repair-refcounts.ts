import type { Work } from '../../../block/work.js'
import { ceilDivide } from '../../../binary/integers.js'
import { ReferenceMap } from '../../../binary/reference-map.js'
import { unsupported } from '../../../errors.js'
import type { RepairAction } from '../../driver.js'
import { countAll } from './check.js'
import { compareRefcounts } from './check-refcounts.js'
import { maximumRefcountTableBytes } from '../format/layout.js'
import { RefcountStore } from '../format/refcounts.js'
import { changeHeader } from './repair-header.js'
import { overlapFinder } from '../format/tables.js'
import type { ImageParts } from '../format/owners.js'

interface RebuildOptions {
  /** Bytes of memory for counting. */
  readonly budget: number
  /** Clusters that nothing uses keep their refcounts: a damaged entry may have led to them. */
  readonly keepLeaks: boolean
}

/** Sets the refcounts that are wrong, in the blocks there are. Gives whether anything was done. */
export function* mendRefcounts(
  imageParts: ImageParts,
  { budget, keepLeaks }: RebuildOptions,
): Work<boolean, RepairAction> {
  const { store, header } = imageParts
  const stored = RefcountStore.of(store, header)
  const map = new ReferenceMap(budget)
  const total = ceilDivide(store.size, header.geometry.clusterSize)
  let raised = 0
  let lowered = 0
  for (let start = 0; start < total; start = map.limit) {
    map.begin(start)
    for (const item of countAll(imageParts, map, stored)) if (typeof item === 'number') yield { done: start, total }
    for (const item of compareRefcounts(imageParts, map, stored)) {
      if (typeof item === 'number') {
        yield { done: start, total }
        continue
      }
      const wanted = Math.min(item.uses, stored.maximum)
      if (!item.block || item.stored === wanted || (wanted === 0 && keepLeaks)) continue
      stored.setCount(item.cluster, wanted)
      if (item.stored < wanted) raised++
      else lowered++
    }
    stored.writeBlocks()
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

/**
 * Makes new refcount structures behind the end of the file, and then leads the header to them: until that one write the
 * file is as it
 * was. The space of the old ones becomes free. With `widen` refcounts get as many bits as they need.
 */
export function* rebuildRefcounts(
  imageParts: ImageParts,
  options: RebuildOptions & { readonly widen: boolean },
): Work<void, RepairAction> {
  const { store, header } = imageParts
  if (!store.growable)
    throw unsupported(
      'E_NOT_GROWABLE',
      `${store.name}: its refcounts must be made anew behind its end, and it cannot grow`,
      { hint: 'Repair a copy of it: --output FILE.' },
    )
  const order = options.widen ? yield* neededOrder(imageParts, options.budget) : header.refcountOrder
  const { clusterSize } = header.geometry
  const total = ceilDivide(store.size, clusterSize)
  // An entry that begins no cluster may reach into the one behind the file's last.
  const builder = new RefcountBuilder(imageParts, order, options.keepLeaks ? total + 1 : total)
  const stored = RefcountStore.of(store, header)
  const isOld = overlapFinder(store, header, header.l1)
  const map = new ReferenceMap(options.budget)
  for (let start = 0; start < total; start = map.limit) {
    map.begin(start)
    for (const item of countAll(imageParts, map, stored, 'without refcounts'))
      if (typeof item === 'number') yield { done: start, total }
    const end = Math.min(map.limit, total)
    for (let cluster = map.next(start); cluster < end; cluster = map.next(cluster + 1)) {
      const uses = map.uses(cluster)
      if (uses > 0) builder.set(cluster, uses)
    }
    if (!options.keepLeaks) continue
    for (const item of compareRefcounts(imageParts, map, stored)) {
      if (typeof item === 'number' || item.uses > 0 || item.stored === 0) continue
      if (isOld(item.cluster * clusterSize) === undefined) builder.keep(item.cluster)
    }
  }
  const { position, tableClusters } = builder.finish()
  store.flush()
  changeHeader(imageParts, {
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
function* neededOrder(imageParts: ImageParts, budget: number): Work<number> {
  const stored = RefcountStore.of(imageParts.store, imageParts.header)
  const map = new ReferenceMap(budget)
  const total = ceilDivide(imageParts.store.size, imageParts.header.geometry.clusterSize)
  let most = 1
  for (let start = 0; start < total; start = map.limit) {
    map.begin(start)
    for (const item of countAll(imageParts, map, stored, 'without refcounts'))
      if (typeof item === 'number') yield { done: start, total }
    for (const item of compareRefcounts(imageParts, map, stored))
      if (typeof item !== 'number') most = Math.max(most, item.uses)
  }
  let order = imageParts.header.refcountOrder
  while (order < 6 && most > 2 ** (2 ** order) - 1) order++
  return order
}

/** Refcount blocks and their table, laid out behind the end of a file. */
class RefcountBuilder {
  readonly #imageParts: ImageParts
  readonly #refcounts: RefcountStore
  readonly #clusterSize: number
  /** Where the new structures begin, and where the next one goes: clusters. */
  readonly #base: number
  #next: number
  /** The block that has no place yet, of those before the one that the end of the file lies in. */
  #open: number | undefined

  /** @param base the first cluster that they may take. */
  constructor(imageParts: ImageParts, order: number, base: number) {
    this.#imageParts = imageParts
    this.#clusterSize = imageParts.header.geometry.clusterSize
    this.#refcounts = new RefcountStore(imageParts.store, { clusterSize: this.#clusterSize, refcountOrder: order })
    this.#base = base
    this.#next = base
  }

  set(cluster: number, count: number): void {
    this.#need(Math.floor(cluster / this.#refcounts.perBlock))
    this.#refcounts.setCount(cluster, Math.min(count, this.#refcounts.maximum))
  }

  /** A cluster that nothing uses, and that nothing else shall take. */
  keep(cluster: number): void {
    this.set(cluster, 1)
  }

  /** Writes what is open and the table. Clusters are counted up to the end of the table itself. */
  finish(): { readonly position: number; readonly tableClusters: number } {
    const { perBlock } = this.#refcounts
    const first = Math.floor(this.#base / perBlock)
    this.#close()
    let tableClusters = 1
    let end = 0
    let last = first
    for (;;) {
      end = this.#next + (last - first + 1) + tableClusters
      const needed = Math.max(last, Math.floor((end - 1) / perBlock))
      const table = ceilDivide((needed + 1) * 8, this.#clusterSize)
      if (needed === last && table === tableClusters) break
      last = needed
      tableClusters = table
    }
    for (let cluster = this.#base; cluster < end; cluster++) this.set(cluster, 1)
    for (let index = first; index <= last; index++) this.#place(index)
    const position = (end - tableClusters) * this.#clusterSize
    this.#refcounts.moveTable(position, (tableClusters * this.#clusterSize) / 8)
    this.#refcounts.writeBlocks()
    return { position, tableClusters }
  }

  /** Makes sure that there is a block of that index. The one that the end of the file lies in waits for its place. */
  #need(index: number): void {
    if (this.#refcounts.get(index) !== undefined) return
    const { store } = this.#imageParts
    const { perBlock } = this.#refcounts
    if (index >= maximumRefcountTableBytes / 8) {
      throw unsupported(
        'E_REFCOUNT_LIMIT',
        `${store.name}: refcounts cannot be kept for cluster ${index * perBlock}, where its content ends`,
        { hint: 'Convert the image to a new one with a larger cluster-size.' },
      )
    }
    this.#close()
    this.#refcounts.put(index)
    if (index < Math.floor(this.#base / perBlock)) this.#open = index
  }

  #close(): void {
    if (this.#open !== undefined) this.#place(this.#open)
    this.#open = undefined
  }

  #place(index: number): void {
    const block = this.#refcounts.kept(index)
    if (block === undefined || block.position > 0) return
    block.position = this.#next++ * this.#clusterSize
    this.#refcounts.lead(index, block.position)
  }
}
