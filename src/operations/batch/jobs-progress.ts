import type { Progress } from '../progress.js'

/** How far jobs are together: each that has ended is one, each that runs a part of one. */
export class JobsProgress {
  readonly #parts: number[]
  readonly #report: ((progress: Progress) => void) | undefined

  constructor(count: number, report: ((progress: Progress) => void) | undefined) {
    this.#parts = Array.from({ length: count }, () => 0)
    this.#report = report
    this.#show()
  }

  /** What takes the progress of one job. */
  of(index: number): (progress: Progress) => void {
    return ({ done, total }) => {
      if (!(total > 0)) return
      // A job may copy and then verify: its second phase is not a step back, and it has ended only when it says so.
      this.#parts[index] = Math.max(this.#parts[index] ?? 0, Math.min(0.99, done / total))
      this.#show()
    }
  }

  ended(index: number): void {
    this.#parts[index] = 1
    this.#show()
  }

  #show(): void {
    const done = this.#parts.reduce((sum, part) => sum + part, 0)
    this.#report?.({ phase: 'jobs', done: Math.round(done * 1000) / 1000, total: this.#parts.length })
  }
}
