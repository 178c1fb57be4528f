import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { vdisk } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { assertSchema } from '../support/schemas.js'
import { scratch } from '../support/tools.js'

function haveShell(t: TestContext, shell: string): boolean {
  if (spawnSync(shell, ['--version']).error === undefined) return true
  t.skip(skipReason(`${shell} is not installed`))
  return false
}

/** What bash offers for a line that ends where the cursor is. */
function offered(script: string, cwd: string, ...words: string[]): string[] {
  const array = words.map((one) => `'${one}'`).join(' ')
  const program =
    `source '${script}'; COMP_WORDS=(vdisk ${array}); COMP_CWORD=${words.length}; _vdisk; ` +
    `printf '%s\\n' "\${COMPREPLY[@]}"`
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-c', program], { cwd, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout.split('\n').filter((line) => line !== '')
}

test('bash: commands, flags and values are completed; files are everywhere else', async (t) => {
  if (!haveShell(t, 'bash')) return
  const at = scratch(t)
  const cwd = at('.')
  const { stdout, code, stderr } = await vdisk(['autocomplete', 'bash'], { cwd })
  assert.equal(code, 0, stderr)
  fs.writeFileSync(at('script'), stdout)
  const offer = (...words: string[]): string[] => offered(at('script'), cwd, ...words)
  assert.deepEqual(offer('conv'), ['convert'])
  assert.deepEqual(offer('chain', 'fl'), ['flatten'])
  assert.deepEqual(
    offer('convert', 'a.raw', 'b', '--to', 'q').filter((one) => one === 'qcow2'),
    ['qcow2'],
  )
  assert.deepEqual(offer('convert', '--progress', ''), ['bar', 'json', 'none'])
  assert.deepEqual(offer('convert', '--to', '=', 'vhd'), ['vhd', 'vhdx'])
  assert.deepEqual(offer('convert', '--veri'), ['--verify'])
  assert.deepEqual(offer('formats', 'vhdx'), ['vhdx'])
  assert.deepEqual(offer('convert', 'disk'), [], 'bash completes files')
  assert.deepEqual(offer('convert', '--parent', 'disk'), [], 'and the files that flags take')
  const { stdout: spec } = spawnSync('bash', ['--norc', '-c', `source '${at('script')}'; complete -p vdisk`], {
    encoding: 'utf8',
  })
  assert.match(spec, /-o bashdefault -o default/)
})

test('zsh and fish get scripts too, and JSON has a schema', async (t) => {
  const cwd = scratch(t)('.')
  assert.match((await vdisk(['autocomplete', 'zsh'], { cwd })).stdout.toString(), /bashcompinit/)
  const fish = (await vdisk(['autocomplete', 'fish'], { cwd })).stdout.toString()
  assert.match(fish, /complete -c vdisk -n '__fish_seen_subcommand_from convert' -l to -x -a '[^']*\bqcow2\b/)
  assertSchema('autocomplete', JSON.parse((await vdisk(['autocomplete', 'bash', '--json'], { cwd })).stdout.toString()))
  assert.equal((await vdisk(['autocomplete', 'tcsh'], { cwd })).code, 2)
})
