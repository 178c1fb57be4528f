import type { SnapshotInfo, SnapshotListResult } from '../../operations/change/snapshot.js'
import { shortSize } from '../render.js'
import { firstRows, type View } from './view.js'

export const snapshotColumns = ['id', 'name', 'date (UTC)', 'disk', 'VM state', 'its own']

export const view: View<SnapshotListResult> = {
  text({ path, snapshots }, render) {
    if (snapshots.length === 0) return render.plain(`${path} has no snapshots`)
    return firstRows(render, snapshotColumns, snapshotRows(snapshots), 16)
  },
}

/** The cells of {@link snapshotColumns}. */
export function snapshotRows(snapshots: readonly SnapshotInfo[]): string[][] {
  return snapshots.map(({ id, name, date, capacity, vmStateSize, own }) => [
    id,
    name,
    date === undefined ? 'not recorded' : date.slice(0, 19).replace('T', ' '),
    shortSize(Number(capacity)),
    vmStateSize === 0 ? '' : shortSize(Number(vmStateSize)),
    own === undefined ? 'not known' : shortSize(own),
  ])
}
