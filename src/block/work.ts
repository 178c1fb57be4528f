import { aborted, type ImageError } from '../errors.js'
import { milliseconds } from '../sys/clock.js'
import { nextTurn } from '../sys/next-turn.js'

/** How far long work is; the unit is its own. A total of 0 is one that is not known. */
export interface WorkProgress {
  readonly done: number
  readonly total: number
  /** What has to settle before the next step: see {@link settled}. */
  readonly until?: Promise<void>
}

/**
 * What may take long: opening what must be unpacked, checking, repairing, making an index. It reports between its
 * steps, each of which takes a few tens of milliseconds at most, and can be stopped there; it then cleans up after
 * itself. What it finds on the way (the findings of a check, the actions of a repair) comes between the reports.
 */
export type Work<T, Found extends object = never> = Generator<WorkProgress | Found, T, void>

export interface WorkOptions<Found extends object = never> {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: WorkProgress) => void
  readonly onFound?: (found: Found) => void
  /** What is thrown when it is stopped; by default that it was interrupted. */
  readonly interrupted?: () => ImageError
}

/** How long is worked between two looks at signals, in milliseconds. */
const longestTurn = 40

/** Whether a step says how far the work is, and is not something that it found. */
function isProgress(step: object): step is WorkProgress {
  return 'done' in step && 'total' in step
}

/**
 * Waits for what goes on in other threads, which reports how far it is itself. Only work that is performed can wait.
 * @throws what the promise is rejected with.
 */
export function* settled<T>(promise: Promise<T>): Work<T> {
  let result: PromiseSettledResult<T> | undefined
  const until = promise.then(
    (value) => void (result = { status: 'fulfilled', value }),
    (reason: unknown) => void (result = { status: 'rejected', reason }),
  )
  yield { done: 0, total: 0, until }
  // Assigned by the time the work goes on; the compiler does not see that.
  const seen = result
  if (seen === undefined) throw new TypeError('work that waits was done in one go')
  if (seen.status === 'rejected') throw seen.reason
  return seen.value
}

/** Does the work at once, in one go: in threads that wait for it, and where it is known to be short. */
export function finish<T>(work: Work<T, object>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

/** Does the work, and lets signals through between its steps. @throws ImageError aborted E_ABORTED. */
export async function perform<T, Found extends object = never>(
  work: Work<T, Found>,
  { signal, onProgress, onFound, interrupted = aborted }: WorkOptions<Found> = {},
): Promise<T> {
  let rested = milliseconds()
  try {
    for (;;) {
      if (signal?.aborted === true) throw interrupted()
      const step = work.next()
      if (step.done === true) return step.value
      if (!isProgress(step.value)) onFound?.(step.value)
      else if (step.value.until === undefined) onProgress?.(step.value)
      else await step.value.until
      if (milliseconds() - rested < longestTurn) continue
      await nextTurn()
      rested = milliseconds()
    }
  } catch (error) {
    stop(work)
    throw error
  }
}

/** Thrown into work that is stopped. It is no error of an image: code that goes on after those must not go on. */
class Stopped extends Error {}

/** Ends work where it stands; what it has opened is closed in its own `catch` or `finally`. */
function stop<T>(work: Work<T, object>): void {
  try {
    const step = work.throw(new Stopped('the work was stopped'))
    if (step.done !== true) work.return(undefined as never)
    // Nobody takes an answer that comes now.
    else (step.value as Partial<Disposable> | undefined)?.[Symbol.dispose]?.()
  } catch {
    // Why it is stopped is the cause.
  }
}
