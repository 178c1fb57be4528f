import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { ImageError } from '../../src/errors.js'
import { checkSet } from '../../src/operations/backup/check.js'
import { initSet } from '../../src/operations/backup/init.js'
import { listSet } from '../../src/operations/backup/list.js'
import { pruneSet } from '../../src/operations/backup/prune.js'
import { restorePoint } from '../../src/operations/backup/restore.js'
import { runSet } from '../../src/operations/backup/run.js'
import { syscalls } from '../../src/sys/syscalls.js'
import { assertPoints, setOf } from '../support/backup-set.js'
import { root, vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { mountingMissing, mountPlace } from '../support/mounted.js'
import { run as tool } from '../support/tools.js'
import { tracingMissing } from '../support/traced.js'

const skip = loopsMissing() ?? farFolderMissing() ?? false
const mebibyte = 1048576

const codeOf = (code: string) => (error: unknown) => error instanceof ImageError && error.code === code

test('records that changed places are noticed, whatever else fits', { skip }, async (t) => {
  const { folder, run, states } = await setOf(t, 'qcow2', 1)
  // Two full images of one size: neither has a parent by which the mistake would show.
  await run({ full: true })
  const times = [...states.keys()]
  const records = times.map((time) => join(folder, `${time}.qcow2.vdisk.json`))
  const texts = records.map((path) => fs.readFileSync(path, 'utf8'))
  for (const [index, path] of records.entries()) fs.writeFileSync(path, texts[1 - index] ?? '')
  const { problems } = await checkSet(folder, { sample: 10 })
  assert.deepEqual(
    problems.map(({ point, code }) => [point, code]),
    times.map((time) => [time, 'E_CHAIN']),
  )
  assert.match(problems[0]?.message ?? '', /the record beside it is that of another image/)
  await assert.rejects(run(), codeOf('E_SET_DAMAGED'))
  await assert.rejects(pruneSet(folder, { keepLast: 1 }), codeOf('E_SET_DAMAGED'))
  await assert.rejects(restorePoint(`${folder}@latest`, '/dev/null', {}), codeOf('E_SET_DAMAGED'))
  assertPoints(folder, states, times, 'exchanged')
  for (const [index, path] of records.entries()) fs.writeFileSync(path, texts[index] ?? '')
  assert.deepEqual((await checkSet(folder, { sample: 100 })).problems, [])
  await run()
})

/** A set of a disk with a table, and so with an id. */
async function knownDisk(t: TestContext): Promise<{
  readonly set: string
  readonly states: Map<string, Buffer>
  readonly partition: (script: string) => void
  readonly point: (options?: { readonly allowOtherDisk?: boolean }) => Promise<void>
}> {
  const path = join(testFolder(t), 'disk')
  const set = join(farFolder(t), 'set')
  fs.writeFileSync(path, diskLike(8 * mebibyte, 1))
  const partition = (script: string): void => {
    tool('sh', '-c', `printf '${script}' | sfdisk --quiet --force --no-reread --no-tell-kernel ${path}`)
  }
  partition('label: gpt\\nlabel-id: 11111111-2222-4333-8444-555555555555\\nstart=2048,size=4096\\n')
  const loop = loopDevice(t, path)
  await initSet(set, loop, { usedOnly: false })
  const states = new Map<string, Buffer>()
  let day = 0
  const point = async (options = {}): Promise<void> => {
    const { image } = await runSet(set, { threads: 0, now: new Date(Date.UTC(2026, 0, ++day)), disk: loop, ...options })
    states.set(/(.{18})\.qcow2$/.exec(image.target.path)?.[1] ?? '', fs.readFileSync(path))
  }
  await point()
  return { set, states, partition, point }
}

test('the id of the disk in a record that was edited: the next run says so', { skip }, async (t) => {
  const { set, states, point } = await knownDisk(t)
  const record = join(set, `${[...states.keys()][0] ?? ''}.qcow2.vdisk.json`)
  const text = fs.readFileSync(record, 'utf8')
  assert.match(text, /11111111-2222-4333-8444-555555555555/)
  fs.writeFileSync(record, text.replace('11111111-2222', '99999999-2222'))
  await assert.rejects(point(), codeOf('E_OTHER_DISK'))
  assert.equal(listSet(set).points.length, 1)
  fs.writeFileSync(record, text)
  await point()
  assertPoints(set, states, [...states.keys()], 'put back')
})

test('a disk that was partitioned anew goes on as itself; one with another table is asked for', { skip }, async (t) => {
  const { set, states, partition, point } = await knownDisk(t)
  const table = (id: string, start: number): string => `label: gpt\\nlabel-id: ${id}\\nstart=${start},size=2048\\n`
  partition(table('11111111-2222-4333-8444-555555555555', 6144))
  await point()
  partition(table('aaaaaaaa-2222-4333-8444-555555555555', 4096))
  await assert.rejects(point(), codeOf('E_OTHER_DISK'))
  await point({ allowOtherDisk: true })
  // The set is of the disk as it is now.
  await point()
  assertPoints(set, states, [...states.keys()], 'partitioned anew')
  assert.equal(states.size, 4)
  await pruneSet(set, { keepLast: 1 })
  assertPoints(set, states, [...states.keys()].slice(-1), 'pruned')
})

test('two sets of one disk, run at once: each has its points', { skip }, async (t) => {
  const { folder, loop, run, states } = await setOf(t, 'qcow2', 1)
  const second = join(farFolder(t), 'second')
  await initSet(second, loop, { format: 'vhdx' })
  await runSet(second, { threads: 0, now: new Date(Date.UTC(2026, 0, 1)) })
  const [, other] = await Promise.all([run(), runSet(second, { threads: 0, now: new Date(Date.UTC(2026, 0, 2)) })])
  assert.equal(other.kind, 'incremental')
  const times = [...states.keys()]
  assertPoints(folder, states, times, 'the first')
  assertPoints(second, states, times, 'the second')
})

test('a prune while a point is mounted: it stays, and what is shown is whole', { skip }, async (t) => {
  if (mountingMissing() !== undefined) {
    t.skip(mountingMissing())
    return
  }
  const { folder, states } = await setOf(t, 'qcow2', 3)
  const times = [...states.keys()]
  const { vdisk: here } = mountPlace(t)
  const shown = await here('mount', `${folder}@${times[0] ?? ''}`, '--json')
  assert.equal(shown.code, 0, shown.stderr)
  const { session } = JSON.parse(shown.stdout.toString()) as { session: { id: string; folder: string } }
  try {
    const { images } = await pruneSet(folder, { keepLast: 1 })
    assert.deepEqual(
      images.map(({ fate, why }) => `${fate}: ${why}`),
      // The second can go: what it holds goes into the third.
      ['needed: it is in use', `merged: into ${times[2] ?? ''}.qcow2`, 'kept: last'],
    )
    assert.ok(fs.readFileSync(join(session.folder, 'disk.img')).equals(states.get(times[0] ?? '')!))
    assertPoints(folder, states, [times[0] ?? '', times[2] ?? ''], 'mounted')
  } finally {
    await here('unmount', session.folder)
  }
})

test('a lock that the filesystem does not have is no lock that was taken', (t) => {
  const system = syscalls()
  if (system === undefined) {
    t.skip('no koffi here')
    return
  }
  const path = join(testFolder(t), 'file')
  fs.writeFileSync(path, '')
  // Of a file that is open for reading the system gives no lock for writing, with another error than "taken".
  const descriptor = fs.openSync(path, 'r')
  assert.equal(system.lock(descriptor), undefined)
  fs.closeSync(descriptor)
})

test('a set where the filesystem has no locks: a second run is refused nevertheless', { skip }, async (t) => {
  const missing = tracingMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  const { folder, states } = await setOf(t, 'qcow2', 1)
  // NFS without its lock daemon answers so.
  const rule = ['-f', '--seccomp-bpf', '-qq', '-o', '/dev/null', '-e', 'trace=fcntl', '-P', join(folder, '.lock')]
  const start = (...flags: string[]) =>
    spawn(
      'strace',
      [
        ...rule,
        '-e',
        'inject=fcntl:error=ENOLCK',
        process.execPath,
        join(root, 'bin/run.js'),
        'backup',
        'run',
        folder,
      ].concat(flags),
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
  // So slow that it is there until it is killed.
  const first = start('--full', '--rate', '64k', '--progress', 'json')
  let said = ''
  first.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const firstEnd = new Promise((resolve) => first.once('close', resolve))
  while (!said.includes('"phase":"copy"') && first.exitCode === null) await setTimeout(20)
  const second = start()
  let refusal = ''
  second.stderr.setEncoding('utf8').on('data', (text: string) => (refusal += text))
  const code = await new Promise((resolve) => second.once('close', resolve))
  assert.equal(first.exitCode, null, said)
  assert.equal(code, 3, refusal)
  assert.match(refusal, /is in use by vdisk backup run, process \d+/)
  // What a run that was killed left in the lock keeps nobody away.
  for (const child of fs.readFileSync(`/proc/${first.pid}/task/${first.pid}/children`, 'utf8').trim().split(' '))
    process.kill(Number(child), 'SIGKILL')
  await firstEnd
  assert.ok(fs.statSync(join(folder, '.lock')).size > 0)
  const { code: last, stderr } = await vdisk(['backup', 'run', folder], { cwd: folder })
  assert.equal(last, 0, stderr)
  assert.equal(listSet(folder).points.length, 2)
  assertPoints(folder, states, [...states.keys()], 'the first')
})
