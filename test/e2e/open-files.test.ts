import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { convert, create } from '../../src/index.js'
import { root } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'

const commands = [
  ['info', 'child.qcow2'],
  ['hash', 'child.qcow2'],
  ['check', 'child.qcow2'],
  ['compare', 'a.raw', 'child.qcow2'],
  ['convert', 'child.qcow2', 'b.qcow2', '--compress', 'zlib'],
  ['convert', 'child.qcow2', 'b.vhdx', '--verify'],
  ['snapshot', 'create', 'base.qcow2', 'one'],
  ['resize', 'base.qcow2', '8M'],
  ['chain', 'rebase', 'child.qcow2', '--no-parent'],
]

test('too few open files: done, or exit 2 and one message with a way out, whatever the limit', async (t) => {
  const seen = { done: 0, refused: 0 }
  for (let limit = 18; limit <= 42; limit += 3) {
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    fs.writeFileSync(at('a.raw'), diskLike(1048576, 5))
    await convert(at('a.raw'), at('base.qcow2'), { flush: false })
    await create(at('child.qcow2'), { parent: at('base.qcow2') })
    for (const args of commands) {
      const { status, signal, stderr } = spawnSync(
        '/bin/bash',
        [
          '-c',
          'ulimit -n "$1"; shift; exec "$@"',
          'bash',
          String(limit),
          process.execPath,
          join(root, 'bin/run.js'),
        ].concat(args),
        { cwd: folder, encoding: 'utf8', env: { ...process.env, HOME: folder, VDISK_CODE_CACHE: 'off' } },
      )
      const says = `${limit}: ${args.join(' ')}: ${status ?? signal}: ${stderr}`
      // Node itself does not start with fewer still, and says so in its own words.
      if (/uv_loop_init|Assertion|node::|FATAL/.test(stderr) || signal !== null) continue
      assert.doesNotMatch(stderr, /this is a bug/i, says)
      if (status === 2) {
        assert.match(stderr, /no more files can be opened[^]*ulimit -n/, says)
        assert.deepEqual(
          fs.readdirSync(folder).filter((name) => name.startsWith('.') && name.includes('partial')),
          [],
          says,
        )
        seen.refused++
      } else {
        assert.ok(status === 0 || (status === 1 && args[0] === 'compare'), says)
        seen.done++
        for (const made of ['b.qcow2', 'b.vhdx']) fs.rmSync(at(made), { force: true })
      }
    }
  }
  t.diagnostic(JSON.stringify(seen))
  assert.ok(seen.done > 10 && seen.refused > 3, JSON.stringify(seen))
})

const module = (name: string): string => JSON.stringify(new URL(`../../src/${name}`, import.meta.url).href)

test('programs cannot be started where no more files can be opened: an error of the system, and no bug', () => {
  const script = `
    import { spawn } from 'node:child_process'
    import fs from 'node:fs'
    import { command, started } from ${module('sys/commands.js')}
    import { GuardShell } from ${module('device/guard-shell.js')}
    const open = []
    let full
    while (full === undefined)
      try {
        open.push(fs.openSync('/dev/null'))
      } catch (error) {
        full = error.code
      }
    let thrown
    try {
      started(spawn('/bin/true', [], { stdio: 'pipe' }))
    } catch (error) {
      thrown = error.code
    }
    const guard = GuardShell.start('true', []) ?? 'none'
    const ran = command('/bin/true', [])
    for (const each of open) fs.closeSync(each)
    const { code = 'not started', stderr } = await ran
    console.log(JSON.stringify({ full, thrown, guard, code, stderr }))
  `
  const { stdout, stderr } = spawnSync(
    '/bin/bash',
    ['-c', 'ulimit -n 64; exec "$@"', 'bash', process.execPath, '--input-type=module', '--eval', script],
    { encoding: 'utf8' },
  )
  assert.equal(stderr, '')
  const { stderr: said, ...rest } = JSON.parse(stdout) as { stderr: string }
  assert.deepEqual(rest, { full: 'EMFILE', thrown: 'EMFILE', guard: 'none', code: 'not started' })
  assert.match(said, /cannot be started: .*EMFILE/)
})
