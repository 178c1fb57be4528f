import { isImageError, type ImageError } from '../../errors.js'
import type { ConfirmationQuestion } from '../device/confirmation.js'
import { restore, type RestoreOptions, type RestoreResult } from '../device/restore.js'
import { PaceMeter } from '../pace.js'
import type { Progress } from '../progress.js'
import { milliseconds } from '../../sys/clock.js'

export type RestoreState = 'planning' | 'asking' | 'writing' | 'done' | 'failed'

/** How far a phase is. Bytes; speed in bytes per second, time left in seconds, where they are known. */
export interface JobProgress extends Progress {
  readonly bytesPerSecond?: number
  readonly secondsLeft?: number
}

/**
 * One restoring, from the choice of image and target to its end: first everything is checked and the steps are listed
 * (a dry run), then the person confirms the target by typing, then it is written. The guards are asked in both runs.
 */
export class RestoreJob {
  readonly image: string
  readonly device: string
  state: RestoreState = 'planning'
  plan: RestoreResult | undefined
  question: ConfirmationQuestion | undefined
  progress: JobProgress | undefined
  result: RestoreResult | undefined
  error: ImageError | undefined
  /** Settled when the job has ended, however. */
  readonly ended: Promise<void>
  readonly #stopping = new AbortController()
  readonly #listeners = new Set<() => void>()
  #answer: (typed: string | undefined) => void = () => undefined
  readonly #pace = new PaceMeter()

  constructor(image: string, device: string, options: RestoreOptions) {
    this.image = image
    this.device = device
    this.ended = this.#run(options)
  }

  get isOver(): boolean {
    return this.state === 'done' || this.state === 'failed'
  }

  /** What the person typed. */
  confirm(typed: string): void {
    if (this.state !== 'asking') return
    this.#become('writing')
    this.#answer(typed)
  }

  /** Ends it: a question counts as not answered, and writing stops as Ctrl-C stops it. */
  stop(): void {
    this.#answer(undefined)
    this.#stopping.abort()
  }

  /** Calls a function at each change. @returns what ends that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Settled when the state is another than `planning`. */
  async planned(): Promise<void> {
    while (this.state === 'planning')
      await new Promise<void>((resolve) => {
        const end = this.listen(() => {
          end()
          resolve()
        })
      })
  }

  async #run(options: RestoreOptions): Promise<void> {
    try {
      this.plan = await restore(this.image, this.device, { ...options, dryRun: true })
      this.result = await restore(this.image, this.device, {
        ...options,
        signal: this.#stopping.signal,
        onProgress: (progress) => this.#advance(progress),
        ask: (question) => this.#ask(question),
      })
      this.#become('done')
    } catch (error) {
      // A fault of the program ends the program, as everywhere.
      if (!isImageError(error)) throw error
      this.error = error
      this.#become('failed')
    }
  }

  #ask(question: ConfirmationQuestion): Promise<string | undefined> {
    this.question = question
    const answered = new Promise<string | undefined>((resolve) => {
      this.#answer = resolve
    })
    this.#become('asking')
    return answered
  }

  #advance(progress: Progress): void {
    const { bytesPerSecond, secondsLeft } = this.#pace.take(progress, milliseconds())
    this.progress = {
      ...progress,
      bytesPerSecond: bytesPerSecond === undefined ? undefined : Math.round(bytesPerSecond),
      secondsLeft: secondsLeft === undefined ? undefined : Math.ceil(secondsLeft),
    }
    this.#changed()
  }

  #become(state: RestoreState): void {
    this.state = state
    this.#changed()
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}
