import assert from 'node:assert/strict'
import fs from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { vdisk, type CliResult } from './cli.js'

const mebibyte = 1048576

/** What a killed run had done, and where the next one began: offsets of the disk, from the lines of progress. */
interface Run {
  readonly result: CliResult
  readonly first: number
  readonly last: number
  readonly total: number
}

/** Random numbers that a seed gives again: a failure can be repeated with the seed that is printed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** A disk: noise, text that compresses, zeros written, holes, and pieces that begin anywhere. @param size in MiB. */
export function variedDisk(path: string, seed = 1, size = 144): void {
  const random = randomOf(seed)
  const file = fs.openSync(path, 'w')
  fs.ftruncateSync(file, size * mebibyte)
  const noise = Buffer.alloc(mebibyte)
  for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
  const text = Buffer.alloc(mebibyte, 'all that is the same again and again, but not quite ')
  for (let index = 0; index < size; index++) {
    const kind = Math.floor(random() * 8)
    if (kind === 7) continue
    const bytes = kind === 6 ? Buffer.alloc(mebibyte) : Buffer.from(kind < 3 ? noise : text)
    if (kind !== 6) for (let at = 0; at < mebibyte; at += 4096) bytes.writeUInt32LE(index * 4096 + at, at)
    // The end of a piece is no multiple of a sector, cluster or block.
    fs.writeSync(file, bytes, 0, kind === 5 ? 300_001 : mebibyte, index * mebibyte)
  }
  fs.closeSync(file)
}

/** Runs a command, and ends it by a signal some time after its first line of progress; 0: never. */
async function run(
  cwd: string,
  args: readonly string[],
  { after, signal = 'SIGKILL', env }: { after: number; signal?: NodeJS.Signals; env?: Record<string, string> },
): Promise<Run> {
  let first = -1
  let last = 0
  let all = 0
  let text = ''
  let waits = false
  const result = await vdisk([...args, '--progress', 'json'], {
    cwd,
    env,
    onError: (piece, child) => {
      text += piece
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        const { phase, done, total } = line.startsWith('{')
          ? (JSON.parse(line) as { phase: string; done: number; total: number })
          : { phase: '', done: 0, total: 0 }
        // What comes behind the copy says that all is copied; the last line of it may be left out.
        if ((phase === 'flush' || phase === 'verify') && first >= 0) last = all
        if (phase !== 'copy' && phase !== 'write') continue
        if (first < 0) first = done
        last = done
        all = total
      }
      if (after <= 0 || waits) return
      waits = true
      void setTimeout(after).then(() => child.kill(signal))
    },
  })
  return { result, first, last, total: all }
}

export interface Kills {
  /** How often it is killed, at most; afterwards it may end. */
  readonly kills: number
  readonly random: () => number
  readonly signal?: NodeJS.Signals
  readonly env?: Record<string, string>
  /** When to send the signal, in milliseconds after the first line of progress; default: 0 to 900, at random. */
  readonly after?: number
  /** Whether a run left something to be gone on with; default: what is complete has its name, and is not made again. */
  readonly left?: () => boolean
}

/**
 * Runs a command with `--resume` until it ends by itself, killed some times before, and checks that no kill made more
 * than 64 MiB be done twice. Returns how often it was killed while it copied.
 */
async function untilDone(cwd: string, args: readonly string[], how: Kills): Promise<number> {
  let killed = 0
  let reached = 0
  for (let attempt = 0; attempt < 100; attempt++) {
    const after = killed < how.kills ? (how.after ?? 1 + Math.floor(how.random() * 900)) : 0
    const { result, first, last, total } = await run(cwd, [...args, '--resume'], { ...how, after })
    if (first >= 0) assert.ok(reached - first <= 64 * mebibyte, `${reached - first} bytes were done twice`)
    reached = Math.max(reached, last)
    if (result.code === 0) return killed
    // Killed when all was done and the journal gone, in the last moment of the process: convert and image say it.
    if (attempt > 0 && result.code === 7 && /exists already/.test(result.stderr)) return killed
    if (attempt > 0 && result.code === 2 && /is complete, and /.test(result.stderr)) return killed
    assert.ok(
      result.code === 'SIGKILL' || result.code === 130,
      `${args.join(' ')}: ${String(result.code)} ${result.stderr}`,
    )
    killed++
    // It was complete: of a disk nothing else shows that.
    if (last === total && how.left?.() === false) return killed
  }
  throw new Error('it never ended')
}

/**
 * The same, at a rate that lets the signal come in time: on a busy machine a run may end before it, and then everything
 * is made ready again for a slower one. Returns how often it was killed, at least once.
 * @param ready makes the place as it is before the first run.
 */
export async function killedUntilDone(
  cwd: string,
  args: readonly string[],
  how: Kills,
  ready: () => void,
): Promise<number> {
  for (let rate = 150; ; rate = Math.max(rate / 2, 4)) {
    ready()
    const killed = await untilDone(cwd, [...args, '--rate', `${Math.round(rate)}M`], how)
    if (killed > 0) return killed
  }
}
