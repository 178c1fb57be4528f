import type { HostPath } from '../errors.js'

/**
 * How a range is occupied. `exact`: byte for byte. `mapped`: by bytes that lie somewhere in it, as those of a volume
 * lie in its RAID members, or those of a virtual disk in its QCOW2 file. `filed`: by a file of the filesystem that lies
 * in it, which the system keeps apart from other files.
 */
export type Occupancy = 'exact' | 'mapped' | 'filed'

/** A range of the bytes of one thing that holds bytes, `start` to `end` in bytes. */
export interface TrailPiece {
  /** Which thing: `device 8:1`, `file 8:1/1234`. The same text is the same thing, whatever its name. */
  readonly of: string
  readonly start: number
  readonly end: number
  readonly how: Occupancy
  /** A name by which it can be opened; only of an exact piece that no server changes for us. */
  readonly path?: HostPath
}

/** Where the bytes of a device or file lie: in itself first, then in everything below. */
export interface Trail {
  readonly pieces: readonly TrailPiece[]
  /** The devices and servers that it is reached through, itself too: `device 7:1`, `fuse 45`. */
  readonly through: ReadonlySet<string>
  /** Why part of it is not known. */
  readonly unknown: readonly string[]
}

/**
 * What writing to one thing does to another. `same`: it changes its bytes. `beneath`: it changes what the other one is
 * stored in, as a disk stores a file. `upon`: it lies in the other one's filesystem, where the system keeps it apart;
 * only who reads the device as a whole sees the change.
 */
export type Effect = 'same' | 'beneath' | 'upon'

const effects: Readonly<Record<Occupancy, Readonly<Record<Occupancy, Effect | undefined>>>> = {
  exact: { exact: 'same', mapped: 'beneath', filed: 'beneath' },
  // Two volumes of one group share their members, and no byte.
  mapped: { exact: 'same', mapped: undefined, filed: undefined },
  filed: { exact: 'upon', mapped: undefined, filed: undefined },
}
const strength: readonly Effect[] = ['same', 'beneath', 'upon']

/** What writing to one trail does to another; undefined: nothing. */
export function effectOf(written: Trail, other: Trail): Effect | undefined {
  const found = new Set<Effect>()
  for (const one of written.pieces)
    for (const each of other.pieces)
      if (one.of === each.of && one.start < each.end && each.start < one.end) {
        const effect = effects[one.how][each.how]
        if (effect !== undefined) found.add(effect)
      }
  return strength.find((effect) => found.has(effect))
}

/** What two ways of occupying a range make together: the looser one. */
export function looser(one: Occupancy, other: Occupancy): Occupancy {
  return one === 'filed' || other === 'filed' ? 'filed' : one === 'mapped' ? one : other
}

/** Several trails as one. */
export function joined(trails: readonly Trail[]): Trail {
  return {
    pieces: trails.flatMap(({ pieces }) => pieces),
    through: new Set(trails.flatMap(({ through }) => [...through])),
    unknown: [...new Set(trails.flatMap(({ unknown }) => unknown))],
  }
}
