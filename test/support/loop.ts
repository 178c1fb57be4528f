import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { run } from './tools.js'
import { skipReason } from './complete.js'

/** Why loop devices cannot be used here; undefined when they can. CI runs all tests: there they must be at hand. */
export function loopsMissing(): string | undefined {
  const missing =
    process.getuid?.() !== 0
      ? 'loop devices need root'
      : !existsSync('/dev/loop-control')
        ? 'there are no loop devices'
        : spawnSync('losetup', ['--version']).error === undefined
          ? undefined
          : 'losetup is not installed'
  return skipReason(missing)
}

/**
 * A loop device over a file, gone after the test. It reads and writes the file past the page cache, as a disk would its
 * medium.
 */
export function loopDevice(t: TestContext, file: string, sectorSize: 512 | 4096 = 512, ...options: string[]): string {
  const path = run(
    'losetup',
    '--find',
    '--show',
    '--direct-io=on',
    '--sector-size',
    String(sectorSize),
    ...options,
    file,
  ).trim()
  t.after(() => spawnSync('losetup', ['--detach', path]))
  return path
}
