import { PaceMeter, type Pace } from '../operations/pace.js'
import type { Progress } from '../operations/progress.js'
import { milliseconds } from '../sys/clock.js'

export type ProgressMode = 'bar' | 'json' | 'none'

interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const words: Readonly<Record<Progress['phase'], string>> = {
  unpack: 'reading from the start',
  read: 'reading',
  copy: 'copying',
  write: 'writing',
  stream: 'writing',
  flush: 'flushing',
  verify: 'verifying',
  check: 'checking',
  compare: 'comparing',
  hash: 'hashing',
  measure: 'measuring',
  repair: 'repairing',
  jobs: 'running',
  npm: 'running npm',
}
/** Terminals keep titles on a stack (xterm's CSI 22 and 23); those that know none ignore both. */
const savedTitle = '\u001b[22;0t'
const restoredTitle = '\u001b[23;0t'

/** Phases at whose end all is done: what only reads has nothing to flush. */
const last: ReadonlySet<string> = new Set(['flush', 'check', 'compare', 'hash', 'measure', 'jobs', 'npm'])
/** Phases of which nothing is known but that they go on. */
const unmeasured: ReadonlySet<string> = new Set(['flush', 'npm'])

/**
 * Shows progress on standard error. Whole is only what has been flushed, where something is written: until then a phase
 * that has reached
 * its end is held back, so that done equals total exactly once, at the very end.
 */
export class ProgressReporter {
  readonly #mode: ProgressMode
  readonly #output: Output
  readonly #now: () => number
  readonly #pace = new PaceMeter()
  #last = -Infinity
  #drawn = false
  #titled = false
  #shownTitle = ''

  constructor(mode: ProgressMode, output: Output, now: () => number = () => milliseconds()) {
    this.#mode = mode
    this.#output = output
    this.#now = now
  }

  readonly update = (event: Progress): void => {
    if (this.#mode === 'none') return
    const now = this.#now()
    const pace = this.#pace.take(event, now)
    const { begins } = pace
    if (begins) this.#last = -Infinity
    const whole = event.total > 0 && event.done >= event.total
    if (whole && !last.has(event.phase)) return
    if (!begins && !whole && now - this.#last < (this.#mode === 'json' ? 250 : 100)) return
    this.#last = now
    if (this.#mode === 'json') this.#writeJson(event, pace)
    else if (whole) this.end()
    else this.#draw(event, pace)
  }

  /** Takes the bar away, so that what follows starts on a clean line, and gives the terminal its title back. */
  end(): void {
    if (this.#drawn) this.#output.write(`\r\u001b[K${this.#titled ? restoredTitle : ''}`)
    this.#drawn = false
    this.#titled = false
    this.#shownTitle = ''
  }

  #writeJson({ phase, done, total }: Progress, { bytesPerSecond = 0, secondsLeft }: Pace): void {
    const line = {
      phase,
      done,
      total: total > 0 ? total : null,
      bytesPerSecond: Math.round(bytesPerSecond),
      etaSeconds: secondsLeft === undefined ? null : Math.round(secondsLeft),
    }
    this.#output.write(`${JSON.stringify(line)}\n`)
  }

  #draw({ phase, done, total }: Progress, { bytesPerSecond: rate = 0, secondsLeft }: Pace): void {
    const speed = rate > 0 ? `  ${(rate / 2 ** 20).toFixed(0)} MiB/s` : ''
    const word = words[phase]
    if (unmeasured.has(phase)) {
      this.#title(`${word} - vdisk`)
      this.#line(`${word} …`)
      return
    }
    if (total === 0) {
      this.#line(`${word}  ${(done / 2 ** 20).toFixed(0)} MiB${speed}`)
      return
    }
    const percent = Math.min(99, Math.floor((done / total) * 100))
    const rest = secondsLeft === undefined ? '' : `  ${duration(secondsLeft)} left`
    const amount = phase === 'jobs' ? `  ${Math.floor(done)} of ${total} jobs` : speed
    const text = `  ${String(percent).padStart(2)} %${amount}${rest}`
    const width = Math.max(5, Math.min(40, (this.#output.columns || 80) - word.length - text.length - 4))
    const filled = Math.floor((width * percent) / 100)
    this.#title(`${percent} % ${word} - vdisk`)
    this.#line(`${word} [${'#'.repeat(filled)}${'.'.repeat(width - filled)}]${text}`)
  }

  /** The title of a terminal's window: it is seen while another window is in front. */
  #title(text: string): void {
    if (this.#output.isTTY !== true || text === this.#shownTitle) return
    this.#output.write(`${this.#titled ? '' : savedTitle}\u001b]0;${text}\u0007`)
    this.#titled = true
    this.#shownTitle = text
  }

  #line(text: string): void {
    this.#drawn = true
    this.#output.write(`\r\u001b[K${text.slice(0, Math.max(20, (this.#output.columns || 80) - 1))}`)
  }
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${whole % 60} s`
    : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
