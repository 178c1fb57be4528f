import assert from 'node:assert/strict'
import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { root } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { loopsMissing } from '../support/loop.js'
import { scratch } from '../support/tools.js'

const folder = join(root, 'docs/tutorials')

interface Typed {
  readonly command: string
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  readonly isAsShown: boolean
}

const { typedLines } = (await import(join(root, 'scripts/tutorial-steps.js'))) as {
  readonly typedLines: (page: string, type: (line: string) => SpawnSyncReturns<string>) => Iterable<Typed>
}

/** Types a page into a shell, line by line. */
function follow(t: TestContext, name: string): void {
  const at = scratch(t)
  const bin = at('bin')
  fs.mkdirSync(bin)
  const program = (file: string, body: string): void =>
    fs.writeFileSync(join(bin, file), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  program('vdisk', `exec "${process.execPath}" "${join(root, 'bin/run.js')}" "$@"`)
  // The test is root where a page needs root.
  program('sudo', 'exec "$@"')
  const cwd = at('work')
  fs.mkdirSync(cwd)
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}`, NO_COLOR: '1', COLUMNS: '120' }
  const type = (line: string) => spawnSync('sh', ['-c', line], { cwd, env, encoding: 'utf8' })
  const page = fs.readFileSync(join(folder, name), 'utf8')
  for (const { command, status, stdout, stderr, isAsShown } of typedLines(page, type)) {
    assert.equal(status, 0, `${command}: ${stdout}${stderr}`)
    assert.ok(isAsShown, `${command} shows something else:\n${stdout}`)
  }
}

const practiceMissing = (): string | undefined =>
  loopsMissing() ?? (fs.existsSync('/dev/shm') ? undefined : skipReason('there is no /dev/shm'))

for (const name of fs.readdirSync(folder).sort()) {
  const skip = fs.readFileSync(join(folder, name), 'utf8').includes('losetup') ? practiceMissing() : undefined
  test(`the tutorial ${name}, typed line by line`, { skip }, (t) => follow(t, name))
}
