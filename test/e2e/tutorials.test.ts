import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { root } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { loopsMissing } from '../support/loop.js'
import { scratch } from '../support/tools.js'

const folder = join(root, 'docs/tutorials')

interface Step {
  readonly command: string
  /** The lines that the page shows; `…` for any others. */
  readonly shown: readonly string[]
}

const { stepsOf, isAsShown } = (await import(join(root, 'scripts/tutorial-steps.js'))) as {
  readonly stepsOf: (page: string) => readonly Step[]
  readonly isAsShown: (output: string, shown: readonly string[]) => boolean
}

/** Types a page into a shell, line by line. `/dev/loop0` is the disk that losetup gave. */
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
  const practice = `/dev/shm/practice-${process.pid}.img`
  let device: string | undefined
  t.after(() => {
    if (device !== undefined) spawnSync('losetup', ['--detach', device])
    fs.rmSync(practice, { force: true })
  })
  for (const { command, shown } of stepsOf(fs.readFileSync(join(folder, name), 'utf8'))) {
    const own = (text: string): string =>
      text.replaceAll('/dev/shm/practice.img', practice).replaceAll('/dev/loop0', device ?? '/dev/loop0')
    const { status, stdout, stderr } = spawnSync('sh', ['-c', own(command)], { cwd, env, encoding: 'utf8' })
    assert.equal(status, 0, `${command}: ${stdout}${stderr}`)
    if (command.includes('losetup --find')) device = stdout.trim()
    if (command.includes('losetup --detach')) device = undefined
    assert.ok(isAsShown(stdout, shown.map(own)), `${command} shows something else:\n${stdout}`)
  }
}

const practiceMissing = (): string | undefined =>
  loopsMissing() ?? (fs.existsSync('/dev/shm') ? undefined : skipReason('there is no /dev/shm'))

for (const name of fs.readdirSync(folder).sort()) {
  const skip = fs.readFileSync(join(folder, name), 'utf8').includes('losetup') ? practiceMissing() : undefined
  test(`the tutorial ${name}, typed line by line`, { skip }, (t) => follow(t, name))
}
