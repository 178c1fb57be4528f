import { aborted } from '../errors.js'

/** How far long work is; the unit is its own. A total of 0 is one that is not known. */
export interface WorkProgress {
  readonly done: number
  readonly total: number
}

/**
 * What may take long: opening what must be unpacked, checking, repairing, making an index. It reports between its
 * steps, each of which takes a few tens of milliseconds at most, and can be stopped there; it then cleans up after
 * itself.
 */
export type Work<T> = Generator<WorkProgress, T, void>

export interface WorkOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: WorkProgress) => void
}

/** Does the work at once, in one go: in threads that wait for it, and where it is known to be short. */
export function finish<T>(work: Work<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

/** Does the work, and lets signals through between its steps. @throws ImageError aborted E_ABORTED. */
export async function perform<T>(work: Work<T>, { signal, onProgress }: WorkOptions = {}): Promise<T> {
  let rested = performance.now()
  try {
    for (;;) {
      if (signal?.aborted === true) throw aborted()
      const step = work.next()
      if (step.done === true) return step.value
      if (performance.now() - rested < 50) continue
      onProgress?.(step.value)
      await new Promise((resume) => setImmediate(resume))
      rested = performance.now()
    }
  } catch (error) {
    // What it has opened is closed in its own `finally`.
    work.return(undefined as never)
    throw error
  }
}
