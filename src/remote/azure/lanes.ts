import { UnderWay } from '../../sys/under-way.js'

/** So many successes one after the other make room for one more request. */
const steady = 16

/** How many requests there are at once: fewer when a server is busy, and slowly more again. */
export class Lanes extends UnderWay {
  readonly #most: number
  #limit: number
  #successes = 0
  #slowed = false

  constructor(most: number) {
    super()
    this.#most = this.#limit = most
  }

  /** Resolves when there is room for one more. @throws what failed first. */
  async free(): Promise<void> {
    await this.until(() => this.count < this.#limit)
  }

  override begin(work: Promise<void>): void {
    super.begin(
      work.then(() => {
        if (++this.#successes % steady === 0 && this.#limit < this.#most) this.#limit++
      }),
    )
  }

  /** The server is busy, or broke the connection. */
  slower(): void {
    // What fails together counts once.
    if (this.#slowed && this.#successes === 0) return
    this.#slowed = true
    this.#successes = 0
    this.#limit = Math.max(1, Math.floor(this.#limit / 2))
  }
}
