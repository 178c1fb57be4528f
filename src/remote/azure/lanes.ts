/** So many successes one after the other make room for one more request. */
const steady = 16

/** How many requests there are at once: fewer when a server is busy, and slowly more again. */
export class Lanes {
  readonly #most: number
  readonly #running = new Set<Promise<void>>()
  #limit: number
  #successes = 0
  #slowed = false

  constructor(most: number) {
    this.#most = this.#limit = most
  }

  /** Resolves when there is room for one more. */
  async free(): Promise<void> {
    while (this.#running.size >= this.#limit) await Promise.race(this.#running)
  }

  /** @param work does not fail. */
  begin(work: Promise<void>): void {
    const running = work.then(() => {
      this.#running.delete(running)
      if (++this.#successes % steady === 0 && this.#limit < this.#most) this.#limit++
    })
    this.#running.add(running)
  }

  /** The server is busy, or broke the connection. */
  slower(): void {
    // What fails together counts once.
    if (this.#slowed && this.#successes === 0) return
    this.#slowed = true
    this.#successes = 0
    this.#limit = Math.max(1, Math.floor(this.#limit / 2))
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running)
  }
}
