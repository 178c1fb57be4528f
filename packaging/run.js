// What the makers of packages share: running programs of the system, and folders that go away.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the package. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * Runs a program in the folder of the package.
 * @param options of `execFileSync`, where they are others
 * @returns what the program printed
 * @throws Error with what it said on standard error
 */
export const run = (program, parameters, options) =>
  execFileSync(program, parameters, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })

/**
 * Gives a new folder to `work`, and removes it afterwards.
 * @param name what its name begins with
 * @returns what `work` returned
 */
export function inNewFolder(name, work) {
  const folder = mkdtempSync(join(tmpdir(), name))
  try {
    return work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
