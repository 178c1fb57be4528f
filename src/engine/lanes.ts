import { aborted } from '../errors.js'

/** A chunk's place in the order: `turn` resolves when all chunks before it called their `done`. */
export interface Ticket {
  readonly turn: Promise<void>
  /** Whether `turn` has come already: a chunk that is dealt with at once need not wait for it. */
  isTurn(): boolean
  done(): void
}

/**
 * Runs several lanes at once: each takes the next item, works on it out of order, waits for its turn, does the ordered
 * part, and goes
 * on out of order. On the first failure, or when the signal aborts, no lane takes a further item; every lane is awaited
 * before the
 * failure is thrown, so that nothing is in flight when the caller closes its files.
 */
export async function runLanes<Item>(
  count: number,
  next: () => Item | undefined,
  work: (item: Item, lane: number, ticket: Ticket) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  let failure: { readonly error: unknown } | undefined
  let previous = Promise.resolve()
  let given = 0
  let finished = 0
  const lane = async (index: number): Promise<void> => {
    while (failure === undefined) {
      let done: () => void = () => undefined
      try {
        if (signal?.aborted === true) throw aborted()
        const item = next()
        if (item === undefined) return
        const turn = previous.then(() => {
          if (failure !== undefined) throw failure.error
        })
        // A lane that fails before it waits for its turn leaves this promise unwatched.
        turn.catch(() => undefined)
        const place = given++
        previous = new Promise((resolve) => {
          let open = true
          done = () => {
            if (open) finished++
            open = false
            resolve()
          }
        })
        await work(item, index, { turn, isTurn: () => failure === undefined && finished === place, done })
      } catch (error) {
        failure ??= { error }
      } finally {
        done()
      }
    }
  }
  await Promise.all(Array.from({ length: count }, (_, index) => lane(index)))
  // Typed anew: the lanes set it, which the compiler cannot see.
  const outcome = failure
  if (outcome !== undefined) throw outcome.error
}
