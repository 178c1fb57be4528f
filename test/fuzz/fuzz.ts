/**
 * The structure-aware fuzzer: `npm run fuzz -- [--minutes 1] [--seed 1] [--from 0] [--format vhdx] [--case 123]`.
 * Each format gets an equal share of the time. Prints one JSON line a format; exit 1 when a case failed.
 */
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { Cases, fuzzedFormats, type Failure } from './cases.js'
import type { WorkerInput, WorkerReport } from './worker.js'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    format: { type: 'string', multiple: true },
    case: { type: 'string' },
  },
})
const formats = values.format ?? fuzzedFormats
const seed = Number(values.seed)
const hangMilliseconds = 30000

if (values.case !== undefined) {
  for (const format of formats) console.log(new Cases(format, seed).run(Number(values.case)))
} else {
  for (const format of formats) await fuzz(format, (Number(values.minutes) * 60000) / formats.length)
}

async function fuzz(format: string, milliseconds: number): Promise<void> {
  const start = performance.now()
  const outcomes: Record<string, number> = {}
  const failures: Failure[] = []
  let next = Number(values.from)
  while (performance.now() - start < milliseconds) {
    next = await run(format, next, start + milliseconds, (report) => {
      for (const [outcome, count] of Object.entries(report.outcomes))
        outcomes[outcome] = (outcomes[outcome] ?? 0) + count
      failures.push(...report.failures)
      for (const failure of report.failures) console.error(JSON.stringify(failure, undefined, 2))
    })
  }
  const seconds = Math.round((performance.now() - start) / 1000)
  console.log(
    JSON.stringify({
      format,
      seed,
      from: Number(values.from),
      cases: next - Number(values.from),
      seconds,
      failures: failures.length,
      outcomes,
    }),
  )
  if (failures.length > 0) process.exitCode = 1
}

/** One thread, until the time is over or a case hangs. @returns the next index. */
async function run(format: string, from: number, end: number, take: (report: WorkerReport) => void): Promise<number> {
  const current = new Int32Array(new SharedArrayBuffer(4))
  const input: WorkerInput = { format, seed, from, current }
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: input,
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  })
  let reported = from
  let last: number | undefined
  const fail = (message: string): void => {
    const index = Atomics.load(current, 0)
    take({ next: index + 1, outcomes: {}, failures: [{ format, seed, index, image: '', changes: [], message }] })
    reported = index + 1
  }
  const stopped = new Promise<void>((resolve) => {
    worker.on('message', (report: WorkerReport | 'begun') => {
      last = performance.now()
      if (report === 'begun') return
      take(report)
      reported = report.next
    })
    worker.on('error', (error) => {
      fail(String(error))
      resolve()
    })
    const watch = setInterval(() => {
      const hangs = last !== undefined && performance.now() - last > hangMilliseconds
      if (hangs) fail(`no end after ${hangMilliseconds} ms`)
      if (hangs || performance.now() > end) resolve()
    }, 500)
    worker.on('exit', () => clearInterval(watch))
  })
  await stopped
  await worker.terminate()
  return reported
}
