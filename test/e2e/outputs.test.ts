import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { assertNoWarning, root, vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'

interface Ended {
  readonly code: number | string
  readonly stderr: string
}

/** Runs a command line in a shell, so that its streams go where the shell says; `$V` is vdisk. */
function shell(script: string, cwd: string): Promise<Ended> {
  const child = spawn('/bin/bash', ['-o', 'pipefail', '-c', script], {
    cwd,
    env: { ...process.env, HOME: cwd, TERM: 'dumb', V: `${process.execPath} ${join(root, 'bin/run.js')}` },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise<number | string>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'none'))
  }).then((code) => {
    assertNoWarning(stderr)
    return { code, stderr }
  })
}

const hasFull = fs.existsSync('/dev/full')

test('standard output on a full disk: exit 7 and one line', { skip: !hasFull && 'no /dev/full' }, async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), diskLike(1048576, 3))
  for (const command of [
    'check a.raw',
    'compare a.raw a.raw',
    'hash a.raw',
    'map a.raw',
    'map a.raw --json',
    'info a.raw --json',
    'convert a.raw - --to qcow2',
    'convert a.raw - --to raw --progress json',
    'formats',
    '--help',
    'convert --help',
    '--version',
  ]) {
    const { code, stderr } = await shell(`$V ${command} > /dev/full`, cwd)
    assert.equal(code, 7, `${command}: ${stderr}`)
    const lines = stderr.trimEnd().split('\n')
    assert.equal(lines.filter((line) => !line.startsWith('{')).length, 3, `${command}: ${stderr}`)
    assert.match(stderr, /^Error: standard output cannot be written: no space left$/m)
  }
})

test('an error that nobody got as JSON is reported as text, with its own exit code', { skip: !hasFull }, async (t) => {
  const { code, stderr } = await shell('$V info missing --json > /dev/full', testFolder(t))
  assert.equal(code, 2)
  assert.match(stderr, /^Error: missing: no such file\nWhy: .*\nWhat to do: .*\n$/)
})

test('progress on a full disk: the work is done, and the exit code says it', { skip: !hasFull }, async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), diskLike(1048576, 3))
  assert.equal((await shell('$V convert a.raw b.raw --progress json 2> /dev/full', cwd)).code, 7)
  assert.ok(fs.readFileSync(join(cwd, 'a.raw')).equals(fs.readFileSync(join(cwd, 'b.raw'))))
})

test('a file that takes only a part of the last piece is not taken for whole', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), diskLike(1048576, 3))
  // The limit lies in the middle of the only write: Node's own stream would lose the rest without a word.
  const { code, stderr } = await shell("trap '' XFSZ; ulimit -f 900; $V convert a.raw - --to raw > out", cwd)
  assert.equal(code, 7, stderr)
  assert.match(stderr, /^Error: standard output cannot be written: .*\nWhy: .*\nWhat to do: .*\n$/)
})

test('a reader that goes away: text ends in silence, an image is an error', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), diskLike(8 * 1048576, 3))
  for (const command of ['formats', 'map a.raw', 'info a.raw --json', 'check a.raw']) {
    const { code, stderr } = await shell(`$V ${command} | true`, cwd)
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, command)
  }
  const image = await shell('$V convert a.raw - --to raw | true', cwd)
  assert.equal(image.code, 7)
  assert.match(image.stderr, /^Error: the reader of standard output went away[^\n]*\nWhy: .*\nWhat to do: .*\n$/)
})

test('an unknown command is quoted with its control characters made visible', async (t) => {
  // Not through a shell, whose locale decides what becomes of such a character.
  const { code, stderr } = await vdisk(['x\u001b[31my\u202e'], { cwd: testFolder(t) })
  assert.equal(code, 2)
  assert.match(stderr, /^Error: vdisk has no command "x\\u001b\[31my\\u202e"\n/)
})

test('names with control characters are made visible in every error, and none is a bug', async (t) => {
  const cwd = testFolder(t)
  const [missing, file] = ['a\u001b[31m\nError: x', 'f\u001b[31m\nError: x']
  fs.writeFileSync(join(cwd, file), 'no image')
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(65536))
  const commands = [
    ...['info', 'hash', 'check', 'doctor', 'ls', 'repair', 'batch'].flatMap((name) => [
      [name, missing],
      [name, file],
    ]),
    ['convert', 'a.raw', `${file}/o.qcow2`],
    ['convert', 'a.raw', 'o.x', '--to', missing],
    ['create', `${file}/x.qcow2`, '1M'],
    ['mount', 'a.raw', missing],
    ['mount', 'a.raw', `${file}/x`],
    ['serve', 'a.raw', '--socket', `${missing}/s`],
    ['serve', 'a.raw', '--socket', `${file}/s`],
    ['image', missing, 'o.qcow2'],
    ['restore', 'a.raw', missing],
    ['clone', missing, file],
    ['backup', 'init', missing, '/dev/null'],
    ['plugins', 'link', missing],
    ['help', missing],
  ]
  for (const words of commands) {
    const { code, stderr } = await vdisk(words, { cwd })
    const what = `${JSON.stringify(words)} ${stderr}`
    assert.ok(code !== 0 && code !== 70, what)

    assert.doesNotMatch(stderr, /[\x00-\x09\x0b-\x1f\x7f]/, what)
    assert.equal(stderr.match(/^Error: /gm)?.length, 1, what)
  }
})

test('an image does not go to a file that it is read from', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), diskLike(1048576, 3))
  const { code, stderr } = await shell('$V convert a.raw - --to raw >> a.raw', cwd)
  assert.equal(code, 3, stderr)
  assert.match(stderr, /^Error: standard output goes to .*a\.raw, which is being read\n/)
  assert.equal(fs.statSync(join(cwd, 'a.raw')).size, 1048576)
})
