import { moveNumbers } from '../binary/move-numbers.js'
import type { UnitRun } from './unit-runs.js'

/**
 * Runs of units collected in any order, given back ascending and joined. Sixteen bytes a run; runs that touch the one
 * before cost nothing.
 */
export class RunSet implements Iterable<UnitRun> {
  #firsts = new Float64Array(16)
  #ends = new Float64Array(16)
  #count = 0
  #sorted = true

  add(first: number, count: number): void {
    if (count <= 0) return
    const last = this.#count - 1
    if (last >= 0 && this.#ends[last] === first) {
      this.#ends[last] = first + count
      return
    }
    if (last >= 0 && first < (this.#ends[last] ?? 0)) this.#sorted = false
    if (this.#count === this.#firsts.length) {
      this.#firsts = moveNumbers(this.#firsts, new Float64Array(this.#count * 2))
      this.#ends = moveNumbers(this.#ends, new Float64Array(this.#count * 2))
    }
    this.#firsts[this.#count] = first
    this.#ends[this.#count++] = first + count
  }

  /** How many runs are held, before joining. */
  get size(): number {
    return this.#count
  }

  *[Symbol.iterator](): Generator<UnitRun> {
    const order = this.#sorted ? undefined : this.#order()
    let first = -1
    let end = -1
    for (let at = 0; at < this.#count; at++) {
      const index = order === undefined ? at : (order[at] ?? 0)
      const start = this.#firsts[index] ?? 0
      const stop = this.#ends[index] ?? 0
      if (first >= 0 && start <= end) {
        end = Math.max(end, stop)
        continue
      }
      if (first >= 0) yield { first, count: end - first }
      first = start
      end = stop
    }
    if (first >= 0) yield { first, count: end - first }
  }

  #order(): Uint32Array {
    const firsts = this.#firsts
    return Uint32Array.from({ length: this.#count }, (_, index) => index).sort(
      (left, right) => (firsts[left] ?? 0) - (firsts[right] ?? 0),
    )
  }
}

/** What is in any of several ascending streams of runs, ascending and joined. */
export function* unionRuns(streams: readonly Iterable<UnitRun>[]): Generator<UnitRun> {
  const heads = streams.map((stream) => {
    const iterator = stream[Symbol.iterator]()
    return { iterator, run: next(iterator) }
  })
  let first = -1
  let end = -1
  for (;;) {
    let earliest: (typeof heads)[number] | undefined
    for (const head of heads)
      if (head.run !== undefined && (earliest?.run === undefined || head.run.first < earliest.run.first))
        earliest = head
    const run = earliest?.run
    if (earliest === undefined || run === undefined) break
    if (first >= 0 && run.first > end) {
      yield { first, count: end - first }
      first = -1
    }
    if (first < 0) {
      first = run.first
      end = run.first
    }
    end = Math.max(end, run.first + run.count)
    earliest.run = next(earliest.iterator)
  }
  if (first >= 0) yield { first, count: end - first }
}

/** What lies between the runs of an ascending stream, from `start` up to `end`. */
export function* gapsBetween(runs: Iterable<UnitRun>, start: number, end: number): Generator<UnitRun> {
  let at = start
  for (const { first, count } of runs) {
    if (first > at) yield { first: at, count: Math.min(first, end) - at }
    at = Math.max(at, first + count)
    if (at >= end) return
  }
  if (end > at) yield { first: at, count: end - at }
}

function next(iterator: Iterator<UnitRun>): UnitRun | undefined {
  const result = iterator.next()
  return result.done === true ? undefined : result.value
}
