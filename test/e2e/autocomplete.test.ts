import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { join } from 'node:path'
import { root, vdisk } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { assertSchema } from '../support/schemas.js'
import { scratch } from '../support/tools.js'

function haveShell(t: TestContext, shell: string): boolean {
  if (spawnSync(shell, ['--version']).error === undefined) return true
  t.skip(skipReason(`${shell} is not installed`))
  return false
}

/** The program that a script asks for partitions. */
const path = `vdisk() { '${process.execPath}' '${join(root, 'bin/run.js')}' "$@"; }`
const disk = join(root, 'fixtures/partitioned-disk.vhdx')

/** What bash offers for a line that ends where the cursor is; its words as they were typed, with their quotes. */
function offered(script: string, cwd: string, ...words: string[]): string[] {
  const array = words.map((one) => `'${one.replaceAll("'", "'\\''")}'`).join(' ')
  const program =
    `${path}; source '${script}'; COMP_WORDS=(vdisk ${array}); COMP_CWORD=${words.length}; _vdisk; ` +
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
  // Values that no list in the command's declaration has, and options with theirs.
  assert.deepEqual(offer('create', 'x', '--for', 'azure'), ['azure-gen1', 'azure-gen2'])
  assert.deepEqual(offer('convert', 'a', 'b', '--sector-size', ''), ['512', '4096'])
  assert.deepEqual(offer('convert', 'a', 'b', '--compress', 'z'), ['zlib', 'zstd'])
  assert.deepEqual(offer('info', '--parent-format', 'a'), ['auto'])
  assert.deepEqual(offer('convert', 'a', 'b', '--to', 'ew'), [], 'nothing makes EWF')
  assert.deepEqual(offer('convert', 'a', 'b', '-o', 'subformat=d'), ['subformat=dynamic'])
  assert.deepEqual(offer('convert', 'a', 'b', '-o', 'subformat', '=', 'd'), ['dynamic'])
  assert.deepEqual(offer('convert', 'a', 'b', '-o', 'cluster-s'), ['cluster-size='])
  assert.deepEqual(offer('convert', '--to=vhd'), ['--to=vhd', '--to=vhdx'], 'where = ends no word')
  assert.deepEqual(offer('platforms', 'azure'), ['azure-gen1', 'azure-gen2'])
  assert.deepEqual(offer('help', 'conv'), ['convert'])
  assert.deepEqual(offer('which', 'chain', 'fl'), ['flatten'])
  const { stdout: spec } = spawnSync('bash', ['--norc', '-c', `source '${at('script')}'; complete -p vdisk`], {
    encoding: 'utf8',
  })
  assert.match(spec, /-o bashdefault -o default/)
})

test('bash: image files, folders, and the partitions of an image', async (t) => {
  if (!haveShell(t, 'bash')) return
  const at = scratch(t)
  const cwd = at('.')
  fs.writeFileSync(at('script'), (await vdisk(['autocomplete', 'bash'], { cwd })).stdout)
  const names = ['[x]*.vhdx', 'a b.vhdx', 'c.qcow2', "it's.VHD"]
  for (const name of [...names, 'notes.txt']) fs.copyFileSync(disk, at(name))
  fs.mkdirSync(at('folder'))
  const offer = (...words: string[]): string[] => offered(at('script'), cwd, ...words).sort()
  assert.deepEqual(offer('info', ''), [...names.slice(0, 3), 'folder', "it's.VHD"])
  // As bash cuts words at @, and as other shells do not.
  assert.deepEqual(offer('ls', 'c.qcow2', '@'), ['1', '2'])
  assert.deepEqual(offer('ls', 'c.qcow2', '@', '2'), ['2'])
  assert.deepEqual(offer('ls', 'c.qcow2@'), ['c.qcow2@1', 'c.qcow2@2'])
  assert.deepEqual(offer('ls', 'a b.vhdx', '@', ''), ['1', '2'])
  assert.deepEqual(offer('ls', String.raw`a\ b.vhdx`, '@'), ['1', '2'])
  assert.deepEqual(offer('ls', '"a b.vhdx@2'), ['a b.vhdx@2'])
  assert.deepEqual(offer('ls', String.raw`it\'s.VHD`, '@', ''), ['1', '2'])
  assert.deepEqual(offer('ls', 'missing.vhdx', '@'), [])
})

test('zsh: commands, values, files and partitions', async (t) => {
  if (!haveShell(t, 'zsh')) return
  const at = scratch(t)
  const cwd = at('.')
  fs.writeFileSync(at('script'), (await vdisk(['autocomplete', 'zsh'], { cwd })).stdout)
  fs.copyFileSync(disk, at('c.qcow2'))
  // bashcompinit calls the function so.
  const offer = (...words: string[]): string[] => {
    const array = words.map((one) => `'${one}'`).join(' ')
    const program =
      `autoload -U compinit; compinit -u -D; ${path}; source '${at('script')}'; emulate ksh; ` +
      `COMP_WORDS=(vdisk ${array}); COMP_CWORD=${words.length}; _vdisk; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { status, stdout, stderr } = spawnSync('zsh', ['-f', '-c', program], { cwd, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    // zsh itself leaves out what does not begin with the word.
    return stdout.split('\n').filter((line) => line !== '' && line.startsWith(words.at(-1) ?? ''))
  }
  assert.deepEqual(offer('conv'), ['convert'])
  assert.deepEqual(offer('convert', '--to', 'vhd'), ['vhd', 'vhdx'])
  assert.deepEqual(offer('convert', '--to=vhd'), ['--to=vhd', '--to=vhdx'])
  assert.deepEqual(offer('ls', 'c.qcow2@'), ['c.qcow2@1', 'c.qcow2@2'])
})

test('fish: commands, values, files and partitions', async (t) => {
  if (!haveShell(t, 'fish')) return
  const at = scratch(t)
  const cwd = at('.')
  fs.writeFileSync(at('script'), (await vdisk(['autocomplete', 'fish'], { cwd })).stdout)
  for (const name of ['c.qcow2', 'a b.vhdx', 'notes.txt']) fs.copyFileSync(disk, at(name))
  const offer = (line: string): string[] => {
    const program =
      `function vdisk; '${process.execPath}' '${join(root, 'bin/run.js')}' $argv; end; ` +
      `source '${at('script')}'; complete -C '${line.replaceAll(/['\\]/g, '\\$&')}'`
    const { status, stdout, stderr } = spawnSync('fish', ['--no-config', '-c', program], {
      cwd,
      encoding: 'utf8',
      env: { ...process.env, HOME: cwd },
    })
    assert.equal(status, 0, stderr)
    return stdout
      .split('\n')
      .map((one) => one.split('\t')[0] ?? '')
      .filter((one) => one !== '')
  }
  assert.deepEqual(offer('vdisk conv'), ['convert'])
  assert.deepEqual(offer('vdisk convert --to vhd'), ['vhd', 'vhdx'])
  assert.ok(offer('vdisk info ').includes('c.qcow2'))
  assert.deepEqual(offer('vdisk ls c.qcow2@'), ['c.qcow2@1', 'c.qcow2@2'])
  assert.equal(offer(String.raw`vdisk ls a\ b.vhdx@`).length, 2)
  assert.deepEqual(offer('vdisk create x --for azure'), ['azure-gen1', 'azure-gen2'])
  assert.deepEqual(offer('vdisk convert a b -o subformat=d'), ['subformat=dynamic'])
  assert.deepEqual(offer('vdisk which conv'), ['convert'])
})

test('zsh and fish get scripts too, and JSON has a schema', async (t) => {
  const cwd = scratch(t)('.')
  assert.match((await vdisk(['autocomplete', 'zsh'], { cwd })).stdout.toString(), /bashcompinit/)
  const fish = (await vdisk(['autocomplete', 'fish'], { cwd })).stdout.toString()
  assert.match(fish, /complete -c vdisk -n '__fish_seen_subcommand_from convert' -l to -x -a '[^']*\bqcow2\b/)
  assertSchema('autocomplete', JSON.parse((await vdisk(['autocomplete', 'bash', '--json'], { cwd })).stdout.toString()))
  assert.equal((await vdisk(['autocomplete', 'tcsh'], { cwd })).code, 2)
})
