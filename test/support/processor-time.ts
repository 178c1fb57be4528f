import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'

/** Milliseconds of processor time that this process has taken. */
function processorTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** What `fixedWork` takes on a machine at rest, in milliseconds. */
const atRest = 40

/** Some megabytes are hashed, and a map is filled: what readers of disks do. */
function fixedWork(): number {
  const begun = processorTime()
  const digest = createHash('sha256')
  const block = Buffer.alloc(1048576, 'x')
  for (let index = 0; index < 16; index++) digest.update(block)
  digest.digest()
  const places = new Map<number, { readonly index: number }>()
  for (let index = 0; index < 300_000; index++) places.set((index * 7919) % 100_003, { index })
  return processorTime() - begun
}

/** How many times as long as on a machine at rest the same work takes now; at least 1. */
function slowness(): number {
  return Math.max(atRest, ...Array.from({ length: 3 }, fixedWork)) / atRest
}

/**
 * The processor time that is taken from here on. Programs that share a processor, its caches and its memory take more
 * of it for the same work: a limit holds for a machine at rest, and grows as a fixed piece of work takes longer.
 */
export class ProcessorTime {
  readonly #begun = processorTime()

  /** Fails where more than `milliseconds` of a machine at rest were taken. */
  atMost(milliseconds: number, what = 'it'): void {
    const over = this.over(milliseconds)
    assert.ok(over === undefined, `${what} ${over}`)
  }

  /** What is to be said where more than `milliseconds` of a machine at rest were taken. */
  over(milliseconds: number): string | undefined {
    const taken = processorTime() - this.#begun
    if (taken <= milliseconds) return undefined
    const slower = slowness()
    return taken <= milliseconds * slower
      ? undefined
      : `takes ${Math.round(taken)} ms, on a machine that is ${slower.toFixed(1)} times as slow as at rest`
  }
}
