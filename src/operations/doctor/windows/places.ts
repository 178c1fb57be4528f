import { isSamePlace, type DiskPlace } from '../../../hive/index.js'
import type { InspectResult } from '../../inspect/inspect.js'
import type { GuestVolume } from '../guest.js'

interface NumberedPlace {
  readonly number: number
  readonly place: DiskPlace
}

/** The partitions of a disk as Windows names them. */
export class WindowsPlaces {
  readonly #places: readonly NumberedPlace[]

  constructor({ scheme, diskId: disk, partitions }: Pick<InspectResult, 'scheme' | 'diskId' | 'partitions'>) {
    this.#places = partitions.flatMap(({ number, start, uuid: partition, role }): NumberedPlace[] => {
      if (role === 'extended' || disk === undefined) return []
      if (scheme === 'mbr') return [{ number, place: { scheme, disk, start } }]
      return scheme === 'gpt' && partition !== undefined ? [{ number, place: { scheme, partition, disk } }] : []
    })
  }

  of({ volume: { partition } }: GuestVolume): DiskPlace | undefined {
    return this.#places.find(({ number }) => number === partition?.number)?.place
  }

  has(place: DiskPlace): boolean {
    return this.number(place) !== undefined
  }

  /** The number of the partition that is meant. */
  number(place: DiskPlace): number | undefined {
    return this.#places.find((one) => isSamePlace(one.place, place))?.number
  }

  /** The place of a partition that begins there. */
  beginningAt(start: number): DiskPlace | undefined {
    return this.#places.find(({ place }) => place.scheme === 'mbr' && place.start === start)?.place
  }

  /** The place of a partition by its own GUID, whatever the disk's is. */
  ofPartition(guid: string): DiskPlace | undefined {
    return this.#places.find(({ place }) => place.scheme === 'gpt' && place.partition === guid)?.place
  }
}

/**
 * What old ids became, as far as that is certain: a boot store says which partitions it lies in and starts from, and
 * those are found by their files.
 */
export class Renames {
  readonly #places: WindowsPlaces
  readonly #pairs: { readonly old: DiskPlace; readonly now: DiskPlace }[] = []

  constructor(places: WindowsPlaces) {
    this.#places = places
  }

  /** @param old a name that no partition of the disk has. @param now the partition that was meant by it. */
  add(old: DiskPlace, now: DiskPlace | undefined): void {
    if (now !== undefined && !this.#places.has(old) && this.of(old) === undefined) this.#pairs.push({ old, now })
  }

  /** Undefined: not known, or not changed. */
  of(old: DiskPlace): DiskPlace | undefined {
    if (this.#places.has(old)) return undefined
    const pair = this.#pairs.find((one) => isSamePlace(one.old, old))
    if (pair !== undefined) return pair.now
    if (old.scheme === 'gpt') return this.#places.ofPartition(old.partition)
    // A partition of the same disk, which has another signature now.
    const signed = this.#pairs.some(
      (one) =>
        one.old.scheme === 'mbr' &&
        one.now.scheme === 'mbr' &&
        one.old.disk === old.disk &&
        one.old.start === one.now.start,
    )
    return signed ? this.#places.beginningAt(old.start) : undefined
  }
}
