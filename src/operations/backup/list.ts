import fs from '../../sys/host-fs.js'
import { lastPart } from '../../sys/host-path.js'
import { imagesOf, parsePoint, findPoint } from '../../location/backup-set.js'
import type { Consistency } from '../imaging/record.js'
import { keptPoints, type KeepReason } from './keep.js'
import { linksOf } from './links.js'
import { imagesSize, recordsOf, setFolder } from './set.js'
import { readSetSettings, type SetSettings } from './settings.js'

/** A point as lists have it. Sizes are bytes. */
export interface ListedPoint {
  /** UTC: `2026-11-30T041500Z`; what it is asked for by. */
  readonly time: string
  /** How it is named as a source: `/mnt/backup/disk@2026-11-30T041500Z`. */
  readonly address: string
  readonly image: string
  readonly kind: 'full' | 'incremental'
  /** The image that it needs, without folders. */
  readonly parent?: string
  readonly size: number
  /** Of the disk. */
  readonly capacity: number
  readonly consistency: Consistency
  /** Bytes of the disk that could not be read. */
  readonly unreadable: number
  /** Why the policy of the set keeps it; empty: the next prune takes it away. */
  readonly kept: readonly KeepReason[]
  /** Why it cannot be read. */
  readonly problem?: string
}

export interface SetList {
  readonly set: string
  readonly points: readonly ListedPoint[]
  /** Points whose records cannot be understood, and why. */
  readonly damaged: readonly { readonly time: string; readonly image: string; readonly problem: string }[]
  /** Images without a record: other points may need them, and they are none themselves. */
  readonly others: readonly string[]
}

export interface ShownSet extends SetList {
  readonly settings: SetSettings
  /** Bytes that all of its images take. */
  readonly size: number
  /** Free bytes where it lies; absent where that is not known. */
  readonly free?: number
}

/** The points of a backup set, oldest first; of an address `SET@2026-11-30` only that one. */
export function listSet(set: string): SetList {
  // A folder that really has such a name is that folder.
  const address = fs.existsSync(set) ? undefined : parsePoint(set)
  const folder = setFolder(address?.folder ?? set)
  const one = address === undefined ? undefined : findPoint({ ...address, folder })
  const images = imagesOf(folder)
  const { points, damaged } = recordsOf(images)
  const links = new Map(linksOf(images).map((link) => [link.path, link]))
  const kept = keptPoints(
    points.map(({ time }) => time),
    readSetSettings(folder),
  )
  return {
    set: folder,
    points: points
      .filter(({ path }) => one === undefined || path === one.path)
      .map(({ time, path, record }) => {
        const { parent, problem } = links.get(path) ?? {}
        return {
          time,
          address: `${folder}@${time}`,
          image: lastPart(path),
          kind: record.parent === undefined && parent === undefined ? 'full' : 'incremental',
          parent: parent === undefined ? undefined : lastPart(parent),
          size: fs.statSync(path).size,
          capacity: record.image.capacity,
          consistency: record.consistency,
          unreadable: record.unreadable.bytes,
          kept: kept.get(time) ?? [],
          problem,
        }
      }),
    damaged: damaged
      .filter(({ path }) => one === undefined || path === one.path)
      .map(({ time, path, problem }) => ({ time, image: lastPart(path), problem })),
    others: images.filter(({ isPoint }) => !isPoint).map(({ path }) => lastPart(path)),
  }
}

/** The same, with the settings of the set and the room that it has. */
export function showSet(set: string): ShownSet {
  const list = listSet(set)
  const { bavail, bsize } = fs.statfsSync(list.set)
  return {
    ...list,
    settings: readSetSettings(list.set),
    size: imagesSize(list.set),
    free: bavail * bsize,
  }
}
