import { viewOf } from '../../../binary/integers.js'
import { isZero } from '../../../binary/zero.js'
import type { ByteStore } from '../../../block/types.js'
import { printable } from '../../../errors.js'
import { maximumL1Bytes } from './layout.js'
import type { Anatomy } from './use.js'

/** An L1 table, of the active disk or of snapshots. */
export interface L1Table {
  readonly position: number
  readonly entries: number
  /** How many disks it is of. */
  readonly times: number
  /** For messages; empty for the active one. */
  readonly of: string
}

const pieceBytes = 65536

/** The L1 tables that are in the file, the active one first; those of snapshots that share one are one. */
export function l1Tables({
  header: {
    l1,
    geometry: { clusterSize },
  },
  snapshots,
  store: { size },
}: Anatomy): readonly L1Table[] {
  const shared = new Map<string, L1Table>()
  for (const { id, l1Position, l1Entries: entries } of snapshots) {
    const position = Number(l1Position)
    if (
      entries === 0 ||
      entries * 8 > maximumL1Bytes ||
      position === 0 ||
      position % clusterSize !== 0 ||
      position + entries * 8 > size
    )
      continue
    const known = shared.get(`${position} ${entries}`)
    shared.set(
      `${position} ${entries}`,
      known === undefined
        ? { position, entries, times: 1, of: ` of snapshot ${printable(id)}` }
        : { ...known, times: known.times + 1 },
    )
  }
  return [{ ...l1, times: 1, of: '' }, ...shared.values()]
}

/**
 * A table piece by piece, without those that are empty. `start` is the index of a piece's first entry; its bytes are
 * overwritten by the next.
 */
export function* readL1Pieces(
  store: ByteStore,
  { position, entries }: L1Table,
): Generator<{ readonly view: DataView; readonly start: number }> {
  const bytes = new Uint8Array(Math.min(pieceBytes, entries * 8))
  for (let start = 0; start < entries; start += pieceBytes / 8) {
    const piece = bytes.subarray(0, Math.min(pieceBytes / 8, entries - start) * 8)
    store.read(position + start * 8, piece)
    if (!isZero(piece)) yield { view: viewOf(piece), start }
  }
}
