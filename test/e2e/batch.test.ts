import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { program, root, vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { assertSchema } from '../support/schemas.js'
import { run, scratch } from '../support/tools.js'
import { syscalls } from '../../src/sys/syscalls.js'

interface Answer {
  readonly jobs: readonly {
    readonly name: string
    readonly outcome: string
    readonly exitCode?: number
    readonly error?: { readonly code: string }
  }[]
}

const source = join(root, 'fixtures/partitioned-disk.vhdx')

function batchOf(t: TestContext, text: string) {
  const at = scratch(t)
  const cwd = at('.')
  fs.copyFileSync(source, at('a.vhdx'))
  fs.writeFileSync(at('jobs.yaml'), text)
  const run = async (...flags: readonly string[]) => {
    const { code, stdout, stderr } = await vdisk(['batch', 'jobs.yaml', '--json', ...flags], { cwd })
    const answer = JSON.parse(stdout.toString()) as Answer & { readonly code?: string }
    return {
      code,
      stderr,
      answer,
      outcomes: (answer.jobs as Answer['jobs'] | undefined)?.map(({ outcome }) => outcome),
    }
  }
  return { at, cwd, run }
}

test('jobs run once; what failed, what is new and what lost its file runs again', async (t) => {
  const { at, run } = batchOf(
    t,
    '- convert a.vhdx b.qcow2\n- [convert, "a.vhdx", "with space.vhd"]\n' +
      "- name: missing\n  run: vdisk convert 'not here.vhdx' c.qcow2\n- check a.vhdx\n",
  )
  const planned = await run('--dry-run')
  assert.deepEqual([planned.code, planned.outcomes], [0, ['planned', 'planned', 'planned', 'planned']])
  assert.deepEqual(fs.readdirSync(at('.')).sort(), ['a.vhdx', 'jobs.yaml'])

  const first = await run('--parallel', '2')
  assert.deepEqual([first.code, first.outcomes], [9, ['done', 'done', 'failed', 'done']], first.stderr)
  assert.equal(first.answer.jobs[2]?.name, 'missing')
  assert.equal(first.answer.jobs[2].error?.code, 'E_NOT_FOUND')
  assert.ok(fs.existsSync(at('with space.vhd')))

  fs.copyFileSync(source, at('not here.vhdx'))
  const before = fs.statSync(at('b.qcow2')).mtimeMs
  const second = await run()
  assert.deepEqual([second.code, second.outcomes], [0, ['already', 'already', 'done', 'already']])
  assert.equal(fs.statSync(at('b.qcow2')).mtimeMs, before)

  // A file that is another one by now is not what the job made, and is not replaced either.
  fs.appendFileSync(at('b.qcow2'), 'x')
  fs.rmSync(at('c.qcow2'))
  const third = await run()
  assert.deepEqual([third.code, third.outcomes], [9, ['failed', 'already', 'done', 'already']])
  assert.equal(third.answer.jobs[0]?.error?.code, 'E_EXISTS')
})

test('a batch reports how many jobs have ended, and how far those are that run', async (t) => {
  const { at, run } = batchOf(t, '- check a.vhdx\n- convert slow.raw slow.qcow2\n- convert missing.raw x.raw\n')
  fs.writeFileSync(at('slow.raw'), Buffer.alloc(8 * 1048576, 1))
  const { code, stderr } = await run('--progress', 'json', '--rate', '8M')
  assert.equal(code, 9)
  const lines = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { phase: string; done: number; total: number })
  for (const line of lines) {
    assertSchema('progress', line)
    assert.deepEqual([line.phase, line.total], ['jobs', 3])
  }
  const done = lines.map((line) => line.done)
  assert.deepEqual([done[0], done.at(-1)], [0, 3])
  assert.deepEqual(
    done,
    [...done].sort((a, b) => a - b),
  )
  assert.ok(
    done.some((some) => some > 1 && some < 2),
    stderr,
  )
})

test('what is no list of jobs is refused before anything runs', async (t) => {
  for (const [text, says] of [
    ['', /no list/],
    ['{}', /no list/],
    ['- [', /neither YAML nor JSON/],
    ['- convert "a.vhdx', /quote/],
    ['- []', /no command/],
    ['- [1, 2]', /no command/],
    ['- check a.vhdx\n- vdisk check a.vhdx', /job 2 is the same command as job 1/],
    ['- convert a.vhdx -', /standard output/],
    ['- batch other.yaml', /batch itself/],
    ['- &a [check, a.vhdx]\n- *a', /neither YAML nor JSON/],
  ] as const) {
    const { at, run } = batchOf(t, text)
    const { code, answer, stderr } = await run()
    assert.deepEqual([code, answer.code], [2, 'E_JOBS'], `${text}: ${stderr}`)
    assert.match(JSON.stringify(answer), says)
    assert.ok(!fs.existsSync(at('jobs.yaml.state')))
  }
})

test('jobs come through a pipe, and a device that never ends is no list of them', async (t) => {
  const { cwd } = batchOf(t, '')
  const endless = await vdisk(['batch', '/dev/zero', '--json'], { cwd })
  assert.equal((JSON.parse(endless.stdout.toString()) as { code?: string }).code, 'E_JOBS')
  assert.match(endless.stdout.toString(), /more than 16777216 bytes/)
  const script = 'exec "$1" "$2" batch <(echo "- check a.vhdx") --json --state state'
  const piped = run('bash', '-c', `cd "$3" && ${script}`, 'bash', process.execPath, program, cwd)
  assert.deepEqual(
    (JSON.parse(piped) as Answer).jobs.map(({ outcome }) => outcome),
    ['done'],
  )
})

test('an interrupted batch ends its jobs, leaves nothing half-made, and goes on next time', async (t) => {
  const { at, cwd, run } = batchOf(t, '- check a.vhdx\n- convert big.raw big.qcow2\n- convert a.vhdx after.qcow2\n')
  fs.writeFileSync(at('big.raw'), diskLike(32 << 20, 7))
  let ended = false
  // The job takes half a minute unless it is ended.
  const { code, stderr } = await vdisk(['batch', 'jobs.yaml', '--rate', '1M'], {
    cwd,
    onOutput: (_, child) => {
      if (!ended) child.kill('SIGTERM')
      ended = true
    },
  })
  assert.equal(code, 130, stderr)
  const left = fs.readdirSync(cwd).filter((name) => /after|partial|^\./.test(name))
  assert.deepEqual(left, [])
  const { code: end, outcomes } = await run()
  assert.equal(end, 0)
  assert.equal(outcomes?.[0], 'already')
  assert.ok(fs.existsSync(at('after.qcow2')) && fs.existsSync(at('big.qcow2')))
})

test(
  'two runs of one batch at a time are refused',
  { skip: syscalls() === undefined && 'no locks here' },
  async (t) => {
    const { at, run } = batchOf(t, '- check a.vhdx\n')
    fs.mkdirSync(at('jobs.yaml.state'))
    const lock = fs.openSync(at('jobs.yaml.state/lock'), 'w')
    t.after(() => fs.closeSync(lock))
    assert.ok(syscalls()?.lock(lock))
    const { code, answer } = await run()
    assert.deepEqual([code, answer.code], [3, 'E_BATCH_RUNS'])
  },
)

test('--if-exists same: what is made is found by its record, without a state that knows it', async (t) => {
  const { at, run } = batchOf(t, '- convert a.vhdx b.qcow2\n- convert a.vhdx c.vhd\n')
  assert.equal((await run()).code, 0)
  const made = ['b.qcow2', 'c.vhd'].map((name) => fs.statSync(at(name)).mtimeMs)
  const without = await run('--state', 'second')
  assert.deepEqual(
    [without.code, without.answer.jobs.map(({ error }) => error?.code)],
    [9, ['E_EXISTS', 'E_EXISTS']],
    without.stderr,
  )
  // The record is written beside what a run with the flag makes.
  for (const name of ['b.qcow2', 'c.vhd']) fs.rmSync(at(name))
  assert.equal((await run('--state', 'third', '--if-exists', 'same')).code, 0)
  const first = fs.statSync(at('b.qcow2')).mtimeMs
  assert.notEqual(first, made[0])
  assert.equal((await run('--state', 'fourth', '--if-exists', 'same')).code, 0)
  assert.equal(fs.statSync(at('b.qcow2')).mtimeMs, first, 'it was not made again')
  // By the record, not by the name.
  fs.appendFileSync(at('b.qcow2'), 'x')
  const changed = await run('--state', 'fifth', '--if-exists', 'same')
  assert.deepEqual(
    [changed.code, changed.answer.jobs.map(({ error }) => error?.code)],
    [9, ['E_EXISTS', undefined]],
    changed.stderr,
  )
})
