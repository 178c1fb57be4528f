import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { vdisk, type CliResult } from './cli.js'

export interface Interruption {
  /** A line of progress that shows that it is under way. */
  readonly when: RegExp
  /** What is done then, once. */
  readonly act: (child: ChildProcess) => void
  /** Makes the place what it was: on a busy machine a run may be over before it is interrupted, and is made again. */
  readonly again: () => void
  /** MiB a second that the first run keeps to, and every other a quarter of it; default: none does. */
  readonly rate?: number
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** How often a run that keeps to no rate is made: each is interrupted or not by chance. */
const mostRuns = 20

/** Runs a command and does something to it when it is under way; it does not end well. */
export async function interrupted(
  cwd: string,
  args: readonly string[],
  { when, act, again, rate, env }: Interruption,
): Promise<CliResult> {
  for (let run = 0; ; run++) {
    const pace = rate === undefined ? [] : ['--rate', `${Math.ceil((rate * 1024) / 4 ** run)}K`]
    let acted = false
    const result = await vdisk([...args, ...pace, '--progress', 'json'], {
      cwd,
      env,
      onError: (text, child) => {
        if (acted || !when.test(text)) return
        acted = true
        act(child)
      },
    })
    if (result.code !== 0) {
      assert.ok(acted, `it failed by itself: ${args.join(' ')}: ${result.stderr}`)
      return result
    }
    assert.ok(run < (rate === undefined ? mostRuns : 3), `it is never under way: ${args.join(' ')}: ${result.stderr}`)
    again()
  }
}
