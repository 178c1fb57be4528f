import { progressVariable, type Progress } from '../operations/progress.js'
import { milliseconds } from '../sys/clock.js'

/** How often the batch is sent how far its job is, in milliseconds. */
const interval = 250

/** What sends progress to the batch that started this process; undefined where none did. */
export function progressMessages(): ((progress: Progress) => void) | undefined {
  if (process.env[progressVariable] === undefined || process.send === undefined) return undefined
  let last = -Infinity
  return (progress) => {
    const now = milliseconds()
    if (now - last < interval) return
    last = now
    // A batch that was killed takes no more messages: the job goes on without.
    if (process.connected) process.send?.(progress, undefined, undefined, () => undefined)
  }
}
