import type { Stats } from 'node:fs'
import fs from '../sys/host-fs.js'
import { refused, unsupported } from '../errors.js'
import { syscalls } from '../sys/syscalls.js'
import type { ActiveMount } from './activity.js'
import { GuardShell } from './guard-shell.js'

/** Thaws the filesystems when this process was killed. */
const guardScript = 'for point do fsfreeze --unfreeze "$point"; done'

/**
 * Mounted filesystems that are frozen: everything is on the medium, and writers wait. Closing it thaws them; a
 * process of its own
 * does so when this one dies.
 */
export class FrozenFilesystems implements Disposable {
  /** Mount points that are frozen. */
  readonly frozen: readonly string[]
  /** Mount points that could not be: FAT, for one, has no such thing. */
  readonly refused: readonly string[]
  readonly #descriptors: number[]
  readonly #guard: GuardShell

  private constructor(
    frozen: readonly string[],
    refusedPoints: readonly string[],
    descriptors: number[],
    guard: GuardShell,
  ) {
    this.frozen = frozen
    this.refused = refusedPoints
    this.#descriptors = descriptors
    this.#guard = guard
  }

  /**
   * Freezes each filesystem that is mounted for writing, once.
   * @throws ImageError unsupported E_FREEZE when none can be; refused E_FREEZE_OUTPUT when this process writes to one
   * of them.
   */
  static freeze(mounts: readonly ActiveMount[]): FrozenFilesystems {
    const points = pointsOf(mounts)
    for (const point of points) refuseOwnOutput(point)
    const guard = startGuard(points)
    const descriptors: number[] = []
    const [frozen, left]: [string[], string[]] = [[], []]
    try {
      for (const point of points) {
        const descriptor = fs.openSync(point, fs.constants.O_RDONLY)
        if (syscalls()?.freeze(descriptor) === true) {
          descriptors.push(descriptor)
          frozen.push(point)
        } else {
          fs.closeSync(descriptor)
          left.push(point)
        }
      }
      const held = new FrozenFilesystems(frozen, left, descriptors, guard)
      if (frozen.length > 0) return held
      held[Symbol.dispose]()
    } catch (error) {
      new FrozenFilesystems(frozen, left, descriptors, guard)[Symbol.dispose]()
      throw error
    }
    throw unsupported('E_FREEZE', `none of the mounted filesystems can be frozen: ${left.join(', ')}`, {
      hint:
        'FAT, and filesystems that are frozen already, cannot. Leave out --freeze: the image is then ' +
        'crash-consistent.',
    })
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.#descriptors.splice(0).reverse()) {
      syscalls()?.thaw(descriptor)
      fs.closeSync(descriptor)
    }
    // It must not thaw what somebody else freezes later.
    this.#guard[Symbol.dispose]()
  }
}

/** One mount point for each device: a second freeze of the same filesystem would fail. */
function pointsOf(mounts: readonly ActiveMount[]): string[] {
  const byDevice = new Map<string, string>()
  for (const { device, point, readOnly } of mounts) if (!readOnly && !byDevice.has(device)) byDevice.set(device, point)
  return [...new Set(byDevice.values())]
}

/** A message written to a file there would wait for ever. */
function refuseOwnOutput(point: string): void {
  const { dev } = fs.statSync(point)
  for (const descriptor of [1, 2]) {
    const stat = outputStat(descriptor)
    if (stat?.isFile() === true && stat.dev === dev) {
      throw refused(
        'E_FREEZE_OUTPUT',
        `the output of vdisk goes to a file on ${point}, which is to be frozen: both would wait for ever`,
        { hint: 'Send the output elsewhere, or leave out --freeze.' },
      )
    }
  }
}

function outputStat(descriptor: number): Stats | undefined {
  try {
    return fs.fstatSync(descriptor)
  } catch {
    // Closed by the parent process.
    return undefined
  }
}

function startGuard(points: readonly string[]): GuardShell {
  if (syscalls() === undefined || !toolExists('fsfreeze')) {
    throw unsupported(
      'E_FREEZE',
      'filesystems cannot be frozen here: that needs Linux with fsfreeze (util-linux) and the optional ' +
        'package koffi',
      { hint: 'Leave out --freeze: the image is then crash-consistent.' },
    )
  }
  const guard = GuardShell.start(guardScript, points)
  if (guard === undefined)
    throw unsupported(
      'E_FREEZE',
      'filesystems are not frozen: the process that would thaw them after a crash cannot be started',
    )
  return guard
}

function toolExists(name: string): boolean {
  return (process.env['PATH'] ?? '')
    .split(':')
    .concat('/usr/sbin', '/sbin')
    .some((folder) => fs.existsSync(`${folder}/${name}`))
}
