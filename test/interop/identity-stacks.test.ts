import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { effectOf } from '../../src/device/bytes.js'
import { isImageError } from '../../src/errors.js'
import { guardChange } from '../../src/operations/in-use/guard.js'
import { thisMachine } from '../../src/operations/in-use/machine.js'
import { mount, type MountSession } from '../../src/operations/mount/mount.js'
import { unmount } from '../../src/operations/mount/unmount.js'
import { create } from '../../src/operations/transfer/create.js'
import { vdisk } from '../support/cli.js'
import { mountingMissing } from '../support/mounted.js'
import { loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'

const mebibyte = 1048576
const fileLength = 8 * mebibyte
const stackCount = 200

/** What the test itself knows of a thing: which bytes of which file it is, in how many names whatsoever. */
interface Thing {
  readonly path: string
  readonly isDevice: boolean
  readonly base: number
  readonly start: number
  readonly end: number
  readonly made: string
}

/** Numbers from a seed (mulberry32), so that a failure can be repeated. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** One stack: two files, and names and devices over them, up to four layers. Everything it makes is taken away. */
class Stack implements AsyncDisposable {
  readonly things: Thing[] = []
  readonly #undo: (() => unknown)[] = []
  readonly #folder: string
  readonly #random: (below: number) => number
  #names = 0

  constructor(folder: string, seed: number) {
    this.#folder = folder
    this.#random = numbers(seed)
    fs.mkdirSync(folder)
    for (const base of [0, 1]) {
      const file = this.#name(`base${base}.raw`)
      fs.closeSync(fs.openSync(file, 'w'))
      fs.truncateSync(file, fileLength)
      this.things.push({ path: file, isDevice: false, base, start: 0, end: fileLength, made: `file ${base}` })
    }
  }

  /** Puts a layer over a thing. The layers are those that a system has, and the answer does not depend on which. */
  async layer(over: Thing): Promise<Thing> {
    const { path: below, isDevice, made } = over
    const as = (place: string, how: string, more: Partial<Thing> = {}): Thing => {
      const thing = { ...over, path: place, ...more, made: `${how} of (${made})` }
      this.things.push(thing)
      return thing
    }
    const kinds = isDevice ? (['loop', 'slice', 'link'] as const) : this.#fileKinds()
    const kind = kinds[this.#random(kinds.length)] ?? 'link'
    if (kind === 'link') {
      const place = this.#name('link')
      fs.symlinkSync(below, place)
      return as(place, 'symbolic link')
    }
    if (kind === 'hard') {
      const place = this.#name('hard')
      try {
        fs.linkSync(fs.realpathSync(below), place)
      } catch {
        // Shown through FUSE or an overlay, it has no other names there.
        return over
      }
      return as(place, 'hard link')
    }
    if (kind === 'bind') {
      const place = this.#name('bind')
      fs.closeSync(fs.openSync(place, 'w'))
      run('mount', '--bind', below, place)
      this.#undo.push(() => unmounted(place))
      return as(place, 'bind mount')
    }
    if (kind === 'overlay') return as(this.#overlay(below), 'overlay')
    if (kind === 'fuse') {
      // What a loop shows or a server has locked already is refused: that is a guard of its own (in-use.test.ts).
      const session = await shown(below)
      if (session === undefined) return over
      this.#undo.push(() => unmount(session.folder))
      return as(`${session.folder}/disk.img`, 'vdisk mount')
    }
    const length = over.end - over.start
    const offset = kind === 'slice' ? (1 + this.#random(Math.max(1, length / mebibyte - 2))) * mebibyte : 0
    const limit =
      kind === 'slice' ? Math.max(mebibyte, Math.floor((length - offset) / 2 / mebibyte) * mebibyte) : length
    if (offset + limit > length) return over
    const options = ['--offset', String(offset), '--sizelimit', String(limit)]
    const device = run('losetup', '--find', '--show', ...(kind === 'slice' ? options : []), below).trim()
    this.#undo.push(() => spawnSync('losetup', ['--detach', device]))
    return as(device, kind === 'slice' ? `loop ${offset}+${limit}` : 'loop', {
      isDevice: true,
      start: over.start + offset,
      end: over.start + offset + limit,
    })
  }

  #fileKinds(): readonly ('loop' | 'slice' | 'link' | 'hard' | 'bind' | 'overlay' | 'fuse')[] {
    const usual = ['loop', 'slice', 'loop', 'slice', 'link', 'hard', 'bind'] as const
    return this.#random(8) === 0 ? ['overlay', 'overlay', 'fuse'] : usual
  }

  /** An overlay whose upper folder has the file: what is written through it is written there. */
  #overlay(below: string): string {
    const [upper, lower, work, point] = ['upper', 'lower', 'work', 'merged'].map((name) => {
      const folder = this.#name(name)
      fs.mkdirSync(folder)
      return folder
    }) as [string, string, string, string]
    try {
      fs.linkSync(fs.realpathSync(below), path.join(upper, 'disk.raw'))
    } catch {
      return below
    }
    run('mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=${lower},upperdir=${upper},workdir=${work}`, point)
    this.#undo.push(() => unmounted(point))
    return path.join(point, 'disk.raw')
  }

  /** Mounts a filesystem from a loop over it. */
  mounted({ path: below }: Thing): boolean {
    if (spawnSync('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', below]).status !== 0) return false
    const point = this.#name('point')
    fs.mkdirSync(point)
    if (spawnSync('mount', [below, point]).status !== 0) return false
    this.#undo.push(() => unmounted(point))
    return true
  }

  pick(of: readonly Thing[] = this.things): Thing {
    const found = of[this.#random(of.length)]
    assert.ok(found)
    return found
  }

  #name(name: string): string {
    return path.join(this.#folder, `${this.#names++}-${name}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const undo of this.#undo.reverse()) await undo()
    fs.rmSync(this.#folder, { recursive: true, force: true })
  }
}

/**
 * Unmounts, now or as soon as nothing holds it: a loop device that another test looks at goes a moment later, and keeps
 * its file until then.
 */
function unmounted(point: string): void {
  if (spawnSync('umount', [point]).status !== 0) run('umount', '--lazy', point)
}

async function shown(image: string): Promise<MountSession | undefined> {
  try {
    return (await mount(image, undefined, { write: true, allowInUse: true })).session
  } catch (error) {
    if (isImageError(error) && error.kind === 'refused') return undefined
    throw error
  }
}

const shares = (one: Thing, other: Thing): boolean =>
  one.base === other.base && one.start < other.end && other.start < one.end

function missing(): string | undefined {
  return loopsMissing() ?? mountingMissing()
}

const root = fs.mkdtempSync('/tmp/vdisk-stacks-')
after(() => fs.rmSync(root, { recursive: true, force: true }))

async function checkStack(seed: number): Promise<'clash' | 'apart'> {
  await using stack = new Stack(path.join(root, String(seed)), seed)
  const random = numbers(seed + 1_000_000)
  const tops = [0, 1].map((base) => stack.things[base]).filter((thing) => thing !== undefined)
  for (let count = 1 + random(4); count > 0; count--) {
    const side = random(2)
    const top = tops[side]
    if (top !== undefined) tops[side] = await stack.layer(random(3) === 0 ? stack.pick() : top)
  }
  const machine = thisMachine()
  const [target, source] = [stack.pick(), stack.pick()]
  const say = `seed ${seed}: ${target.made} ← ${source.made}`
  const written = machine.trail?.(target.path, 'write')
  const read = machine.trail?.(source.path, 'read')
  assert.ok(written !== undefined && read !== undefined)
  // A source and a target, whichever names they have.
  assert.equal(effectOf(written, read) === 'same', shares(target, source), say)
  // Where the two share no byte, neither lies on the other.
  if (!shares(target, source)) assert.equal(effectOf(written, read), undefined, say)
  const devices = stack.things.filter(({ isDevice }) => isDevice)
  const held = devices.length === 0 ? undefined : stack.pick(devices)
  if (held !== undefined && stack.mounted(held)) {
    const holders = machine.holders?.(machine.trail?.(target.path, 'write') ?? written) ?? []
    const points = holders.filter(({ kind, mount: at }) => kind === 'mount' && at?.point.startsWith(root) === true)
    assert.equal(points.length > 0, shares(target, held), `${say}, mounted ${held.made}`)
    if (!target.isDevice && shares(target, held))
      assert.throws(
        () => guardChange(target.path, 'changed'),
        (error) => isImageError(error) && error.kind === 'refused' && error.code === 'E_MOUNTED',
        say,
      )
  }
  return shares(target, source) ? 'clash' : 'apart'
}

test(`${stackCount} random stacks: every clash is found, and nothing else is`, { skip: missing() }, async () => {
  const seen = { clash: 0, apart: 0 }
  for (let seed = 1; seed <= stackCount; seed++) seen[await checkStack(seed)]++
  // A harness that never meets one of the two shows nothing.
  assert.ok(seen.clash > stackCount / 10 && seen.apart > stackCount / 10, JSON.stringify(seen))
})

/** What is read of a thing: itself, a chain whose parent it is, a set whose second part it is. */
const readings = ['itself', 'parent', 'member'] as const

async function readingOf(thing: Thing, how: (typeof readings)[number], folder: string): Promise<string> {
  if (thing.isDevice || how === 'itself') return thing.path
  if (how === 'parent') {
    const child = path.join(folder, 'child.qcow2')
    await create(child, { parent: thing.path, parentFormat: 'raw' })
    return child
  }
  fs.writeFileSync(path.join(folder, 'set.001'), Buffer.alloc(mebibyte))
  fs.symlinkSync(thing.path, path.join(folder, 'set.002'))
  return path.join(folder, 'set.001')
}

const commandCount = 24

async function checkCommand(seed: number): Promise<'clash' | 'apart'> {
  await using stack = new Stack(path.join(root, `command-${seed}`), seed)
  const random = numbers(seed + 2_000_000)
  for (let count = 1 + random(3); count > 0; count--) await stack.layer(stack.pick())
  const source = stack.pick()
  const how = readings[random(readings.length)] ?? 'itself'
  // A target that is large enough, over one of the two files.
  const below = stack.things[random(2)]
  assert.ok(below !== undefined)
  fs.truncateSync(below.path, 2 * fileLength)
  const target = run('losetup', '--find', '--show', below.path).trim()
  try {
    const folder = path.join(root, `read-${seed}`)
    fs.mkdirSync(folder)
    const argument = await readingOf(source, how, folder)
    const command = source.isDevice
      ? ['clone', '--live']
      : ['restore', '--from', argument.endsWith('.qcow2') ? 'qcow2' : 'raw']
    const { code, stdout, stderr } = await vdisk(
      [...command, argument, target, '--dry-run', '--allow-held', '--allow-no-table', '--json'].concat(
        argument.endsWith('.qcow2') ? ['--allow-reference', source.path] : [],
      ),
      { cwd: folder },
    )
    const clash = below.base === source.base
    const what = `${target} over file ${below.base} ← ${how} of ${source.made}`
    const says = `seed ${seed}: ${what}: ${code} ${stdout.toString()}${stderr}`
    // What a server shows is locked by it: that is a refusal of its own.
    const locked = stack.things.some(({ base, made }) => base === below.base && made.startsWith('vdisk mount'))
    assert.equal(code, clash || locked ? 3 : 0, says)
    assert.equal(/E_SOURCE_ON_TARGET|E_SAME_DEVICE/.test(stdout.toString()), clash, says)
    if (code === 3 && !locked)
      assert.match((JSON.parse(stdout.toString()) as { code: string }).code, /^E_(SOURCE_ON_TARGET|SAME_DEVICE)$/, says)
    return clash ? 'clash' : 'apart'
  } finally {
    spawnSync('losetup', ['--detach', target])
  }
}

test(
  `${commandCount} stacks under real restore and clone commands: sets and chains with a part on the target too`,
  { skip: missing() },
  async (t) => {
    const seen = { clash: 0, apart: 0 }
    for (let seed = 1; seed <= commandCount; seed++) seen[await checkCommand(seed)]++
    t.diagnostic(JSON.stringify(seen))
    assert.ok(seen.clash > commandCount / 6 && seen.apart > commandCount / 6, JSON.stringify(seen))
  },
)
