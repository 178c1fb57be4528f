import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { syscalls } from '../../src/sys/syscalls.js'
import { root, vdisk, type CliResult } from '../support/cli.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { assertSchema } from '../support/schemas.js'
import { run } from '../support/tools.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576

interface Document {
  readonly code?: string
  readonly message?: string
  readonly hint?: string
  readonly points?: readonly { readonly time: string; readonly image: string; readonly kind: string }[]
  readonly images?: readonly { readonly fate: string; readonly why: string }[]
  readonly states?: readonly { readonly points: readonly string[]; readonly address: string; readonly size: number }[]
  readonly problems?: readonly { readonly code: string; readonly point: string; readonly offset?: number }[]
  readonly read?: number
  readonly stored?: number
  readonly kind?: string
}

/** Runs a command with --json; its document must be what its schema says. */
async function json(words: readonly string[], code = 0, cwd: string = root): Promise<Document> {
  const result: CliResult = await vdisk([...words, '--json'], { cwd })
  assert.equal(result.code, code, result.stderr + result.stdout.toString())
  const document = JSON.parse(result.stdout.toString()) as Document & { readonly schema: string }
  assertSchema(document.schema.replace(/^vdisk\./, '').replaceAll('.', '-'), document)
  return document
}

/** A disk with one partition, an ext4 with a file in it. */
function disk(t: TestContext): {
  readonly loop: string
  readonly path: string
  readonly write: (text: string) => void
} {
  const folder = testFolder(t)
  const path = join(folder, 'disk')
  fs.writeFileSync(path, '')
  fs.truncateSync(path, 20 * mebibyte)
  run('sh', '-c', `echo 'start=2048,size=32768' | sfdisk --quiet --label gpt ${path}`)
  const write = (text: string): void => {
    const files = join(folder, 'files')
    fs.rmSync(files, { recursive: true, force: true })
    fs.mkdirSync(join(files, 'etc'), { recursive: true })
    if (text !== '') fs.writeFileSync(join(files, 'etc/motd'), text)
    fs.writeFileSync(join(files, 'large'), Buffer.alloc(600_000, text === '' ? 'x' : text))
    run('mke2fs', '-q', '-F', '-t', 'ext4', '-d', files, '-E', `offset=${mebibyte}`, path, '16M')
  }
  write('first')
  return { loop: loopDevice(t, path), path, write }
}

test('a set from its first point to its restore', { skip }, async (t) => {
  const { loop, write } = disk(t)
  const cwd = farFolder(t)
  await json(['backup', 'init', 'set', loop, '--keep-last', '2'], 0, cwd)
  assert.equal((await json(['backup', 'run', 'set'], 0, cwd)).kind, 'full')
  write('second')
  assert.equal((await json(['backup', 'run', 'set', '--verify'], 0, cwd)).kind, 'incremental')
  write('')
  await json(['backup', 'run', 'set'], 0, cwd)
  write('second')
  await json(['backup', 'run', 'set'], 0, cwd)

  const { points = [] } = await json(['backup', 'list', 'set'], 0, cwd)
  assert.deepEqual(
    points.map(({ kind }) => kind),
    ['full', 'incremental', 'incremental', 'incremental'],
  )
  await json(['backup', 'show', 'set'], 0, cwd)
  assert.equal((await json(['backup', 'list', 'set@oldest'], 0, cwd)).points?.length, 1)
  const text = await vdisk(['backup', 'show', 'set'], { cwd })
  assert.match(text.stdout.toString(), /source +disk \/dev\/loop\d+ \(20 MiB\)[\s\S]*keep 2 last[\s\S]*not kept/)

  // Which is which: states of a file, one of which comes back.
  const { states = [] } = await json(['backup', 'find', 'set', '/etc/motd'], 0, cwd)
  assert.deepEqual(
    states.map(({ points: held, size }) => [held.length, size]),
    [
      [1, 5],
      [1, 6],
      [1, 6],
    ],
  )
  await json(['backup', 'find', 'set', '/not/there'], 1, cwd)
  assert.equal((await vdisk(['cat', states[0]!.address], { cwd })).stdout.toString(), 'first')

  // Every command that reads takes a point, and the partition behind it.
  const day = points[0]!.time.slice(0, 10)
  for (const address of ['set@latest', `set@${day}`, `set@${points[3]!.time}`]) {
    assert.equal((await vdisk(['cat', `${address}@1:/etc/motd`], { cwd })).stdout.toString(), 'second', address)
    assert.equal((await vdisk(['info', address], { cwd })).code, 0)
  }
  assert.equal((await vdisk(['ls', `set@${points[2]!.time}@1:/etc`], { cwd })).stdout.toString().trim(), '')
  assert.equal((await vdisk(['convert', 'set@oldest@1', 'part.raw'], { cwd })).code, 0)
  assert.equal((await vdisk(['check', 'set@latest'], { cwd })).code, 0)

  // Samples go round: each check reads another part, and together they have read all.
  let read = 0
  for (let round = 0; round < 4; round++) {
    const checked = await json(['backup', 'check', 'set', '--sample', '25'], 0, cwd)
    read += checked.read ?? 0
    if (round === 3) assert.ok(read >= (checked.stored ?? Infinity))
  }
  await json(['backup', 'prune', 'set', '--dry-run'], 0, cwd)
  const pruned = await json(['backup', 'prune', 'set'], 0, cwd)
  assert.deepEqual(
    pruned.images?.map(({ fate }) => fate),
    ['merged', 'merged', 'kept', 'kept'],
  )
  assert.equal((await vdisk(['cat', 'set@latest@1:/etc/motd'], { cwd })).stdout.toString(), 'second')
  assert.deepEqual((await json(['backup', 'check', 'set', '--all'], 0, cwd)).problems, [])
  await json(['backup', 'schedule', 'set'], 0, cwd)
  const cron = await vdisk(['backup', 'schedule', 'set', '--form', 'cron', '--on', 'sunday', '--at', '4:05'], { cwd })
  assert.match(cron.stdout.toString(), /^5 4 \* \* 0 root \/usr\/bin\/vdisk backup run .*\/set && /m)

  // Restored to another disk of its size.
  const target = join(cwd, 'target')
  fs.writeFileSync(target, '')
  fs.truncateSync(target, 20 * mebibyte)
  const restored = loopDevice(t, target)
  assert.equal((await vdisk(['backup', 'restore', 'set', restored, '--dry-run'], { cwd })).code, 2)
  const words = ['backup', 'restore', 'set@latest', restored, '--yes', '--confirm', String(20 * mebibyte)]
  await json(words, 0, cwd)
  assert.equal((await vdisk(['cat', `${target}@1:/etc/motd`], { cwd })).stdout.toString(), 'second')
})

test('what a set refuses, by name, and loses nothing', { skip }, async (t) => {
  const { loop, path, write } = disk(t)
  const cwd = farFolder(t)
  const refused = async (words: readonly string[], code: number, name: string): Promise<string> => {
    const before = fs.existsSync(join(cwd, 'set')) ? files(join(cwd, 'set')) : undefined
    const { code: found, message = '' } = await json(words, code, cwd)
    assert.equal(found, name, message)
    if (before !== undefined) assert.deepEqual(files(join(cwd, 'set')), before, `${name}: nothing is lost`)
    return message
  }
  // On its own source: a loop over a file of the disk that the set would be on.
  await refused(['backup', 'init', join(testFolder(t), 'set'), loop], 3, 'E_SAME_DISK')
  await refused(['backup', 'init', 'set', path], 2, 'E_NOT_A_DEVICE')
  await refused(['backup', 'init', 'no/such/set', loop], 7, 'E_NO_FOLDER')
  assert.match((await json(['backup', 'init', loop, 'set'], 7, cwd)).hint ?? '', /vdisk backup init SET DISK/)
  await refused(['backup', 'run', 'set'], 2, 'E_NO_SET')
  await json(['backup', 'init', 'set', loop], 0, cwd)
  await refused(['backup', 'init', 'set', loop], 7, 'E_EXISTS')
  await refused(['info', 'set@latest'], 2, 'E_NO_POINT')
  await json(['backup', 'run', 'set'], 0, cwd)
  await refused(['backup', 'prune', 'set'], 2, 'E_NO_POLICY')
  await refused(['backup', 'prune', 'set', '--keep-last', '0', '--keep-daily', '0'], 2, 'E_NO_POLICY')
  assert.match((await json(['backup', 'run', 'set@latest'], 2, cwd)).hint ?? '', /^set is one: name it without @/)
  await refused(['info', 'set'], 2, 'E_NO_POINT')
  await refused(['info', 'set@2001-01-01'], 2, 'E_NO_POINT')
  await refused(['info', 'nothing@latest'], 2, 'E_NO_SET')
  const { points = [] } = await json(['backup', 'list', 'set'], 0, cwd)
  const image = join('set', points[0]!.image)
  await refused(['resize', image, '+1M'], 3, 'E_IN_SET')
  await refused(['convert', path, image, '--force'], 3, 'E_IN_SET')
  fs.symlinkSync(image, join(cwd, 'link.qcow2'))
  await refused(['resize', 'link.qcow2', '+1M'], 3, 'E_IN_SET')

  // Another disk in place of the old one, under its name.
  run('sfdisk', '--quiet', '--no-reread', '--no-tell-kernel', '--disk-id', path, '11111111-2222-4333-8444-555555555555')
  const message = await refused(['backup', 'run', 'set', '--disk', loop], 3, 'E_OTHER_DISK')
  assert.match(message, /is not the disk that the backup set is of: its disk id is/)
  await json(['backup', 'run', 'set', '--disk', loop, '--allow-other-disk'], 0, cwd)

  // Opened twice; and what a crash left is no such thing.
  const lock = join(cwd, 'set/.lock')
  const held = fs.openSync(lock, 'r+')
  assert.equal(syscalls()?.lock(held), true)
  await refused(['backup', 'run', 'set'], 3, 'E_SET_IN_USE')
  await refused(['backup', 'prune', 'set', '--keep-last', '1'], 3, 'E_SET_IN_USE')
  fs.closeSync(held)
  const holder = { pid: process.pid, started: '1', boot: 'another', command: 'vdisk backup run', since: 'then' }
  fs.writeFileSync(lock, JSON.stringify({ ...holder, host: 'elsewhere.example' }))
  assert.match(await refused(['backup', 'run', 'set'], 3, 'E_SET_IN_USE'), /elsewhere\.example/)
  fs.writeFileSync(lock, JSON.stringify({ ...holder, host: spawnSync('hostname').stdout.toString().trim() }))
  write('third')
  await json(['backup', 'run', 'set'], 0, cwd)

  // Something else has a point as its parent: neither is taken away.
  const oldest = join('set', (await json(['backup', 'list', 'set'], 0, cwd)).points![0]!.image)
  assert.equal((await vdisk(['create', 'set/mine.qcow2', '--parent', oldest], { cwd })).code, 0)
  const { images = [] } = await json(['backup', 'prune', 'set', '--keep-last', '1'], 0, cwd)
  assert.equal(images[0]?.fate, 'needed')
  assert.match(images[0].why, /mine\.qcow2 has it as parent/)
  assert.equal((await vdisk(['check', 'set/mine.qcow2'], { cwd })).code, 0)

  // A byte that changed is found, and where.
  const damaged = join(cwd, oldest)
  const bytes = fs.readFileSync(damaged)
  const at = bytes.indexOf('firstfirst')
  bytes[at] = 0x46
  fs.writeFileSync(damaged, bytes)
  const { problems = [] } = await json(['backup', 'check', 'set', '--all'], 1, cwd)
  assert.ok(at > 0 && problems.some(({ code, offset }) => code === 'E_DIGEST' && offset !== undefined))
})

test('a target that is full leaves the set as it was', { skip }, async (t) => {
  const { loop, path, write } = disk(t)
  const small = fs.mkdtempSync('/dev/shm/vdisk-test-')
  run('mount', '-t', 'tmpfs', '-o', 'size=12m', 'vdisk-test', small)
  t.after(() => {
    spawnSync('umount', ['--lazy', small])
    fs.rmdirSync(small)
  })
  const set = join(small, 'set')
  await json(['backup', 'init', set, loop])
  await json(['backup', 'run', set])
  const before = files(set)
  // More than fits, and of a child nobody knows it before.
  const bytes = fs.readFileSync(path)
  for (let offset = mebibyte; offset < 17 * mebibyte; offset += 4)
    bytes.writeUInt32LE((offset * 2654435) % 4294967291, offset)
  fs.writeFileSync(path, bytes)
  const { code } = await json(['backup', 'run', set, '--if-dirty', 'whole'], 7)
  assert.equal(code, 'E_NO_SPACE')
  assert.deepEqual(files(set), before)
  assert.equal((await json(['backup', 'run', set, '--full', '--if-dirty', 'whole'], 7)).code, 'E_NO_SPACE')
  assert.deepEqual(files(set), before)
  write('first')
  await json(['backup', 'run', set])
})

/** The names and sizes in a set, but for who has it. */
function files(folder: string): string[] {
  return fs
    .readdirSync(folder)
    .filter((name) => name !== '.lock')
    .map((name) => `${name} ${fs.statSync(join(folder, name)).size}`)
    .sort()
}
