import type { CopyTarget } from '../block/image-writer.js'
import type { ByteStore } from '../block/types.js'
import type { ScannedRun } from './chunk.js'

/** A run as a writer is asked for it: what {@link ScannedRun} says, without where its bytes are at hand. */
export type PlacementRun =
  | { readonly kind: 'data' | 'zero'; readonly at: number; readonly length: number }
  | { readonly kind: 'packed'; readonly at: number; readonly length: number; readonly storedLength: number }

/** A part of the disk as it was placed. `next` is the offset up to which the disk is dealt with then. Bytes. */
export interface PlacedChunk {
  readonly offset: number
  readonly length: number
  readonly next: number
  readonly runs: readonly PlacementRun[]
  /** Those of the blocks in it, where digests are taken (docs/tree-hash.md). */
  readonly digests?: readonly Uint8Array[]
  /** Those of its parts, one behind the other, where these are taken. */
  readonly parts?: Uint8Array
  /** Where its first bytes went, where it has any. */
  readonly first?: Placement
}

/** Bytes of a store. */
export interface Placement {
  readonly store: ByteStore
  readonly position: number
  readonly length: number
}

/** Remembers what a copy has placed, so that a later one can go on from there (docs/resuming.md). */
export interface CopyJournal {
  /** The offset from which on the disk is to be copied: what is before it lies in the target. */
  readonly start: number
  /** Undefined, or a promise: another `length` bytes are not to be begun before it settles. Asked in order. */
  room(length: number): Promise<void> | undefined
  /** A chunk was placed. Called in the order of the disk. */
  placed(chunk: PlacedChunk): void
  /** Its bytes were written. Called in any order. */
  written(chunk: PlacedChunk): void
  /** The copy failed: nobody is to wait for room any longer. */
  stop(): void
}

/** Bytes of a chunk that go to one place. `at` is within the chunk; `storedAt` where its bytes are in the buffer. */
type Visit<Run extends PlacementRun> = (
  store: ByteStore,
  position: number,
  at: number,
  length: number,
  run: Run,
) => void

/**
 * Asks a writer where the runs of a chunk go, in their order. The same runs in the same order give the same places:
 * what a copy did can be done again without the bytes. Returns where the first bytes went.
 */
export function placeRuns<Run extends PlacementRun | ScannedRun>(
  target: CopyTarget,
  offset: number,
  runs: readonly Run[],
  visit: Visit<Run>,
): Placement | undefined {
  let first: Placement | undefined
  for (const run of runs) {
    if (run.kind === 'zero') target.zero(offset + run.at, run.length)
    else if (run.kind === 'packed') {
      const placed = target.placePacked?.(offset + run.at, run.storedLength)
      if (placed === undefined) throw new TypeError('the writer offers a packed unit and no placePacked')
      first ??= { store: placed.store, position: placed.position, length: run.storedLength }
      visit(placed.store, placed.position, run.at, run.storedLength, run)
    } else {
      for (let done = 0; done < run.length;) {
        const placed = target.place(offset + run.at + done, run.length - done)
        if (placed.length <= 0 || placed.length > run.length - done)
          throw new RangeError(`the writer placed ${placed.length} of ${run.length - done} bytes`)
        first ??= placed
        visit(placed.store, placed.position, run.at + done, placed.length, run)
        done += placed.length
      }
    }
  }
  return first
}
