import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { isImageError } from '../../src/errors.js'
import { convert, type ConvertOptions } from '../../src/index.js'
import { parseSshAddress } from '../../src/remote/ssh/address.js'
import { openSshFile } from '../../src/remote/ssh/ssh-file.js'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { hostileSftp } from '../support/hostile-sftp.js'

const mebibyte = 1048576

/** How long a server may keep silent, in milliseconds: those that are not silent have longer than any machine needs. */
const patience = (host: string): number => (/^silent|-silent$/.test(host) ? 300 : 60_000)

/** Reads a file of a server whole, two ranges at once. @returns the code of the error where it cannot be. */
async function readAll(program: string, host: string, path: string, scheme = 'sftp'): Promise<Buffer | string> {
  const address = parseSshAddress(`${scheme}://${host}${path}`)
  try {
    const file = await openSshFile(address, Buffer.alloc(4096), { program, milliseconds: patience(host) })
    try {
      const whole = Buffer.alloc(file.facts.size)
      const half = Math.floor(whole.length / 2)
      await Promise.all([file.read(0, whole.subarray(0, half), false), file.read(half, whole.subarray(half), false)])
      return (await file.changed?.()) ?? whole
    } finally {
      file.close?.()
    }
  } catch (error) {
    if (!isImageError(error)) throw error
    assert.doesNotMatch(error.message, /[^ -~]/)
    return error.code
  }
}

const outcomes: readonly (readonly [outcome: string, ...hosts: string[]])[] = [
  ['right', 'honest', 'short-reads', 'out-of-order', 'many-extensions', 'limits-zero', 'limits-huge', 'limits-refused'],
  [
    'E_SSH_PROTOCOL',
    'limits-one',
    'limits-short',
    'extension-cut',
    'old-version',
    'banner',
    'wrong-id',
    'double-reply',
    'huge-packet',
    'empty-packet',
    'long-reads',
    'empty-data',
    'data-overrun',
    'done-for-data',
    'handle-for-data',
    'long-handle',
    'data-for-handle',
    'done-for-handle',
    'no-size',
    'huge-size',
  ],
  ['E_SOURCE_CHANGED', 'shrinks'],
  ['was written to meanwhile', 'is-written'],
  ['E_READ', 'read-fails'],
  ['E_SSH_TIMEOUT', 'silent-start', 'silent-open', 'silent-read'],
  ['E_SSH_CONNECT', 'cut-start'],
  ['E_CONNECTION_LOST', 'cut-open', 'cut-packet'],
]

test('a server of SFTP that does wrong: right bytes, or the right error', async (t) => {
  const folder = testFolder(t)
  const [path, program] = [join(folder, 'disk.raw'), hostileSftp(folder)]
  const content = diskLike(2 * mebibyte + 12_345, 61)
  fs.writeFileSync(path, content)
  for (const [outcome, ...hosts] of outcomes)
    for (const host of hosts) {
      const found = await readAll(program, host, path)
      if (typeof found === 'string') assert.equal(found, outcome, host)
      else assert.ok(outcome === 'right' && found.equals(content), `${host}: other bytes`)
    }
})

test('a vdisk of the other side that does wrong: SFTP in its place, or the right error', async (t) => {
  const folder = testFolder(t)
  const [path, program] = [join(folder, 'disk.raw'), hostileSftp(folder)]
  const content = diskLike(mebibyte, 68)
  fs.writeFileSync(path, content)
  for (const [host, outcome] of [
    ['honest', 'right'],
    ['served-banner', 'right'],
    ['served-cut', 'right'],
    ['served-greeting', 'right'],
    ['served-silent', 'E_SSH_TIMEOUT'],
    ['served-refuses', 'E_SSH_REFUSED'],
  ] as const) {
    const found = await readAll(program, host, path, 'ssh')
    if (typeof found === 'string') assert.equal(found, outcome, host)
    else assert.ok(outcome === 'right' && found.equals(content), `${host}: other bytes`)
  }
})

/** Makes an image on a server. @returns the code of the error where it cannot be, and what the error says. */
async function made(host: string, folder: string, options: ConvertOptions): Promise<readonly [string, string]> {
  process.env['VDISK_SSH'] = join(folder, 'hostile-ssh')
  process.env['VDISK_SSH_TIMEOUT'] = host.startsWith('silent') ? '4' : '60'
  try {
    await convert(join(folder, 'disk.raw'), `sftp://${host}${folder}/there/disk.raw`, options)
    return ['right', '']
  } catch (error) {
    if (!isImageError(error)) throw error
    return [error.code, `${error.message}\n${error.hint}`]
  }
}

const written: readonly (readonly [outcome: string, ...hosts: string[]])[] = [
  ['right', 'honest', 'limits-huge', 'limits-refused', 'cut-named'],
  [
    'E_WRITE',
    'limits-one',
    'wrong-id',
    'long-handle',
    'write-fails',
    'flush-fails',
    'truncate-fails',
    'close-fails',
    'data-for-write',
    'loses-tail',
  ],
  ['E_MISMATCH', 'loses-writes'],
  ['E_WRITE_PERMISSION', 'folder-closed'],
  ['E_TARGET_LOST', 'cut-open', 'cut-write', 'cut-flush', 'cut-unnamed', 'silent-write'],
]

test('a server of SFTP that does wrong with what it is to keep: nothing wrong is left, or it is named', async (t) => {
  const folder = testFolder(t)
  const there = join(folder, 'there')
  fs.mkdirSync(there)
  hostileSftp(folder)
  const content = diskLike(2 * mebibyte, 62)
  fs.writeFileSync(join(folder, 'disk.raw'), content)
  const before = diskLike(mebibyte, 63)
  const replacing = new Set(['honest', 'cut-named', 'cut-unnamed', 'write-fails', 'loses-writes'])
  for (const [outcome, ...hosts] of written)
    for (const host of hosts)
      for (const force of replacing.has(host) ? [false, true] : [false]) {
        const name = join(there, 'disk.raw')
        fs.rmSync(there, { recursive: true })
        fs.mkdirSync(there)
        if (force) fs.writeFileSync(name, before)
        const verify = host === 'loses-writes'
        const [code, said] = await made(host, folder, { force, verify })
        assert.equal(code, outcome, `${host}: ${said}`)
        const left = fs.readdirSync(there)
        if (outcome === 'right') assert.ok(fs.readFileSync(name).equals(content), host)
        // What it replaced is gone when it is compared.
        else if (force && !verify) assert.ok(fs.readFileSync(name).equals(before), host)
        assert.deepEqual(left, force || outcome === 'right' ? ['disk.raw'] : [], `${host}: ${said}`)
      }
})

test('a run that is killed shows no target, and the next one names what it left', async (t) => {
  const folder = testFolder(t)
  const there = join(folder, 'there')
  fs.mkdirSync(there)
  const env = { VDISK_SSH: hostileSftp(folder) }
  fs.writeFileSync(join(folder, 'disk.raw'), diskLike(2 * mebibyte, 64))
  let isEnded = false
  const killed = vdisk(['convert', 'disk.raw', `sftp://silent-write${there}/disk.raw`, '--progress', 'json'], {
    cwd: folder,
    env,
    onError: (_text, child) => void kill(child),
  })
  const kill = async (child: ChildProcess): Promise<void> => {
    const isBegun = (): boolean => fs.readdirSync(there).some((name) => fs.statSync(join(there, name)).size > 0)
    while (!isEnded && !isBegun()) await setTimeout(10)
    child.kill('SIGKILL')
  }
  assert.equal((await killed).code, 'SIGKILL')
  isEnded = true
  const [left = '', ...others] = fs.readdirSync(there)
  assert.match(left, /^\.disk\.raw\.partial-/)
  assert.deepEqual(others, [])

  process.env['VDISK_SSH'] = env.VDISK_SSH
  const address = (host: string): string => `sftp://${host}${there}/disk.raw`
  await assert.rejects(convert(join(folder, 'disk.raw'), address('appears')), { code: 'E_EXISTS' })
  assert.equal(fs.readFileSync(join(there, 'disk.raw'), 'utf8'), 'somebody else')
  const { notes } = await convert(join(folder, 'disk.raw'), address('honest'), { force: true })
  assert.deepEqual(
    notes.map(({ code, message }) => [code, message.includes(left)]),
    [['W_LEFT_OVER', true]],
  )
  assert.deepEqual(fs.readdirSync(there).sort(), [left, 'disk.raw'])
})

/** What is kept of the one upload there is. */
function keptState(home: string): { readonly partial: string; readonly sent: number } | undefined {
  const folder = join(home, 'vdisk', 'resume')
  const [name] = fs.existsSync(folder) ? fs.readdirSync(folder).filter((each) => /^upload-.*json$/.test(each)) : []
  if (name === undefined) return undefined
  return (JSON.parse(fs.readFileSync(join(folder, name), 'utf8')) as { state: ReturnType<typeof keptState> }).state
}

test('--resume goes on with an upload by SFTP that was killed, and not with another source', async (t) => {
  const folder = testFolder(t)
  const there = join(folder, 'there')
  const state = join(folder, 'state')
  for (const name of [there, state]) fs.mkdirSync(name)
  const env = { VDISK_SSH: hostileSftp(folder), XDG_STATE_HOME: state }
  const disk = join(folder, 'disk.raw')
  // A hole before the place to which it is flushed, and one behind it.
  fs.writeFileSync(disk, diskLike(20 * mebibyte, 65))
  const file = fs.openSync(disk, 'r+')
  fs.writeSync(file, diskLike(20 * mebibyte, 66), 0, 20 * mebibyte, 24 * mebibyte)
  fs.ftruncateSync(file, 48 * mebibyte)
  fs.closeSync(file)
  const words = ['convert', 'disk.raw', `sftp://hushed-write${there}/disk.raw`, '--resume']
  let isEnded = false
  const killed = async (): Promise<void> => {
    fs.writeFileSync(join(folder, 'hush'), '')
    isEnded = false
    const kill = async (child: ChildProcess): Promise<void> => {
      while (!isEnded && (keptState(state)?.sent ?? 0) === 0) await setTimeout(10)
      child.kill('SIGKILL')
    }
    const onError = (_text: string, child: ChildProcess): void => void kill(child)
    const { code, stderr } = await vdisk([...words, '--progress', 'json'], { cwd: folder, env, onError })
    isEnded = true
    assert.equal(code, 'SIGKILL', stderr)
    fs.unlinkSync(join(folder, 'hush'))
  }
  await killed()
  const kept = keptState(state)
  assert.ok((kept?.sent ?? 0) >= 32 * mebibyte)
  assert.deepEqual(fs.readdirSync(there), [kept?.partial])
  const resumed = await vdisk([...words, '--json'], { cwd: folder, env })
  assert.equal(resumed.code, 0, resumed.stderr)
  assert.equal((JSON.parse(resumed.stdout.toString()) as { resumed: number }).resumed, kept?.sent)
  assert.ok(fs.readFileSync(join(there, 'disk.raw')).equals(fs.readFileSync(disk)))
  assert.deepEqual(fs.readdirSync(there), ['disk.raw'])
  assert.equal(keptState(state), undefined)

  fs.unlinkSync(join(there, 'disk.raw'))
  await killed()
  fs.writeFileSync(disk, diskLike(48 * mebibyte, 67))
  const other = await vdisk(words, { cwd: folder, env })
  assert.equal(other.code, 3, other.stderr)
  assert.match(other.stderr, /other bytes than are read now/)
  assert.deepEqual(fs.readdirSync(there), [])
  const anew = await vdisk(words, { cwd: folder, env })
  assert.equal(anew.code, 0, anew.stderr)
  assert.ok(fs.readFileSync(join(there, 'disk.raw')).equals(fs.readFileSync(disk)))
})
