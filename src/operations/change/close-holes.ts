import { perform, type WorkProgress } from '../../block/work.js'
import type { Progress } from '../../engine/progress.js'
import type { ImageError } from '../../errors.js'
import type { WritableImage } from '../../formats/driver.js'

/**
 * Moves what is last in an image's file into the holes that were given back, and flushes it. May be left out, or
 * stopped, at any time.
 * @param interrupted the error of the signal, by how far it came. @throws ImageError target; aborted.
 */
export async function closeHoles(
  image: WritableImage,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void },
  interrupted: (step: WorkProgress) => ImageError,
): Promise<void> {
  const work = image.compact?.()
  let last: WorkProgress = { done: 0, total: 0 }
  if (work !== undefined)
    await perform(work, {
      signal,
      onProgress: (step) => {
        last = step
        onProgress?.({ phase: 'copy', done: step.done, total: step.total })
      },
      interrupted: () => interrupted(last),
    })
  image.flush()
}
