import type { Progress } from '../../engine/progress.js'
import type { ImageError } from '../../errors.js'
import type { CheckProgress, WritableImage } from '../../formats/driver.js'

/**
 * Moves what is last in an image's file into the holes that were given back, and flushes it. May be left out, or
 * stopped, at any time.
 * @param interrupted the error of the signal. @throws ImageError target; aborted.
 */
export async function closeHoles(
  image: WritableImage,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void },
  interrupted: (step: CheckProgress) => ImageError,
): Promise<void> {
  for (const step of image.compact?.() ?? []) {
    onProgress?.({ phase: 'copy', done: step.done, total: step.total })
    if (signal?.aborted === true) throw interrupted(step)
    await new Promise((next) => setImmediate(next))
  }
  image.flush()
}
