import { setTimeout as sleep } from 'node:timers/promises'
import type { Note } from '../../block/types.js'
import type { ActiveMount } from '../../device/activity.js'
import { FrozenFilesystems } from '../../device/freeze.js'
import { GuardShell } from '../../device/guard-shell.js'
import {
  commandLine,
  failureOf,
  type SnapshotKind,
  type SnapshotPart,
  type SnapshotPlan,
} from '../../device/snapshot/plan.js'
import type { DiskPlatform } from '../../device/types.js'
import { corrupt, ImageError, isImageError, printable, stopIfAborted } from '../../errors.js'
import { milliseconds } from '../../sys/clock.js'
import { commandNow } from '../../sys/commands.js'
import fs from '../../sys/host-fs.js'
import type { NamedDevice } from '../device/argument.js'
import { runSteps, type Step } from '../transfer/step.js'
import type { Heat } from './guards.js'
import type { Consistency } from './record.js'
import { noSnapshot, runShielded } from './snapshot-choice.js'

/** What of a snapshot results show. */
export interface SnapshotResult {
  readonly kind: SnapshotKind
  /** `the LVM volume vg/root` */
  readonly origin: string
  /** What could not be removed, and by which command it is. */
  readonly left: readonly { readonly name: string; readonly command?: string; readonly why: string }[]
}

/** Runs each of its words as a command until it succeeds. */
const removingScript = 'for each do for pause in 0 1 2 5 10; do sleep $pause; eval "$each" && break; done; done'

/** Programs that make snapshots keep their state below these: to freeze them would stop those programs. */
const neededPoints = ['/', '/etc', '/run', '/var', '/var/lib', '/var/log', '/tmp', '/usr', '/dev']

/** Milliseconds between attempts to remove what is still in use: by udev, which looks at each new device. */
const pauses = [100, 300, 1000, 3000]

/** Milliseconds after which filesystems go on, whatever the snapshot does. */
const longestFreeze = 30_000

/** How long the system is waited for to show the device of a new snapshot, in milliseconds. */
const longestWait = 15_000

/** For how long an answer about a snapshot's health holds, in milliseconds. */
const healthHolds = 2000

/** A snapshot of a source: made, read in its place, and taken away in every case, also when this process is killed. */
export class SourceSnapshot {
  readonly checking = 'make sure that the snapshot kept all that the source was'
  readonly #plan: SnapshotPlan
  readonly #device: NamedDevice
  readonly #heat: Heat
  readonly #printed: string[] = []
  readonly #left: { name: string; command?: string; why: string }[] = []
  #begun = 0
  #guard: GuardShell | undefined
  #frozen: FrozenFilesystems | undefined
  #clock: NodeJS.Timeout | undefined
  /** Mount points that were frozen, and those that were not, by vdisk. */
  #heldPoints: readonly string[]
  #notHeld: readonly string[] = []
  #askedAt = 0
  #whole = true

  constructor(plan: SnapshotPlan, device: NamedDevice, heat: Heat) {
    this.#plan = plan
    this.#device = device
    this.#heat = heat
    // Of a dry run, what is expected.
    this.#heldPoints = this.#freezable.map(({ point }) => point)
    this.#notHeld = this.#unheld.filter((mount) => !this.#freezable.includes(mount)).map(({ point }) => point)
  }

  get result(): SnapshotResult {
    return { kind: this.#plan.kind, origin: this.#plan.origin, left: this.#left }
  }

  get #notes(): Note[] {
    return this.#left.map(({ name, command: line, why }) => ({
      code: 'W_SNAPSHOT_LEFT',
      message:
        `${name} could not be removed (${why}), and takes room as long as it is there` +
        (line === undefined ? '' : `: run "${line}"`),
    }))
  }

  /** What is done before the source is read, in order. */
  get making(): Step[] {
    const points = this.#freezable.map(({ point }) => point).join(', ')
    const makes = this.#plan.parts.map((part) => ({
      name: 'snapshot',
      message: `make ${part.name} of ${this.#plan.origin}: ${commandLine(part.make)}`,
      run: () => this.#make(part),
    }))
    if (points === '') return makes
    return [
      { name: 'freeze', message: `freeze: ${points}`, run: () => this.#freeze() },
      ...makes,
      { name: 'thaw', message: 'let the filesystems go', run: () => this.#thaw() },
    ]
  }

  /** What is done when all is read, in order; in every case, as far as it was made. */
  get removing(): Step[] {
    return [...this.#plan.parts.entries()].reverse().map(([index, part]) => ({
      name: 'remove',
      message: `remove ${part.name}`,
      run: () => this.#remove(part, index),
    }))
  }

  /** What an image of it is worth. */
  get consistency(): Consistency {
    const { origin } = this.#plan
    const { written, others, mounts } = this.#heat
    const held = [...written.filter(this.#plan.holds).map(({ point }) => point), ...this.#heldPoints]
    const what = `a snapshot of ${origin}`
    if (written.length === 0 && others.length === 0) {
      if (mounts.length > 0) return { state: 'cold', why: `${what}, which was mounted for reading only` }
      return { state: 'crash-consistent', why: `${what}; whether a program wrote to it is not known` }
    }
    if (others.length === 0 && this.#notHeld.length === 0)
      return { state: 'filesystem-consistent', why: `${what}, frozen meanwhile: ${held.join(', ')}` }
    const unheld = this.#notHeld.length === 0 ? [] : [`not frozen: ${this.#notHeld.join(', ')}`]
    return { state: 'crash-consistent', why: [what, ...unheld, ...others].join('; ') }
  }

  /**
   * Makes it, lets it be read, and removes it whatever happens.
   * @param read is given what is read in place of the source.
   * @throws ImageError unsupported E_NO_SOURCE_SNAPSHOT; corrupt E_SNAPSHOT_FULL; what `read` throws. What could not be
   * removed is in the error, or in the result.
   */
  async reading<Result extends { readonly notes: readonly Note[] }>(
    platform: DiskPlatform,
    read: (device: NamedDevice) => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result & { readonly snapshot: SnapshotResult }> {
    stopIfAborted(signal)
    this.#guard = this.#startGuard()
    let result: Result
    try {
      result = await read(await this.#taken(platform, signal))
    } catch (error) {
      const cause = await this.#causeOf(error)
      await this.#removeAll()
      throw this.#explained(cause)
    }
    await this.#removeAll()
    return { ...result, snapshot: this.result, notes: [...result.notes, ...this.#notes] }
  }

  /** Whether it still has all that the source was; asked while it is read, when a read fails. */
  isWholeNow(): boolean {
    const { health } = this.#plan
    if (health === undefined || !this.#whole) return this.#whole
    if (milliseconds() - this.#askedAt < healthHolds) return true
    const [program, ...parameters] = health.ask
    const { code, stdout } = commandNow(program, parameters)
    this.#askedAt = milliseconds()
    // Where nothing is known now, the check at the end decides.
    if (code === 0) this.#whole = health.isWhole(stdout)
    return this.#whole
  }

  /** @throws ImageError corrupt E_SNAPSHOT_FULL */
  async check(): Promise<void> {
    const { health, origin } = this.#plan
    if (health === undefined) return
    const [program, ...parameters] = health.ask
    const answer = await runShielded(program, parameters)
    if (this.#whole && answer.code === 0 && health.isWhole(answer.stdout)) return
    const why = answer.code === 0 ? 'it had no more room for what was written meanwhile' : failureOf(health.ask, answer)
    throw corrupt('E_SNAPSHOT_FULL', `the snapshot of ${origin} was lost while it was read: ${printable(why)}`, {
      hint: 'No image was made. Free space in its volume group, or image when less is written.',
    })
  }

  async #taken(platform: DiskPlatform, signal: AbortSignal | undefined): Promise<NamedDevice> {
    try {
      await runSteps(this.making)
    } finally {
      this.#thaw()
    }
    stopIfAborted(signal)
    return await this.#shown(platform)
  }

  async #removeAll(): Promise<void> {
    await runSteps(this.removing)
    this.#guard?.[Symbol.dispose]()
    this.#guard = undefined
  }

  /** What an error came of: a snapshot that is lost cannot be read. */
  async #causeOf(error: unknown): Promise<unknown> {
    if (!isImageError(error) || error.code !== 'E_READ') return error
    try {
      await this.check()
      return error
    } catch (lost) {
      return lost
    }
  }

  /** An error, with what of the snapshot is left besides. */
  #explained(error: unknown): unknown {
    if (this.#left.length === 0 || !isImageError(error)) return error
    const { kind, code, message, hint, details } = error
    const notes = this.#notes.map(({ message: note }) => note)
    return new ImageError(kind, code, message, {
      hint: [...(hint === undefined ? [] : [hint]), ...notes].join('\n'),
      details,
      cause: error,
    })
  }

  /** Mounts that the system does not freeze by itself, of those that are written to. */
  get #unheld(): ActiveMount[] {
    return this.#heat.written.filter((mount) => !this.#plan.holds(mount))
  }

  get #freezable(): ActiveMount[] {
    const needed = new Set(neededPoints.map(deviceOf))
    // Subvolumes of one btrfs have device numbers of their own.
    const devices = this.#heat.mounts.filter(({ point }) => needed.has(deviceOf(point))).map(({ device }) => device)
    return this.#unheld.filter(({ point, device }) => !needed.has(deviceOf(point)) && !devices.includes(device))
  }

  #freeze(): void {
    const wanted = this.#freezable
    try {
      this.#frozen = FrozenFilesystems.freeze(wanted)
      this.#heldPoints = this.#frozen.frozen
      this.#notHeld = [...this.#notHeld, ...this.#frozen.refused]
      this.#clock = setTimeout(() => {
        this.#notHeld = [...this.#notHeld, ...this.#heldPoints]
        this.#heldPoints = []
        this.#thaw()
      }, longestFreeze)
    } catch (error) {
      // The image is crash-consistent then, and says so.
      if (!isImageError(error)) throw error
      this.#heldPoints = []
      this.#notHeld = [...this.#notHeld, ...wanted.map(({ point }) => point)]
    }
  }

  #thaw(): void {
    clearTimeout(this.#clock)
    this.#frozen?.[Symbol.dispose]()
    this.#frozen = undefined
  }

  async #make({ make }: SnapshotPart): Promise<void> {
    this.#begun++
    const [program, ...parameters] = make
    const answer = await runShielded(program, parameters)
    if (answer.code !== 0) throw noSnapshot(this.#device, failureOf(make, answer))
    this.#printed.push(answer.stdout)
  }

  async #remove({ name, remove, look, absent }: SnapshotPart, index: number): Promise<void> {
    if (index >= this.#begun) return
    const printed = this.#printed[index]
    const words = remove(printed ?? '')
    if (words === undefined) {
      if (printed !== undefined) this.#left.push({ name, why: 'what it is called is not known' })
      return
    }
    const [program, ...parameters] = words
    for (const pause of [...pauses, undefined]) {
      const answer = await runShielded(program, parameters)
      if (answer.code === 0 || (await this.#isGone(look(printed ?? ''), absent))) return
      if (pause === undefined) this.#left.push({ name, command: commandLine(words), why: failureOf(words, answer) })
      else await sleep(pause)
    }
  }

  async #isGone(words: ReturnType<SnapshotPart['look']>, absent: RegExp): Promise<boolean> {
    if (words === undefined) return false
    const [program, ...parameters] = words
    const { code, stderr } = await runShielded(program, parameters)
    return code !== 0 && absent.test(stderr)
  }

  #startGuard(): GuardShell | undefined {
    const commands = this.#plan.parts.map(({ remove }) => remove('')).filter((each) => each !== undefined)
    // Of a shadow copy of Windows nothing is known before it is made.
    if (commands.length === 0) return undefined
    return GuardShell.start(removingScript, commands.reverse().map(commandLine))
  }

  /** The device of the snapshot, as soon as the system shows it. */
  async #shown(platform: DiskPlatform): Promise<NamedDevice> {
    const device = this.#device
    const path = this.#plan.pathOf(this.#printed)
    if (path === undefined) throw noSnapshot(device, 'what was printed of it cannot be understood')
    // Windows does not list shadow copies among its disks: it is read as the partition that it is of.
    if (this.#plan.kind === 'vss')
      return { ...device, path, device: device.device === undefined ? undefined : { ...device.device, path } }
    for (const start = milliseconds(); !fs.existsSync(path);) {
      if (milliseconds() - start > longestWait) throw noSnapshot(device, `the system does not show ${path}`)
      await sleep(50)
    }
    const { disk } = platform.find(path)
    if (disk.size !== device.disk.size)
      throw noSnapshot(device, `${path} has ${disk.size} bytes, and ${device.disk.path} has ${device.disk.size}`)
    return { ...device, path, disk, device: undefined }
  }
}

function deviceOf(point: string): number | undefined {
  return fs.statSync(point, { throwIfNoEntry: false })?.dev
}
