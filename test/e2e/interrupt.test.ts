import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { program, vdisk, type CliResult } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { interrupted } from '../support/interrupted.js'
import { have, runIn } from '../support/tools.js'

/** Runs a conversion over a target that is there, and sends it a signal when it is under way. */
async function signalled(
  cwd: string,
  source: string,
  target: string,
  signal: NodeJS.Signals,
  ...flags: readonly string[]
): Promise<CliResult> {
  const again = (): void => fs.writeFileSync(join(cwd, target), 'the old one')
  again()
  return await interrupted(cwd, ['convert', source, target, '--force', ...flags], {
    when: /"phase":"copy"/,
    act: (child) => child.kill(signal),
    again,
    rate: 16,
  })
}

/** A disk of 96 MiB. */
function bigSource(path: string): void {
  const piece = diskLike(8 * 1048576, 11)
  const file = fs.openSync(path, 'w')
  for (let index = 0; index < 12; index++) {
    piece.fill(index + 1, 0, 4096)
    fs.writeSync(file, piece)
  }
  fs.closeSync(file)
}

test('Ctrl-C, SIGTERM and a closed terminal leave nothing new, and the old target whole', async (t) => {
  const cwd = testFolder(t)
  bigSource(join(cwd, 'a.raw'))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const result = await signalled(cwd, 'a.raw', 'old.qcow2', signal, '--compress', 'zlib:1')
    assert.equal(result.code, 130, result.stderr)
    assert.match(result.stderr, /interrupted/)
    assert.deepEqual(fs.readdirSync(cwd).sort(), ['a.raw', 'old.qcow2'])
    assert.equal(fs.readFileSync(join(cwd, 'old.qcow2'), 'utf8'), 'the old one')
  }
})

test('kill -9 leaves no file that info accepts, and the old target whole', async (t) => {
  const cwd = testFolder(t)
  bigSource(join(cwd, 'a.raw'))
  assert.equal((await vdisk(['convert', 'a.raw', 'packed.qcow2', '--compress', 'zlib:1'], { cwd })).code, 0)
  const sources = fs.readdirSync(cwd)
  for (const [source, target, flags] of [
    ['a.raw', 'old.qcow2', ['--compress', 'zlib:1']],
    ['packed.qcow2', 'old.raw', ['--threads', '0']],
    ['packed.qcow2', 'old.vhd', ['--threads', '0']],
    ['packed.qcow2', 'old.vhdx', ['--threads', '0', '--subformat', 'fixed']],
  ] as const) {
    const result = await signalled(cwd, source, target, 'SIGKILL', ...flags)
    assert.equal(result.code, 'SIGKILL')
    assert.equal(fs.readFileSync(join(cwd, target), 'utf8'), 'the old one')
    fs.rmSync(join(cwd, target))
    const left = fs.readdirSync(cwd).filter((name) => !sources.includes(name))
    assert.equal(left.length, 1, `what was written so far: ${left.join(' ')}`)
    const info = await vdisk(['info', left[0]!], { cwd })
    assert.equal(info.code, 4, `${left[0] ?? ''}: ${info.stdout.toString()}${info.stderr}`)
    fs.rmSync(join(cwd, left[0]!))
  }
})

test('an unfinished file that is taken away or replaced meanwhile does not get the name of the target', async (t) => {
  const cwd = testFolder(t)
  bigSource(join(cwd, 'a.raw'))
  for (const replaced of [true, false]) {
    const again = (): void => fs.writeFileSync(join(cwd, 'old.qcow2'), 'the old one')
    again()
    const { code, stderr } = await interrupted(cwd, ['convert', 'a.raw', 'old.qcow2', '--force'], {
      when: /"phase":"copy"/,
      act: () => {
        const partial = fs.readdirSync(cwd).find((name) => name.includes('.partial-'))!
        fs.rmSync(join(cwd, partial))
        if (replaced) fs.writeFileSync(join(cwd, partial), 'something else')
      },
      again,
      rate: 32,
    })
    assert.equal(code, 7, stderr)
    assert.match(stderr, replaced ? /unfinished file .* was replaced while/ : /unfinished file .* was removed while/)
    assert.equal(fs.readFileSync(join(cwd, 'old.qcow2'), 'utf8'), 'the old one')
  }
})

/** Runs a program on a terminal, which it closes when the program has written a bar; prints how that ended. */
const closedTerminal = `
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
text = b''
while b'copying' not in text:
    text += os.read(terminal, 65536)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
`

test('a terminal that is gone: nothing is left, and Node does not abort', (t) => {
  if (!have(t, 'python3')) return
  const cwd = testFolder(t)
  bigSource(join(cwd, 'a.raw'))
  const command = [process.execPath, program, 'convert', 'a.raw', 'new.qcow2', '--rate', '8M']
  assert.equal(runIn(cwd, 'python3', '-c', closedTerminal, ...command).trim(), '-1', 'ended by SIGHUP')
  assert.deepEqual(fs.readdirSync(cwd), ['a.raw'])
})
