import { viewOf } from '../../../binary/integers.js'
import { corrupt, hints } from '../../../errors.js'
import { encodeState, type EntryState } from '../format/entries.js'
import { EntryFinder } from '../format/entry-finder.js'
import type { Geometry } from '../format/layout.js'
import type { WriteSession } from './write-session.js'

/** What an entry says to one who changes it. `packed`: its stored bytes. */
export type ClusterState =
  | { readonly kind: 'packed'; readonly position: number; readonly storedLength: number }
  | { readonly kind: 'plain'; readonly use: EntryState }

export const nothing = {
  kind: 'plain',
  use: { position: 0, copied: false, allocated: 0, zeroed: 0 },
} as const satisfies ClusterState

/** The entries of guest clusters in a session's tables, as they are read and changed. */
export class ClusterEntries {
  readonly session: WriteSession
  readonly #geometry: Geometry
  readonly #finder: EntryFinder
  readonly #extended: boolean

  constructor(session: WriteSession) {
    const { header } = session
    this.session = session
    this.#geometry = header.geometry
    this.#finder = new EntryFinder(header, session.tables)
    this.#extended = header.extendedL2
  }

  /** What the entry of a cluster says. @throws ImageError corrupt E_CORRUPT where no reader may go by it. */
  state(cluster: number): ClusterState {
    const finder = this.#finder
    if (!finder.find(cluster, (cluster + 1) * this.#geometry.clusterSize)) return nothing
    const { l2: entry } = finder
    const { fault } = entry
    if (fault !== undefined) {
      throw corrupt(
        'E_CORRUPT',
        `${this.session.file.name}: the L2 entry at byte ${finder.position} ${fault}: it cannot be changed`,
        { hint: hints.check, details: { position: finder.position } },
      )
    }
    return entry.kind === 'packed'
      ? { kind: 'packed', position: entry.position, storedLength: entry.storedLength }
      : { kind: 'plain', use: entry.use() }
  }

  /** Writes an entry, and releases what the old one led to. */
  set(cluster: number, use: EntryState): void {
    const { clusterSize, entriesPerTable, entrySize } = this.#geometry
    const { tables, refcounts, image } = this.session
    const before = this.state(cluster)
    if (before.kind === 'plain' && isSame(before.use, use)) return
    const { position, table } = this.table(cluster)
    const index = cluster % entriesPerTable
    if (before.kind === 'packed') refcounts.release(before.position, before.storedLength)
    else if (before.use.position !== 0 && before.use.position !== use.position)
      refcounts.release(before.use.position, clusterSize)
    encodeState(table, index, this.#extended, use)
    tables.touch(position, table, index * entrySize, (index + 1) * entrySize)
    image.changed()
  }

  /** The L2 table of a cluster, one that may be changed: made or copied where there is none. */
  table(cluster: number): { readonly position: number; readonly table: DataView } {
    const { clusterSize, entriesPerTable } = this.#geometry
    const { tables, refcounts, metadata } = this.session
    const l1Index = Math.floor(cluster / entriesPerTable)
    const old = tables.position(l1Index)
    if (old !== undefined && tables.isOwn(l1Index) && refcounts.count(old / clusterSize) === 1)
      return { position: old, table: tables.table(old, 0) }
    const bytes = new Uint8Array(clusterSize)
    if (old !== undefined) {
      const shared = tables.table(old, 0)
      bytes.set(new Uint8Array(shared.buffer, shared.byteOffset, shared.byteLength))
      // What a snapshot refers to as well has more than one reference, whatever the entries say.
      refcounts.release(old, clusterSize)
    }
    const { position } = refcounts.allocate(1)
    metadata.claim(`L2 table of L1 entry ${l1Index}`, position, 1)
    const table = viewOf(bytes)
    tables.add(l1Index, position, table)
    return { position, table }
  }

  /**
   * Whether a host cluster is there that nobody else refers to. @throws ImageError corrupt where it belongs to
   * something else.
   */
  owns({ position, copied }: EntryState): boolean {
    if (position === 0) return false
    const cluster = position / this.#geometry.clusterSize
    const count = this.session.refcounts.count(cluster)
    if (this.session.metadata.has(cluster) || count === 0) {
      throw corrupt(
        count === 0 ? 'E_REFCOUNT' : 'E_OVERLAP',
        `${this.session.file.name}: a guest cluster lies at byte ${position}, which ` +
          `${count === 0 ? 'has a refcount of 0' : 'belongs to a table'}: the image cannot be changed without damage`,
        {
          hint: hints.check,
          details: { position },
        },
      )
    }
    return copied && count === 1
  }
}

function isSame(one: EntryState, other: EntryState): boolean {
  return (
    one.position === other.position &&
    one.copied === other.copied &&
    one.allocated === other.allocated &&
    one.zeroed === other.zeroed
  )
}
