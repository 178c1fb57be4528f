/** Work that was begun, several at once, and is not waited for. What failed first is thrown by what is asked next. */
export class UnderWay {
  readonly #works = new Set<Promise<void>>()
  /** Who waits for the end of any of them. */
  readonly #waiting: (() => void)[] = []
  #failure: { readonly error: unknown } | undefined

  /** How many are not done. */
  get count(): number {
    return this.#works.size
  }

  begin(work: Promise<void>): void {
    const ended = work
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.#works.delete(ended)
        this.#wake()
      })
    this.#works.add(ended)
  }

  /** Nothing more is to be begun. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.#wake()
  }

  /** @throws what failed first. */
  stopIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Waits until there is room, which each end of a work may make. @throws what failed first. */
  async until(isRoom: () => boolean): Promise<void> {
    // A race of all works would add to each of them, each time.
    while (this.#failure === undefined && !isRoom())
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    this.stopIfFailed()
  }

  /** Waits until all of it is done, or has failed. */
  async ended(): Promise<void> {
    await Promise.all(this.#works)
  }

  /** The same. @throws what failed first. */
  async settled(): Promise<void> {
    await this.ended()
    this.stopIfFailed()
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
