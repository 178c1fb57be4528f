import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import type { TestContext } from 'node:test'
import { vdisk, type CliResult } from './cli.js'

export interface Viewing {
  /** The address that was printed; ends with a slash. */
  readonly url: string
  /** Ends it as Ctrl-C does. */
  readonly end: () => Promise<CliResult>
}

/** `vdisk view` in a folder, until the test ends. */
export async function viewing(t: TestContext, cwd: string, ...args: readonly string[]): Promise<Viewing> {
  const started: { child?: ChildProcess } = {}
  let output = ''
  let result: Promise<CliResult> | undefined
  const url = await new Promise<string>((resolve, reject) => {
    result = vdisk(['view', ...args], {
      cwd,
      onOutput: (bytes, child) => {
        started.child = child
        output += bytes.toString()
        const found = /^ {2}(http:\S+)$/m.exec(output)?.[1]
        if (found !== undefined) resolve(found)
      },
    })
    result.then(({ stderr }) => reject(new Error(`it ended: ${stderr}`)), reject)
  })
  const end = async (): Promise<CliResult> => {
    started.child?.kill('SIGINT')
    assert.ok(result !== undefined)
    return await result
  }
  t.after(end)
  return { url, end }
}
