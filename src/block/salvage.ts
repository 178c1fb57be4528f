import { aborted, corrupt, isImageError } from '../errors.js'
import type { BlockSource, Extent } from './types.js'
import { nextTurn } from '../sys/next-turn.js'

/** A run of a disk, in bytes. */
export interface BadRun {
  readonly offset: number
  readonly length: number
}

/** Separate bad runs beyond this are no disk with bad sectors but a broken one. */
const maximumRuns = 1_000_000
/** What the system says of a device that is there no more: everything would read as bad. */
const goneCodes: ReadonlySet<unknown> = new Set(['ENODEV', 'ENXIO', 'ENOMEDIUM', 'ESHUTDOWN', 'EBADF'])

/**
 * A disk read in spite of bad sectors: what cannot be read is zero, and listed. A failed read is halved until single
 * sectors remain,
 * so that everything around a bad one is kept. A device that is gone is an error: E_READ.
 */
export class SalvagingSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #source: BlockSource
  readonly #stillThere: () => boolean
  /** Ascending, apart from each other. */
  readonly #bad: BadRun[] = []

  /**
   * Closing it leaves `source` open. @param stillThere asked when a long read fails; false: the failure is the device's
   * end.
   */
  constructor(source: BlockSource, stillThere: () => boolean = () => true) {
    this.#source = source
    this.#stillThere = stillThere
    this.capacity = source.capacity
    this.sectorSize = source.sectorSize
    this.grain = source.grain
  }

  /** What could not be read so far: ascending, neighbours joined. */
  get bad(): BadRun[] {
    return [...this.#bad]
  }

  /** Adds what an earlier read of the same disk found. */
  restore({ offset, length }: BadRun): void {
    this.#add(offset, length)
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#source.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    for (const done of this.#attempts(offset, target)) if (done) return
  }

  /**
   * The same, letting others work between the attempts: a dying disk takes seconds for each. @throws ImageError aborted
   * E_ABORTED.
   */
  async salvage(offset: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    for (const done of this.#attempts(offset, target)) {
      if (done) return
      await nextTurn()
      if (signal?.aborted === true) throw aborted()
    }
  }

  /** Yields false after each failed attempt, true at the end. */
  *#attempts(offset: number, target: Uint8Array): Generator<boolean> {
    const waiting = [{ at: 0, length: target.length }]
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const start = offset + next.at
      const part = target.subarray(next.at, next.at + next.length)
      try {
        this.#source.read(start, part)
        continue
      } catch (error) {
        if (!isImageError(error) || error.code !== 'E_READ' || isGone(error.cause)) throw error
        const before = start % this.sectorSize
        const sectors = Math.ceil((before + part.length) / this.sectorSize)
        if (sectors > 64 && !this.#stillThere()) throw error
        if (sectors <= 1) {
          this.#add(start - before, Math.min(this.sectorSize, this.capacity - (start - before)))
          part.fill(0)
        } else {
          // The middle falls on a sector's start, so that no sector is tried twice.
          const middle = Math.floor(sectors / 2) * this.sectorSize - before
          waiting.push({ at: next.at + middle, length: next.length - middle }, { at: next.at, length: middle })
        }
      }
      yield false
    }
    yield true
  }

  /** Reads come in ascending order, or nearly: the place is looked for from the end. */
  #add(offset: number, length: number): void {
    let index = this.#bad.length
    while (index > 0 && (this.#bad[index - 1]?.offset ?? 0) > offset) index--
    const [before, after] = [this.#bad[index - 1], this.#bad[index]]
    const end = offset + length
    if (before !== undefined && before.offset + before.length >= end) return
    const joinsBefore = before !== undefined && before.offset + before.length >= offset
    const joinsAfter = after !== undefined && after.offset <= end
    const start = joinsBefore ? before.offset : offset
    const run = { offset: start, length: Math.max(end, joinsAfter ? after.offset + after.length : 0) - start }
    this.#bad.splice(joinsBefore ? index - 1 : index, Number(joinsBefore) + Number(joinsAfter), run)
    if (this.#bad.length > maximumRuns)
      throw corrupt(
        'E_TOO_MANY_BAD',
        `more than ${maximumRuns} separate ranges cannot be read: the disk is failing as a whole`,
        { hint: 'Let a data recovery tool read it (GNU ddrescue), which tries the same places again and again.' },
      )
  }

  [Symbol.dispose](): void {
    // The source belongs to the caller.
  }
}

function isGone(cause: unknown): boolean {
  return goneCodes.has((cause as NodeJS.ErrnoException | undefined)?.code)
}
