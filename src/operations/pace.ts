import type { Progress } from './progress.js'

/** How fast a phase is; undefined is not known. */
export interface Pace {
  /** Whether this is the first that is known of the phase. */
  readonly begins: boolean
  readonly bytesPerSecond: number | undefined
  /** Until the phase is done, at that speed. */
  readonly secondsLeft: number | undefined
}

/** Phases that count something other than bytes: entries of tables, jobs. They have a pace, and no speed. */
const countsOthers: ReadonlySet<Progress['phase']> = new Set(['check', 'repair', 'jobs', 'npm', 'flush'])

/** Takes the pace of one phase after the other, from its beginning. */
export class PaceMeter {
  #phase: Progress['phase'] | undefined
  #start = 0
  #done = 0

  /** @param now milliseconds, of a clock that only goes forward. */
  take({ phase, done, total }: Progress, now: number): Pace {
    const begins = phase !== this.#phase
    // A phase may go over its bytes more than once.
    if (begins || done < this.#done) {
      this.#phase = phase
      this.#start = now
    }
    this.#done = done
    const seconds = (now - this.#start) / 1000
    // Whether something has been flushed is known at its end only.
    const rate = seconds > 0 && done > 0 && phase !== 'flush' ? done / seconds : undefined
    return {
      begins,
      bytesPerSecond: countsOthers.has(phase) ? undefined : rate,
      secondsLeft: rate === undefined || total <= 0 ? undefined : (total - done) / rate,
    }
  }
}
