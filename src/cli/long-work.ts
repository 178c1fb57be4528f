import { setFlagsFromString } from 'node:v8'
import type { Progress } from '../operations/progress.js'
import { nodeMajor } from '../sys/self.js'

/** From this many bytes on, work takes long enough for V8's optimiser to begin. */
const longWork = 64 * 1024 * 1024
/** V8's own figure, and the one while bytes are moved, by Node's version: later ones do better by themselves. */
const budgets = { '20': ['--interrupt-budget=67584', '--interrupt-budget=1000000'] } as const

/**
 * Passes progress on; where there is much to do, V8 then waits for longer until it optimises a function. A copy waits
 * for the medium and for libraries, and what threads of V8 take to optimise its loops (0.1 s of processor time) is
 * never earned back in a run of seconds. A run of minutes has its loops optimised as ever, a little later.
 */
export function calmly(update: (event: Progress) => void): (event: Progress) => void {
  let known = false
  return (event) => {
    if (!known && event.total >= longWork) {
      known = true
      waitLonger()
    }
    // What a copy begins with is no progress yet.
    if (event.phase !== 'copy' || event.done > 0) update(event)
  }
}

function waitLonger(): void {
  const version = nodeMajor()
  const [usual, longer] = version in budgets ? budgets[version as keyof typeof budgets] : []
  if (usual === undefined || longer === undefined) return
  setFlagsFromString(longer)
  // The code cache, which is written when the process ends, is of the usual flags.
  process.prependListener('exit', () => setFlagsFromString(usual))
}
