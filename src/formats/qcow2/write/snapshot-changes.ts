import type { Work } from '../../../block/work.js'
import { ceilDivide, viewOf } from '../../../binary/integers.js'
import { usage } from '../../../errors.js'
import { chooseSnapshot } from '../../driver.js'
import { encodeAllocated, markCopied } from '../format/entries.js'
import { readTable, type TableLocation } from '../format/header.js'
import { trustRefcounts } from '../judge/refcount-trust.js'
import { nextSnapshotId, snapshotTable } from '../format/snapshot-tables.js'
import { readSnapshots, snapshotDisk, type Snapshot } from '../format/snapshots.js'
import { eachReference, tablesInOrder, type EntryReference, type OwnTable } from '../format/table-walk.js'
import type { WriteSession } from './write-session.js'

/*
 * The flag of a refcount of one must go with the refcount at any moment, and they lie in different tables. So both are
 * made anew behind
 * everything, with the L1 and the snapshot table, and one write of the header's sector leads to all of them: a power
 * cut leaves the image
 * as it was or as it is to be, without leaks.
 */

/** Adds the disk as it is as a snapshot. The session is done for afterwards, also when this is stopped. */
export function* takeSnapshot(
  session: WriteSession,
  { name, time }: { readonly name: string; readonly time: number },
): Work<string> {
  const { file } = session
  const snapshots = readSnapshots(file, session.header)
  if (!Number.isInteger(time) || time < 0 || time >= 2 ** 32)
    throw usage('E_TIME', `a QCOW2 records the time of a snapshot in 32 bits: ${time} seconds since 1970 do not fit`, {
      hint: 'It can be from 1970 to 2106.',
    })
  const id = nextSnapshotId(snapshots, name, file.name)
  yield* beside(session, function* (shadow) {
    const {
      header: { capacity },
    } = session
    const l1 = copyOf(session.tables.l1)
    const total = l1.byteLength / 8
    const image = { store: file, header: session.header }
    for (const table of tablesInOrder(image, l1, 'the disk')) {
      const flags: number[] = []
      eachReference(image, table, (use) => {
        shadow.raise(use)
        if (use.copied) flags.push(use.at)
      })
      let { position } = table
      // Where no flag is to go, the table is as good for the snapshot as for the disk.
      if (flags.length === 0) shadow.raise({ position, length: 1 })
      else {
        for (const at of flags) markCopied(table.view, at, false)
        position = shadow.replace(table)
        shadow.raise({ position, length: 1 })
      }
      encodeAllocated(l1, table.l1Index * 8, position)
      markCopied(l1, table.l1Index * 8, false)
      yield { done: table.l1Index, total }
    }
    const kept = shadow.place(l1)
    shadow.moveL1(l1)
    shadow.moveSnapshots(snapshots, { id, name, time, capacity, l1Position: kept, l1Entries: total })
  })
  return id
}

/** Takes a snapshot away. The session is done for afterwards, also when this is stopped. */
export function* removeSnapshot(session: WriteSession, wanted: string): Work<void> {
  const { file } = session
  const snapshots = readSnapshots(file, session.header)
  const snapshot = chooseSnapshot(snapshots, wanted, file.name)
  yield* beside(session, function* (shadow) {
    const { header } = session
    const image = { store: file, header }
    const { l1: place } = snapshotDisk(file, header, snapshot)
    const kept = readTable(file, place)
    const l1 = copyOf(session.tables.l1)
    const total = kept.byteLength / 8 + l1.byteLength / 8
    for (const table of tablesInOrder(image, kept, `snapshot ${snapshot.id}`)) {
      eachReference(image, table, (use) => shadow.release(use))
      shadow.release({ position: table.position, length: 1 })
      yield { done: table.l1Index, total }
    }
    shadow.releaseTable(place)
    for (const table of tablesInOrder(image, l1, 'the disk')) {
      const wrong: EntryReference[] = []
      eachReference(image, table, (use) => {
        if (!use.packed && use.copied !== shadow.isOne(use.position)) wrong.push(use)
      })
      for (const { at, copied } of wrong) markCopied(table.view, at, !copied)
      const position = wrong.length > 0 ? shadow.replace(table) : table.position
      encodeAllocated(l1, table.l1Index * 8, position)
      markCopied(l1, table.l1Index * 8, shadow.isOne(position))
      yield { done: kept.byteLength / 8 + table.l1Index, total }
    }
    shadow.moveL1(l1)
    shadow.moveSnapshots(snapshots.filter((other) => other !== snapshot))
  })
}

/** New structures beside those of the file. */
class Shadow {
  /** Whether all is there that the header is to lead to. */
  isComplete = false
  readonly #session: WriteSession
  readonly #clusterSize: number
  #l1: TableLocation
  #snapshots: { readonly count: number; readonly position: number }

  constructor(session: WriteSession) {
    this.#session = session
    this.#clusterSize = session.header.geometry.clusterSize
    this.#l1 = session.header.l1
    this.#snapshots = session.header.snapshots
    session.refcounts.shadow()
  }

  raise({ position, length }: Pick<EntryReference, 'position' | 'length'>): void {
    const last = Math.floor((position + length - 1) / this.#clusterSize)
    for (let cluster = Math.floor(position / this.#clusterSize); cluster <= last; cluster++)
      this.#session.refcounts.raise(cluster)
  }

  release({ position, length }: Pick<EntryReference, 'position' | 'length'>): void {
    this.#session.refcounts.release(position, length)
  }

  releaseTable({ position, entries }: TableLocation): void {
    if (entries > 0) this.#session.refcounts.release(position, entries * 8)
  }

  isOne(position: number): boolean {
    return this.#session.refcounts.count(position / this.#clusterSize) === 1
  }

  /** A new place for a table that has changed; the old one is used once less. */
  replace({ position: old, view }: OwnTable): number {
    const { position } = this.#session.refcounts.allocate(1)
    this.#session.file.write(position, bytesOf(view))
    this.release({ position: old, length: 1 })
    return position
  }

  /** Puts a table into clusters of its own, and gives their position; 0 for one without entries. */
  place(table: DataView): number {
    if (table.byteLength === 0) return 0
    const clusters = ceilDivide(table.byteLength, this.#clusterSize)
    const { position } = this.#session.refcounts.allocateRow(clusters)
    const whole = new Uint8Array(clusters * this.#clusterSize)
    whole.set(bytesOf(table))
    this.#session.file.write(position, whole)
    return position
  }

  moveL1(l1: DataView): void {
    const { entries } = this.#l1
    const position = this.place(l1)
    this.releaseTable(this.#l1)
    this.#l1 = { position: entries === 0 ? this.#l1.position : position, entries }
  }

  moveSnapshots(kept: readonly Snapshot[], added?: Parameters<typeof snapshotTable>[2]): void {
    const { file, header, refcounts } = this.#session
    const bytes = snapshotTable(file, kept, added)
    const position = this.place(viewOf(bytes))
    const old = readSnapshots(file, header)
    const last = old.at(-1)
    if (last !== undefined)
      refcounts.release(this.#snapshots.position, last.position + last.length - this.#snapshots.position)
    this.#snapshots = { count: kept.length + (added === undefined ? 0 : 1), position }
  }

  finish(): void {
    this.isComplete = true
    this.#session.switchOver({
      l1TableOffset: BigInt(this.#l1.position),
      nbSnapshots: this.#snapshots.count,
      snapshotsOffset: BigInt(this.#snapshots.position),
    })
  }
}

/**
 * Makes new structures, then leads to them; everything else has been committed. What is stopped or fails before leaves
 * the file as it was.
 */
function* beside(session: WriteSession, make: (shadow: Shadow) => Work<void>): Work<void> {
  const { file } = session
  session.begin(false)
  trustRefcounts(file)
  const { size } = file
  let shadow: Shadow | undefined
  try {
    shadow = new Shadow(session)
    yield* make(shadow)
    shadow.finish()
  } finally {
    if (shadow?.isComplete !== true) file.truncate(size)
  }
}

function copyOf(table: DataView): DataView {
  return viewOf(Uint8Array.from(bytesOf(table)))
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}
