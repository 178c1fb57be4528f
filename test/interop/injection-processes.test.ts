import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import test, { type TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { check, convert, create, createSnapshot, hash } from '../../src/index.js'
import { openExposed } from '../../src/operations/serve/exposed-disk.js'
import { root, vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { mountingMissing, takeAway } from '../support/mounted.js'
import { run } from '../support/tools.js'
import { Traced, tracingMissing, type Injection } from '../support/traced.js'

/** Every call of every case with every error; left out, a sample (docs/errors.md). */
const everything = process.env['VDISK_INJECT'] === 'all'
const mebibyte = 1048576
const size = 4 * mebibyte
const content = diskLike(size, 7)
const skip = tracingMissing() ?? loopsMissing() ?? mountingMissing() ?? false

interface Place {
  readonly folder: string
  readonly at: (name: string) => string
}

/** A command that writes, on files and devices of its own. */
interface Case {
  readonly name: string
  /** Makes what is there before. */
  readonly before: (place: Place) => unknown
  readonly args: readonly string[]
  /** A new file: afterwards it is not there (or the old one is), or it holds this disk. */
  readonly made?: readonly string[]
  /** An image changed in place: afterwards it is what it was, or what it is to be, and sound. */
  readonly changed?: readonly string[]
  /** Content that may be of both: what a guest writes, a partition that is written over. */
  readonly mixed?: boolean
  /** Findings that a stop may leave. */
  readonly allowed?: readonly string[]
  /** The file behind the loop device that is written. */
  readonly device?: string
  /** Uses what the command shows, while it runs. */
  readonly using?: (place: Place, traced: Traced) => Promise<void>
}

const raw = ({ at }: Place): void => fs.writeFileSync(at('a.raw'), content)

async function image(place: Place, name: string, options: Record<string, string | number> = {}): Promise<void> {
  raw(place)
  await convert(place.at('a.raw'), place.at(name), { options, flush: false })
  fs.rmSync(place.at('a.raw'))
}

function write(path: string, offset: number, bytes: Uint8Array): void {
  using exposed = openExposed(path, { mode: 'write' })
  exposed.disk.write(offset, bytes)
}

async function chain(place: Place): Promise<void> {
  await image(place, 'base.qcow2')
  await create(place.at('child.qcow2'), { parent: place.at('base.qcow2') })
  write(place.at('child.qcow2'), 4096, Buffer.alloc(200_000, 'child '))
}

const fixture =
  (path: string, name: string) =>
  ({ at }: Place): void =>
    fs.writeFileSync(at(name), gunzipSync(fs.readFileSync(join(root, 'fixtures', path))))

/** Lets the kernel's or a server's client write; its errors are what the harness makes. */
function client(program: string, ...args: string[]): void {
  const { error } = spawnSync(program, args, { stdio: 'ignore' })
  assert.equal(error, undefined, program)
}

async function overNbd({ at }: Place, traced: Traced): Promise<void> {
  while (!fs.existsSync(at('socket')) && traced.child.exitCode === null && traced.child.signalCode === null)
    await pause(20)
  const commands = ['write -P 7 100k 70k', 'flush', 'write -z 300k 200k', 'write -P 9 1M 64k', 'flush']
  client(
    'qemu-io',
    ...['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), `nbd+unix:///?socket=${at('socket')}`],
  )
}

async function overFuse({ folder, at }: Place, traced: Traced): Promise<void> {
  const ready = (): boolean => /"folder"/.test(traced.stdout) && traced.stdout.trimEnd().endsWith('}')
  while (!ready() && traced.child.exitCode === null && traced.child.signalCode === null && !isOver(traced))
    await pause(20)
  if (!ready()) return
  const session = JSON.parse(traced.stdout) as { session: { folder: string } }
  const disk = join(session.session.folder, 'disk.img')
  for (const seek of [1, 5, 9])
    client('dd', 'if=/dev/zero', `of=${disk}`, 'bs=64k', 'count=1', `seek=${seek}`, 'conv=notrunc,fsync', 'status=none')
  const { code, stderr } = await vdisk(['unmount', at('i.qcow2')], { cwd: folder, env: runtime(folder) })
  assert.notEqual(code, 70, stderr)
}

const runtime = (folder: string): Record<string, string> => ({ VDISK_RUNTIME_DIR: join(folder, 'runtime') })

/** Whether a command said that it failed. */
const isOver = ({ stdout }: Traced): boolean => /"exitCode"/.test(stdout)

const inPlace = (name: string): Pick<Case, 'changed' | 'allowed'> => ({
  changed: [name],
  allowed: name.endsWith('.vhd') ? ['E_FOOTERS_DIFFER'] : [],
})
const confirmed = ['--yes', '--confirm', String(size), '--allow-no-table']

const cases: readonly Case[] = [
  { name: 'convert', before: raw, args: ['convert', 'a.raw', 'b.qcow2'], made: ['b.qcow2'] },
  {
    name: 'convert --force --verify',
    before: (place) => {
      raw(place)
      fs.writeFileSync(place.at('b.vhdx'), 'the old one')
    },
    args: ['convert', 'a.raw', 'b.vhdx', '--force', '--verify'],
    made: ['b.vhdx'],
  },
  {
    name: 'image',
    before: () => undefined,
    args: ['image', 'SOURCE', 'b.vhd', '--allow-same-disk'],
    made: ['b.vhd'],
  },
  {
    name: 'restore',
    before: (place) => image(place, 'i.qcow2'),
    args: ['restore', 'i.qcow2', 'TARGET', ...confirmed],
    device: 'target',
  },
  {
    name: 'clone',
    before: () => undefined,
    args: ['clone', 'SOURCE', 'TARGET', ...confirmed],
    device: 'target',
  },
  ...['i.vhd', 'i.vhdx', 'i.qcow2'].flatMap((name): Case[] => [
    {
      name: `resize ${name}, larger`,
      before: (place) => image(place, name),
      args: ['resize', name, '9M'],
      ...inPlace(name),
    },
    {
      name: `resize ${name}, --shrink`,
      before: (place) => image(place, name),
      args: ['resize', name, '2M', '--shrink'],
      ...inPlace(name),
    },
    {
      name: `compact ${name}`,
      before: async (place) => {
        await image(place, name)
        write(place.at(name), mebibyte, Buffer.alloc(mebibyte))
      },
      args: ['compact', name, '--in-place'],
      ...inPlace(name),
    },
  ]),
  {
    name: 'repair a VHD',
    before: fixture('vhd/dynamic-damaged-copy.vhd.gz', 'd.vhd'),
    args: ['repair', 'd.vhd', '--in-place'],
    changed: ['d.vhd'],
    allowed: ['*'],
  },
  {
    name: 'repair a QCOW2: a snapshot that lies nowhere',
    before: async (place) => {
      await image(place, 'i.qcow2')
      for (const name of ['one', 'two']) await createSnapshot(place.at('i.qcow2'), name)
      const bytes = fs.readFileSync(place.at('i.qcow2'))
      bytes.writeBigUInt64BE(2n ** 40n, Number(bytes.readBigUInt64BE(64)))
      fs.writeFileSync(place.at('i.qcow2'), bytes)
    },
    args: ['repair', 'i.qcow2', '--in-place'],
    changed: ['i.qcow2'],
    allowed: ['E_TRUNCATED', 'E_COPIED'],
  },
  { name: 'chain commit', before: chain, args: ['chain', 'commit', 'child.qcow2'], changed: ['child.qcow2'] },
  {
    name: 'chain rebase',
    before: chain,
    args: ['chain', 'rebase', 'child.qcow2', '--no-parent'],
    changed: ['child.qcow2'],
  },
  {
    name: 'chain relink',
    before: async (place) => {
      await chain(place)
      fs.copyFileSync(place.at('base.qcow2'), place.at('moved.qcow2'))
    },
    args: ['chain', 'relink', 'child.qcow2', 'moved.qcow2'],
    changed: ['child.qcow2'],
  },
  {
    name: 'snapshot create',
    before: (place) => image(place, 'i.qcow2'),
    args: ['snapshot', 'create', 'i.qcow2', 'one'],
    changed: ['i.qcow2'],
  },
  {
    name: 'snapshot delete',
    before: async (place) => {
      await image(place, 'i.qcow2')
      await createSnapshot(place.at('i.qcow2'), 'one')
    },
    args: ['snapshot', 'delete', 'i.qcow2', 'one'],
    changed: ['i.qcow2'],
  },
  {
    name: 'partition fix',
    before: ({ at }) => convert(join(root, 'fixtures/partitioned-disk.vhdx'), at('i.qcow2'), { flush: false }),
    args: ['partition', 'fix', 'i.qcow2', '--in-place', '--new-ids', '--uuid', '01234567-89ab-cdef-0123-456789abcdef'],
    changed: ['i.qcow2'],
    mixed: true,
  },
  {
    name: 'partition inject',
    before: async ({ at }) => {
      await convert(join(root, 'fixtures/partitioned-disk.vhdx'), at('i.vhdx'), { flush: false })
      fs.writeFileSync(at('new.img'), content.subarray(0, 65536))
    },
    args: ['partition', 'inject', 'i.vhdx@1', 'new.img', '--in-place', '--source-from', 'raw'],
    changed: ['i.vhdx'],
    mixed: true,
  },
  ...['i.vhd', 'i.vhdx', 'i.qcow2'].map((name): Case => ({
    name: `serve --write ${name}`,
    before: (place) => image(place, name),
    args: ['serve', name, '--write', '--socket', 'socket'],
    using: overNbd,
    mixed: true,
    ...inPlace(name),
  })),
  {
    name: 'mount --write',
    before: (place) => image(place, 'i.qcow2'),
    args: ['mount', 'i.qcow2', '--write'],
    using: overFuse,
    changed: ['i.qcow2'],
    mixed: true,
  },
]

async function digestOf(path: string): Promise<string> {
  return (await hash(path, { algorithm: 'tree', threads: 0 })).digests[0]?.digest ?? ''
}

/** What a new file is: the disk, or the bytes of something else. */
async function madeOf(path: string): Promise<string> {
  if (!fs.existsSync(path)) return 'nothing'
  if (fs.statSync(path).size < 1000) return fs.readFileSync(path, 'latin1')
  assert.deepEqual(await errorsOf(path, []), [], path)
  return await digestOf(path)
}

async function errorsOf(path: string, allowed: readonly string[]): Promise<string[]> {
  const { layers } = await check(path)
  return layers.flatMap(({ findings }) =>
    findings
      .filter(({ severity, code }) => severity === 'error' && !allowed.includes(code) && !allowed.includes('*'))
      .map(({ code, message }) => `${code}: ${message}`),
  )
}

interface Seen {
  readonly names: readonly string[]
  readonly made: readonly string[]
  readonly disks: readonly string[]
  readonly device?: Buffer
}

const counts = { errors: 0, kills: 0 }

/** Runs a case again and again, each time with another injection. */
class Runner {
  readonly #case: Case
  readonly #home: string
  readonly #devices: { readonly source: string; readonly target: string }

  constructor(one: Case, home: string, devices: { readonly source: string; readonly target: string }) {
    this.#case = one
    this.#home = home
    this.#devices = devices
  }

  get #start(): string {
    return join(this.#home, 'start')
  }

  async run(): Promise<string> {
    fs.mkdirSync(this.#start)
    await this.#case.before(placeIn(this.#start))
    const before = await this.#seen(this.#reset())
    const folder = this.#reset()
    const { traced, code } = await this.#traced(folder)
    assert.equal(code, 0, `${this.#case.name}: ${traced.stdout} ${traced.stderr}`)
    const end = await this.#seen(folder)
    const [writes, flushes, all] = (['writes', 'flushes', 'all'] as const).map((set) => traced.count(set)) as [
      number,
      number,
      number,
    ]
    assert.ok(writes + flushes > 0, `${this.#case.name}: nothing was written`)
    for (const injection of injections(writes, flushes, all)) await this.#injected(injection, before, end)
    return `${writes} writes, ${flushes} flushes`
  }

  async #injected(injection: Injection, before: Seen, end: Seen): Promise<void> {
    const { name, made = [], changed = [], mixed, allowed = [], using } = this.#case
    const folder = this.#reset()
    const { traced, code } = await this.#traced(folder, injection)
    const { what, set, at, on } = injection
    const where = `${at}${on === true ? ' and after it' : ''} of ${set}`
    const says = `${name}: ${what} at ${where}: ${String(code)}\n${traced.stdout}${traced.stderr}`
    if (!traced.hit) return
    const isKill = what === 'SIGKILL'
    counts[isKill ? 'kills' : 'errors']++
    assert.doesNotMatch(traced.stdout + traced.stderr, /this is a bug|SuppressedError/, says)
    const after = await this.#seen(folder)
    if (isKill) assert.ok(code === 'SIGKILL' || using !== undefined, says)
    else if (using === undefined) this.#judgeError(code, traced, injection, says)
    else assert.ok([0, 7].includes(code as number), says)
    if (!isKill && using === undefined)
      assert.deepEqual(
        namesOf(after.names, traced),
        namesOf((code === 0 || isInPlace(traced) ? end : before).names, traced),
        `left over: ${says}`,
      )
    for (const [index, text] of after.made.entries())
      assert.ok([before.made[index], end.made[index]].includes(text), `${made[index]} is ${text}: ${says}`)
    for (const [index, digest] of after.disks.entries()) {
      if (mixed !== true) assert.ok([before.disks[index], end.disks[index]].includes(digest), `another disk: ${says}`)
      assert.deepEqual(await errorsOf(join(folder, changed[index] ?? ''), allowed), [], says)
    }
    if (after.device !== undefined) judgeDevice(after.device, before.device, end.device, says)
  }

  #judgeError(code: number | string, { stdout }: Traced, { what }: Injection, says: string): void {
    // A hint to the system, a second way: what was refused was not needed.
    if (code === 0) return
    assert.equal(code, 7, says)
    const error = JSON.parse(stdout) as { code: string; message: string; hint?: string }
    // For a device both mean that what stores it is full: the device itself has its size.
    const full = this.#case.device === undefined ? 'E_NO_SPACE' : 'E_WRITE'
    const codes: Readonly<Record<string, string>> = {
      ENOSPC: full,
      EDQUOT: full,
      EFBIG: 'E_FILE_TOO_BIG',
      EIO: 'E_WRITE',
    }
    assert.equal(error.code, codes[what], says)
    if (this.#case.changed !== undefined)
      assert.match(error.hint ?? '', /\b(?:image is|image holds|child|table is|partition may|stays done)\b/, says)
    if (this.#case.device !== undefined)
      assert.match(error.hint ?? '', /is incomplete|could not be cleared|may look complete|was written/, says)
  }

  async #traced(folder: string, injection?: Injection): Promise<{ traced: Traced; code: number | string }> {
    const { args, using } = this.#case
    const named = args.map((text) =>
      text === 'SOURCE' ? this.#devices.source : text === 'TARGET' ? this.#devices.target : text,
    )
    process.env['VDISK_RUNTIME_DIR'] = join(folder, 'runtime')
    const json = using === overNbd ? [] : ['--json']
    const traced = new Traced(join(this.#home, 'log'), folder, [...named, ...json], injection)
    try {
      await using?.(placeIn(folder), traced)
    } finally {
      if (using === overFuse) takeAway(folder)
    }
    return { traced, code: await traced.ended }
  }

  /** A folder as it was at the start; the device too. */
  #reset(): string {
    const folder = join(this.#home, 'run')
    fs.rmSync(folder, { recursive: true, force: true })
    fs.cpSync(this.#start, folder, { recursive: true, preserveTimestamps: true })
    if (this.#case.device !== undefined) {
      fs.writeFileSync(this.#target, Buffer.alloc(size, 'what was there '), { flag: 'r+' })
      run('blockdev', '--flushbufs', this.#devices.target)
    }
    return folder
  }

  get #target(): string {
    return join(this.#home, 'target')
  }

  async #seen(folder: string): Promise<Seen> {
    const { made = [], changed = [], device } = this.#case
    const names = fs.readdirSync(folder).filter((name) => !['runtime', 'socket'].includes(name))
    return {
      names: names.sort(),
      made: await Promise.all(made.map((name) => madeOf(join(folder, name)))),
      disks: await Promise.all(changed.map((name) => digestOf(join(folder, name)))),
      device: device === undefined ? undefined : fs.readFileSync(this.#target),
    }
  }
}

/** Of an image that is in place, and whose records were what failed, all files but those. */
const namesOf = (names: readonly string[], traced: Traced): readonly string[] =>
  isInPlace(traced) ? names.filter((file) => !/\.(?:vdisk\.json|blocks)$/.test(file)) : names

/** Whether the error says that the new file is there although not all of it is known to be on the medium. */
const isInPlace = ({ stdout }: Traced): boolean => /complete and in place/.test(stdout)

function placeIn(folder: string): Place {
  return { folder, at: (name) => join(folder, name) }
}

/** A disk that is as it was, as it is to be, or that nothing is found on. */
function judgeDevice(now: Buffer, before: Buffer | undefined, end: Buffer | undefined, says: string): void {
  const edge = (bytes: Buffer): boolean =>
    [bytes.subarray(0, mebibyte), bytes.subarray(-mebibyte)].some((part) => part.every((byte) => byte === 0))
  assert.ok(before !== undefined && end !== undefined)
  const partly = (bytes: Buffer): boolean => now.subarray(0, 4096).equals(bytes.subarray(0, 4096))
  assert.ok(now.equals(before) || now.equals(end) || edge(now) || partly(before), `the device is in part: ${says}`)
}

/** Places among so many: all, or some with the first and the last. */
function places(count: number, most: number): number[] {
  if (count === 0) return []
  const all = Array.from({ length: count }, (_, index) => index + 1)
  if (everything || count <= most) return all
  return [...new Set(Array.from({ length: most }, (_, index) => 1 + Math.round((index * (count - 1)) / (most - 1))))]
}

function injections(writes: number, flushes: number, all: number): Injection[] {
  const errors = ['EIO', 'EDQUOT', 'EFBIG'] as const
  return [
    ...places(writes, 3).flatMap((at, index): Injection[] => {
      const full: Injection = { set: 'writes', at, on: true, what: 'ENOSPC' }
      if (everything) return [full, ...errors.map((what): Injection => ({ set: 'writes', at, what }))]
      return index % 2 === 0 ? [full] : [{ set: 'writes', at, what: errors[at % 3] ?? 'EIO' }]
    }),
    ...places(flushes, 2).flatMap((at): Injection[] =>
      everything
        ? [
            { set: 'flushes', at, what: 'EIO' },
            { set: 'flushes', at, what: 'ENOSPC' },
          ]
        : [{ set: 'flushes', at, what: at % 2 === 0 ? 'ENOSPC' : 'EIO' }],
    ),
    ...places(all, 3).map((at): Injection => ({ set: 'all', at, what: 'SIGKILL' })),
  ]
}

function home(t: TestContext): string {
  const folder = fs.realpathSync(fs.mkdtempSync('/tmp/vdisk-injected-'))
  t.after(() => {
    takeAway(folder)
    fs.rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

for (const one of cases) {
  test(`${one.name}: refused and killed by the system at its writes and flushes`, { skip }, async (t) => {
    const folder = home(t)
    fs.writeFileSync(join(folder, 'source'), content)
    fs.writeFileSync(join(folder, 'target'), Buffer.alloc(size))
    const needed = one.args.includes('SOURCE') || one.args.includes('TARGET')
    const devices = needed
      ? { source: loopDevice(t, join(folder, 'source')), target: loopDevice(t, join(folder, 'target')) }
      : { source: '', target: '' }
    t.diagnostic(await new Runner(one, folder, devices).run())
  })
}

test('enough was tried', { skip }, (t) => {
  t.diagnostic(`${counts.errors} errors and ${counts.kills} kills in ${cases.length} commands`)
  assert.ok(counts.errors > 60 && counts.kills > 40, JSON.stringify(counts))
})
