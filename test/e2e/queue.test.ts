import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { installPlugin, root, vdisk, type CliResult } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { testFolder } from '../support/folder.js'
import { hostileSftp } from '../support/hostile-sftp.js'
import { freePort } from '../support/ports.js'

const plugin = join(root, 'plugins/queue')
const mebibyte = 1048576

/** The plug-in has dependencies of its own, which `npm ci --prefix plugins/queue` installs. */
function missing(): string | undefined {
  if (!fs.existsSync(join(plugin, 'node_modules/bullmq'))) return 'the dependencies of plugins/queue are not installed'
  if (!fs.existsSync(join(plugin, 'dist/commands'))) return 'plugins/queue is not built'
  return spawnSync('redis-server', ['--version']).error === undefined ? undefined : 'redis-server is not installed'
}

const skip = skipReason(missing())

/** VDISK_QUEUE=full: the whole proof, of eight workers and forty jobs; otherwise a smaller one of the same kind. */
const full = process.env['VDISK_QUEUE'] === 'full'

/** A Redis of the test's own, which keeps what it has on the medium and can be restarted. */
class RedisServer {
  readonly url: string
  #process: ChildProcess | undefined

  private constructor(
    readonly folder: string,
    readonly port: number,
  ) {
    this.url = `redis://127.0.0.1:${port}`
  }

  static async start(t: TestContext, folder: string): Promise<RedisServer> {
    const server = new RedisServer(folder, await freePort())
    fs.mkdirSync(folder)
    await server.start()
    t.after(() => server.stop())
    return server
  }

  async start(): Promise<void> {
    const process = spawn('redis-server', [
      ...['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder],
      ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--maxmemory-policy', 'noeviction'],
    ])
    this.#process = process
    let shown = ''
    await new Promise<void>((resolve, reject) => {
      process.stdout.setEncoding('utf8').on('data', (text: string) => {
        shown += text
        if (shown.includes('Ready to accept')) resolve()
      })
      process.on('error', reject).on('exit', () => reject(new Error(`Redis ended: ${shown}`)))
    })
  }

  async stop(): Promise<void> {
    const { exitCode = 0 } = this.#process ?? {}
    if (exitCode !== null || this.#process === undefined) return
    const ended = new Promise((next) => this.#process?.once('exit', next))
    this.#process.kill('SIGTERM')
    await ended
  }
}

interface Setting {
  readonly cwd: string
  readonly redis: RedisServer
  readonly queue: (...args: string[]) => Promise<CliResult>
  /** A worker in a process group of its own, with the command that it runs. */
  readonly worker: (...args: string[]) => ChildProcess
}

async function setting(t: TestContext): Promise<Setting> {
  const cwd = testFolder(t)
  const redis = await RedisServer.start(t, join(cwd, 'redis'))
  const data = installPlugin(cwd, { name: 'vdisk-plugin-queue', root: plugin })
  const env = { VDISK_DATA_DIR: data, VDISK_REDIS: redis.url }
  return {
    cwd,
    redis,
    queue: (...args) => vdisk(['queue', ...args], { cwd, env }),
    worker: (...args) => {
      const child = spawn(process.execPath, [join(root, 'bin/run.js'), 'queue', 'work', '--lease', '3', ...args], {
        cwd,
        env: { PATH: process.env['PATH'] ?? '', HOME: cwd, TERM: 'dumb', ...env },
        stdio: 'ignore',
      })
      t.after(() => child.kill('SIGKILL'))
      return child
    },
  }
}

/** Disks and the jobs that convert them: each has bytes of its own. */
function makeJobs(cwd: string, count: number, size: number, flags: string): void {
  const lines: string[] = []
  for (let index = 0; index < count; index++) {
    const bytes = Buffer.alloc(size * mebibyte)
    for (let at = 0; at < bytes.length; at += 512) bytes.writeUInt32LE(Math.imul(at + 1, index + 7) >>> 0, at)
    fs.writeFileSync(join(cwd, `source${index}.raw`), bytes)
    lines.push(`- convert source${index}.raw target${index}.qcow2 ${flags}`)
  }
  fs.writeFileSync(join(cwd, 'jobs.yaml'), `${lines.join('\n')}\n`)
}

interface Status {
  readonly waiting: number
  readonly running: number
  readonly done: number
  readonly failed: number
}

async function statusOf({ queue }: Setting): Promise<Status> {
  const { stdout, stderr } = await queue('status', '--json')
  assert.ok(stdout.length > 0, stderr)
  return JSON.parse(stdout.toString()) as Status
}

async function until(setting: Setting, done: (status: Status) => boolean): Promise<Status> {
  for (;;) {
    const status = await statusOf(setting).catch(() => undefined)
    if (status !== undefined && done(status)) return status
    await setTimeout(1000)
  }
}

async function assertTargets({ cwd }: Setting, count: number): Promise<void> {
  const left = fs.readdirSync(cwd).filter((name) => name.includes('.partial-'))
  assert.deepEqual(left, [], 'nothing unfinished is left')
  for (let index = 0; index < count; index++) {
    const hash = await vdisk(['hash', `target${index}.qcow2`, '--algorithm', 'sha256', '--json'], { cwd })
    const expected = createHash('sha256')
      .update(fs.readFileSync(join(cwd, `source${index}.raw`)))
      .digest('hex')
    assert.ok(hash.stdout.toString().includes(expected), `target${index}: ${hash.stdout.toString()}${hash.stderr}`)
  }
}

test('add, work, status, retry', { skip }, async (t) => {
  const here = await setting(t)
  makeJobs(here.cwd, 2, 1, '')
  fs.appendFileSync(join(here.cwd, 'jobs.yaml'), '- {name: one that fails, run: [convert, missing.raw, x.qcow2]}\n')
  assert.match((await here.queue('add', 'jobs.yaml')).stdout.toString(), /^3 jobs added/)
  assert.match((await here.queue('add', 'jobs.yaml')).stdout.toString(), /^0 jobs added, 3 were there already/)
  const work = await here.queue('work', '--until-empty')
  assert.equal(work.code, 9, work.stderr)
  assert.match(work.stdout.toString(), /failed {4}one that fails .*no such file/)
  assert.deepEqual(
    { ...(await statusOf(here)), jobs: undefined, schema: undefined, schemaVersion: undefined },
    {
      ...{ waiting: 0, running: 0, done: 2, failed: 1 },
      ...{ jobs: undefined, schema: undefined, schemaVersion: undefined },
    },
  )
  fs.copyFileSync(join(here.cwd, 'source0.raw'), join(here.cwd, 'missing.raw'))
  assert.match((await here.queue('retry')).stdout.toString(), /^1 jobs/)
  assert.equal((await here.queue('work', '--until-empty')).code, 0)
  await assertTargets(here, 2)
  for (const job of ['repair a.qcow2', 'convert a b.raw --force', 'convert - b.raw', 'restore a.raw /dev/sda']) {
    fs.writeFileSync(join(here.cwd, 'wrong.yaml'), `- ${job}\n`)
    const refused = await here.queue('add', 'wrong.yaml')
    assert.equal(refused.code, 2, job)
  }
  const none = await vdisk(['queue', 'status', '--redis', 'redis://127.0.0.1:1'], {
    cwd: here.cwd,
    env: { VDISK_DATA_DIR: join(here.cwd, 'data-vdisk-plugin-queue') },
  })
  assert.equal(none.code, 7, none.stderr)
  assert.match(none.stderr, /does not answer/)
})

test('jobs that read from an address and write to one', { skip }, async (t) => {
  const { cwd, redis, queue } = await setting(t)
  makeJobs(cwd, 2, 1, '')
  const there = `sftp://honest${cwd}`
  fs.writeFileSync(
    join(cwd, 'jobs.yaml'),
    `- convert source0.raw ${there}/target0.qcow2\n- convert ${there}/source1.raw target1.qcow2\n`,
  )
  assert.equal((await queue('add', 'jobs.yaml')).code, 0)
  const env = {
    VDISK_DATA_DIR: join(cwd, 'data-vdisk-plugin-queue'),
    VDISK_REDIS: redis.url,
    VDISK_SSH: hostileSftp(cwd),
    XDG_STATE_HOME: join(cwd, 'state'),
  }
  const work = await vdisk(['queue', 'work', '--until-empty'], { cwd, env })
  assert.equal(work.code, 0, work.stderr + work.stdout.toString())
  for (const name of ['0', '1']) {
    const compared = await vdisk(['compare', `source${name}.raw`, `target${name}.qcow2`], { cwd })
    assert.equal(compared.code, 0, compared.stderr)
  }
  assert.deepEqual(
    fs.readdirSync(cwd).filter((name) => /made\.json$|partial/.test(name)),
    ['target1.qcow2.made.json'],
  )
})

test(
  'workers that are killed, and a Redis that is restarted: every job is done, and nothing is left',
  { skip },
  async (t) => {
    const here = await setting(t)
    const [workers, jobs] = full ? [8, 40] : [2, 4]
    makeJobs(here.cwd, jobs, full ? 24 : 8, '--compress zlib:6 --rate 4M')
    assert.equal((await here.queue('add', 'jobs.yaml')).code, 0)
    const running = Array.from({ length: workers }, () => here.worker())
    let killed = 0
    const work = { isOver: false }
    const killing = (async () => {
      for (;;) {
        await setTimeout(2000)
        const index = Math.floor(Math.random() * workers)
        // The smaller proof ends on a busy machine too, where a new worker has hardly begun within two seconds.
        if (work.isOver || (!full && killed === 3)) return
        running[index]?.kill('SIGKILL')
        running[index] = here.worker()
        killed++
        if (killed === 2) {
          await here.redis.stop()
          await setTimeout(1000)
          await here.redis.start()
        }
      }
    })()
    const status = await until(here, ({ done, failed }) => done + failed === jobs)
    work.isOver = true
    await killing
    for (const worker of running) worker.kill('SIGTERM')
    await Promise.all(
      running.map(async (worker) => {
        if (worker.exitCode === null && worker.signalCode === null)
          await new Promise((next) => worker.once('exit', next))
      }),
    )
    // Commands of workers that were killed end by themselves.
    await allGone(here)
    t.diagnostic(`${jobs} jobs, ${workers} workers, ${killed} killed`)
    assert.equal(status.failed, 0, (await here.queue('status')).stdout.toString())
    assert.ok(killed >= 2)
    await assertTargets(here, jobs)
  },
)

test('a worker that is stopped past its lease, and goes on, does no harm', { skip }, async (t) => {
  const here = await setting(t)
  makeJobs(here.cwd, 1, 24, '--rate 6M')
  assert.equal((await here.queue('add', 'jobs.yaml')).code, 0)
  const zombie = here.worker()
  const partial = async (): Promise<string> => {
    for (;;) {
      const found = fs.readdirSync(here.cwd).find((name) => /partial-[0-9a-f]+$/.test(name))
      if (found !== undefined) return found
      await setTimeout(50)
    }
  }
  await partial()
  // The worker, and the command that it runs.
  const family = [zombie.pid ?? 0, ...childrenOf(zombie.pid ?? 0)]
  assert.equal(family.length, 2)
  for (const pid of family) process.kill(pid, 'SIGSTOP')
  const second = here.worker()
  await until(here, ({ done }) => done === 1)
  const before = stateOf(join(here.cwd, 'target0.qcow2'))
  for (const pid of family) process.kill(pid, 'SIGCONT')
  // The command goes on until it finds that it lost its files; then the worker says so, or may not any more.
  while (childrenOf(zombie.pid ?? 0).includes(family[1]!)) await setTimeout(50)
  for (const worker of [zombie, second]) worker.kill('SIGTERM')
  await allGone(here)
  assert.deepEqual(stateOf(join(here.cwd, 'target0.qcow2')), before, 'the finished target is as it was')
  assert.deepEqual((await statusOf(here)).done, 1)
  await assertTargets(here, 1)
})

/** Waits until no worker and no command runs any more in the folder of a test. */
async function allGone({ cwd }: Setting): Promise<void> {
  const isIn = (pid: string): boolean => {
    try {
      return fs.readlinkSync(`/proc/${pid}/cwd`) === cwd
    } catch {
      return false
    }
  }
  while (fs.readdirSync('/proc').some((name) => /^\d+$/.test(name) && isIn(name))) await setTimeout(50)
}

function childrenOf(pid: number): number[] {
  const { stdout } = spawnSync('ps', ['--ppid', String(pid), '-o', 'pid='], { encoding: 'utf8' })
  return stdout
    .split('\n')
    .map(Number)
    .filter((child) => child > 0)
}

function stateOf(path: string): unknown {
  const { ino, size, mtimeNs } = fs.statSync(path, { bigint: true })
  return [ino, size, mtimeNs, createHash('sha256').update(fs.readFileSync(path)).digest('hex')]
}

// Of the full proof only: a ratio of two times. The jobs keep to a rate, so that each waits for its own medium.
if (full)
  test('two workers do nearly twice the work of one, where the medium allows', { skip }, async (t) => {
    const here = await setting(t)
    const seconds: number[] = []
    for (const count of [1, 2]) {
      makeJobs(here.cwd, 8, 12, '--rate 3M')
      assert.equal((await here.queue('add', 'jobs.yaml', '--queue', `of-${count}`)).code, 0)
      const began = Date.now()
      const workers = Array.from({ length: count }, () => here.queue('work', '--until-empty', '--queue', `of-${count}`))
      for (const { code, stderr } of await Promise.all(workers)) assert.equal(code, 0, stderr)
      seconds.push((Date.now() - began) / 1000)
      await assertTargets(here, 8)
      for (let index = 0; index < 8; index++) fs.rmSync(join(here.cwd, `target${index}.qcow2`))
    }
    const [one = 0, two = 1] = seconds
    t.diagnostic(`one worker ${one} s, two ${two} s: ${(one / two).toFixed(2)}`)
    assert.ok(one / two >= 1.8)
  })
