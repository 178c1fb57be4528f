/** Runs cases in a thread, so that one that never ends can be found and named. */
import { parentPort, workerData } from 'node:worker_threads'
import { Cases, type Failure } from './cases.js'

export interface WorkerInput {
  readonly format: string
  readonly seed: number
  readonly from: number
  /** The index of the case that runs. */
  readonly current: Int32Array
}

export interface WorkerReport {
  readonly next: number
  readonly outcomes: Readonly<Record<string, number>>
  readonly failures: readonly Failure[]
}

const { format, seed, from, current } = workerData as WorkerInput
const cases = new Cases(format, seed)
let index = from
// On a busy machine a thread of the lowest priority waits long before it begins.
parentPort?.postMessage('begun')
for (;;) {
  const outcomes: Record<string, number> = {}
  const failures: Failure[] = []
  const until = performance.now() + 500
  while (performance.now() < until) {
    Atomics.store(current, 0, index)
    const outcome = cases.run(index++)
    if (typeof outcome === 'string') outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    else failures.push(outcome)
  }
  parentPort?.postMessage({ next: index, outcomes, failures } satisfies WorkerReport)
}
