import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { assertNoWarning, root } from './cli.js'
import { skipReason } from './complete.js'

/**
 * Runs vdisk under strace, which makes the system refuse calls, or kills the process at them. Calls are counted by
 * thread, and the Nth of every thread is meant. write(2) is left out: by it Node wakes its own threads.
 */
export type CallSet = 'writes' | 'flushes' | 'all'
const calls: Readonly<Record<CallSet, string>> = {
  writes: 'pwrite64,pwritev',
  flushes: 'fsync,fdatasync',
  all: 'pwrite64,pwritev,fsync,fdatasync,ftruncate,fallocate,linkat,link,rename,renameat,renameat2,unlink,unlinkat',
}

export interface Injection {
  readonly set: CallSet
  /** From 1 on. */
  readonly at: number
  /** That call alone, or all from there. */
  readonly on?: boolean
  /** An error's name, or a kill. */
  readonly what: 'ENOSPC' | 'EIO' | 'EDQUOT' | 'EFBIG' | 'SIGKILL'
}

/** Why there is no such tracing here; undefined when there is. */
export function tracingMissing(): string | undefined {
  const { error, status } = spawnSync('strace', ['-f', '--seccomp-bpf', '-qq', '-o', '/dev/null', 'true'])
  return skipReason(
    error !== undefined
      ? 'strace is not installed'
      : status === 0
        ? undefined
        : 'processes cannot be traced here (strace --seccomp-bpf)',
  )
}

/** A run: its output as it comes, and how it ended. */
export class Traced {
  readonly child: ChildProcess
  readonly ended: Promise<number | string>
  stdout = ''
  stderr = ''
  readonly #log: string

  constructor(log: string, cwd: string, args: readonly string[], injection?: Injection) {
    this.#log = log
    const rule = injection === undefined ? [] : ['-e', ruleOf(injection)]
    // With a filter in the kernel strace sees less, and no signal can be sent from where it stops.
    const fast = injection?.what === 'SIGKILL' ? [] : ['--seccomp-bpf']
    this.child = spawn(
      'strace',
      // Descriptors are shown with what they are of.
      ['-f', ...fast, '-q', '-y', '-s', '0', '-o', log, '-e', `trace=${calls.all}`, ...rule]
        .concat(process.execPath, join(root, 'bin/run.js'))
        .concat(args),
      {
        cwd,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...process.env,
          HOME: cwd,
          TERM: 'dumb',
          VDISK_DATA_DIR: join(cwd, 'no-plugins'),
          VDISK_CODE_CACHE: 'off',
          // One thread for asynchronous writes, so that counts mean the same in every run.
          UV_THREADPOOL_SIZE: '1',
        },
      },
    )
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.ended = new Promise<number | string>((resolve, reject) => {
      this.child.on('error', reject)
      this.child.on('close', (code, signal) => resolve(code ?? signal ?? 'none'))
    }).then((code) => {
      assertNoWarning(this.stderr)
      return code
    })
  }

  /** Whether something was injected. */
  get hit(): boolean {
    return /\(INJECTED\)|killed by SIGKILL/.test(fs.readFileSync(this.#log, 'utf8'))
  }

  /**
   * How many calls of a set the busiest thread made on files and devices; Node itself flushes its outputs at the end.
   */
  count(set: CallSet): number {
    const threads = new Map<string, number>()
    const names = calls[set].split(',')
    for (const line of fs.readFileSync(this.#log, 'utf8').split('\n')) {
      const [, thread = '', name = '', descriptor] = /^(\d+) +(\w+)\((?:(\d+)<)?/.exec(line) ?? []
      if (!names.includes(name) || (descriptor !== undefined && Number(descriptor) <= 2)) continue
      threads.set(thread, (threads.get(thread) ?? 0) + 1)
    }
    return Math.max(0, ...threads.values())
  }
}

function ruleOf({ set, at, on = false, what }: Injection): string {
  return `inject=${calls[set]}:${what === 'SIGKILL' ? 'signal=KILL' : `error=${what}`}:when=${at}${on ? '+' : ''}`
}
