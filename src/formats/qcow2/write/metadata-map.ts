import { ceilDivide } from '../../../binary/integers.js'
import { SparseBits } from '../../../binary/sparse-bits.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints, printable } from '../../../errors.js'
import { L1Entry } from '../format/entries.js'
import type { Header } from '../format/header.js'
import type { RefcountStore } from '../format/refcounts.js'
import { readSnapshots, snapshotDisk } from '../format/snapshots.js'

/** Which clusters hold structures of the active disk and of the file: nothing of a guest may ever be written there. */
export class MetadataMap {
  readonly #store: ByteStore
  readonly #clusterSize: number
  readonly #bits = new SparseBits()

  /**
   * Reads everything that leads to a structure.
   * @throws ImageError corrupt E_OVERLAP where two structures share a cluster, E_CORRUPT, E_TRUNCATED, and those of
   * reading snapshots.
   */
  constructor(store: ByteStore, header: Header, l1: DataView, refcounts: RefcountStore) {
    this.#store = store
    this.#clusterSize = header.geometry.clusterSize
    this.claim('header', 0, 1)
    this.claim('L1 table', header.l1.position, header.l1.entries * 8)
    this.claim('refcount table', header.refcountTable.position, header.refcountTable.entries * 8)
    for (let index = 0; index < refcounts.entries; index++) {
      const position = refcounts.position(index)
      if (position !== 0) this.#claimTable(`refcount block ${index}`, position)
    }
    const entry = new L1Entry()
    for (let index = entry.next(l1, 0); index >= 0; index = entry.next(l1, index + 1)) {
      if (entry.isEmpty) continue
      const fault = entry.fault(this.#clusterSize)
      if (fault !== undefined)
        throw corrupt('E_CORRUPT', `${store.name}: L1 entry ${index} ${fault}: the image cannot be changed`, {
          hint: hints.check,
        })
      this.#claimTable(`L2 table of L1 entry ${index}`, entry.position)
    }
    this.#claimSnapshots(header)
  }

  has(cluster: number): boolean {
    return this.#bits.has(cluster)
  }

  /** A structure of `length` bytes begins at `position`. @throws ImageError corrupt E_OVERLAP */
  claim(what: string, position: number, length: number): void {
    const first = position / this.#clusterSize
    const end = first + ceilDivide(length, this.#clusterSize)
    for (let cluster = first; cluster < end; cluster++) {
      if (this.#bits.has(cluster)) {
        throw corrupt(
          'E_OVERLAP',
          `${this.#store.name}: the ${what} at byte ${position} shares byte ${cluster * this.#clusterSize} ` +
            'with another structure: the image cannot be changed without damage',
          {
            hint: hints.check,
            details: { position },
          },
        )
      }
      this.#bits.set(cluster)
    }
  }

  /** A cluster holds no structure any more. */
  clear(cluster: number): void {
    this.#bits.clear(cluster)
  }

  #claimTable(what: string, position: number): void {
    if (position % this.#clusterSize !== 0)
      throw corrupt(
        'E_CORRUPT',
        `${this.#store.name}: the ${what} at byte ${position} begins no cluster: the image cannot be changed`,
        { details: { position } },
      )
    if (position >= this.#store.size) {
      throw corrupt(
        'E_TRUNCATED',
        `${this.#store.name}: the ${what} is at byte ${position}, but the file ends at byte ${this.#store.size}`,
        { details: { position, size: this.#store.size } },
      )
    }
    this.claim(what, position, 1)
  }

  #claimSnapshots(header: Header): void {
    const snapshots = readSnapshots(this.#store, header)
    const last = snapshots.at(-1)
    if (last === undefined) return
    this.claim('snapshot table', header.snapshots.position, last.position + last.length - header.snapshots.position)
    for (const snapshot of snapshots) {
      const { l1 } = snapshotDisk(this.#store, header, snapshot)
      this.claim(`L1 table of snapshot ${printable(snapshot.id)}`, l1.position, l1.entries * 8)
    }
  }
}
