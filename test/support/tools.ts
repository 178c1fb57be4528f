import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { skipReason } from './complete.js'
import { removeFolder } from './folder.js'

/** Runs a program and gives its standard output; throws with everything it said when it fails. */
export function run(program: string, ...parameters: string[]): string {
  return runIn(process.cwd(), program, ...parameters)
}

/** The same with another working folder. */
export function runIn(folder: string, program: string, ...parameters: string[]): string {
  const result = spawnSync(program, parameters, { cwd: folder, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  if (result.status !== 0)
    throw new Error(
      `${program} ${parameters.join(' ')}: ${result.status ?? result.signal ?? ''}\n${result.stdout}${result.stderr}`,
    )
  return result.stdout
}

export function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version']).error === undefined
}

/** Whether a program is there. A missing one is a visible skip, and a failure where every test must run. */
export function have(t: TestContext, program: string): boolean {
  if (isInstalled(program)) return true
  t.skip(skipReason(`${program} is not installed`))
  return false
}

/** A folder that is gone after the test. */
export function scratch(t: TestContext): (name: string) => string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vdisk-test-'))
  t.after(() => removeFolder(folder))
  return (name) => path.join(folder, name)
}
