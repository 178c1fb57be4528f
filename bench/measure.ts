import { spawn } from 'node:child_process'
import fs from 'node:fs'

/**
 * One finished run of a command: wall seconds until it ended, until what it wrote was on the medium too, seconds of
 * processor time, and peak memory in bytes (both the kernel's own figures, polled).
 */
export interface Run {
  readonly seconds: number
  readonly flushed: number
  readonly processor: number
  readonly peak: number
}

/** Runs a command to its end, and flushes the file it wrote, if any. @throws Error with what it said when it fails. */
export async function run(command: string, args: readonly string[], target?: string): Promise<Run> {
  const start = process.hrtime.bigint()
  const since = (): number => Number(process.hrtime.bigint() - start) / 1e9
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (data: Buffer) => {
    said += data.toString()
  })
  let peak = 0
  let processor = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, highWater(child.pid))
    processor = Math.max(processor, processorTime(child.pid))
  }, 10)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', resolve)
  })
  clearInterval(timer)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${code ?? 'by signal'}\n${said}`)
  const seconds = since()
  if (target === undefined) return { seconds, flushed: seconds, processor, peak }
  const descriptor = fs.openSync(target, 'r')
  fs.fsyncSync(descriptor)
  fs.closeSync(descriptor)
  return { seconds, flushed: since(), processor, peak }
}

function highWater(pid: number | undefined): number {
  try {
    const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024
  } catch {
    // It ended between two looks.
    return 0
  }
}

/** Seconds that a process and its threads have had a processor, in steps of a hundredth. */
function processorTime(pid: number | undefined): number {
  try {
    const status = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [user, system] = status
      .slice(status.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
    return (Number(user) + Number(system)) / 100
  } catch {
    return 0
  }
}

/**
 * Every command once in each round, in an order in which each follows every other equally often (Williams squares): a
 * run that leaves the
 * medium's cache full, or memory at hand, does so to all others alike. It is balanced after as many rounds as there are
 * commands; twice as many of an odd number.
 */
export function* inBalancedOrder<Command>(commands: readonly Command[], rounds: number): Generator<Command> {
  const orders = balancedOrders(commands.length)
  for (let round = 0; round < rounds; round++) {
    for (const index of orders[round % orders.length] ?? []) yield* commands.slice(index, index + 1)
  }
}

function balancedOrders(count: number): readonly (readonly number[])[] {
  const first = Array.from({ length: count }, (_, index) => (index % 2 === 0 ? index / 2 : count - (index + 1) / 2))
  const orders = Array.from({ length: count }, (_, shift) => first.map((command) => (command + shift) % count))
  return count % 2 === 0 ? orders : [...orders, ...orders.map((order) => [...order].reverse())]
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}
