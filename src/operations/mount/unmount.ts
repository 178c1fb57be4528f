import { HostLocation, hostLocation } from '../../location/file.js'
import { setTimeout as pause } from 'node:timers/promises'
import { aborted, printable, targetError, usage } from '../../errors.js'
import { unmountFuse } from '../../mount/fuse/attach.js'
import { detachLoop } from '../../mount/loop.js'
import type { CommandResult } from '../../sys/commands.js'
import { holdersOf } from './holders.js'
import { unmountPoint } from './mounter.js'
import { remainsOf, type Remains } from './remains.js'
import type { MountedFilesystem, MountSession } from './session.js'
import { isAlive, readSessions, removeState } from './state.js'
import { parseImageArgument } from '../open/opening.js'
import { above, absolute, realPath } from '../../sys/host-path.js'

export interface UnmountOptions {
  /** Takes away what is in use, too; its users finish, and then the image is closed. */
  readonly lazy?: boolean
  readonly signal?: AbortSignal
}

/** What was unmounted, of one image. */
export interface UnmountedImage {
  readonly image: string
  /** Folders that are free again. */
  readonly points: readonly string[]
  /** Loop devices that were detached. */
  readonly devices: readonly string[]
  /**
   * Whether the image is closed and everything is in it. False: more of it is still mounted, or it was taken away while
   * in use.
   */
  readonly closed: boolean
  readonly overlay?: string
}

/** What a session is asked to unmount. */
interface Part {
  readonly session: MountSession
  readonly remains: Remains
  readonly mounts: readonly MountedFilesystem[]
  /** All of it goes. */
  readonly whole: boolean
}

/**
 * Unmounts what `mount` mounted, named by its folder, its image (or a partition of it) or its block device, and waits
 * until the image is closed.
 * @throws ImageError usage E_NOT_MOUNTED; target E_BUSY, with who uses it; E_NOT_WRITTEN when changes did not reach the
 * image.
 */
export async function unmount(argument: string, options: UnmountOptions = {}): Promise<readonly UnmountedImage[]> {
  const parts = readSessions().flatMap((session) => partOf(session, argument) ?? [])
  if (parts.length === 0) {
    throw usage(
      'E_NOT_MOUNTED',
      `${printable(argument)} is nothing that "vdisk mount" mounted, or it is unmounted already`,
      { hint: '"vdisk mounts" lists what is mounted.' },
    )
  }
  const results: UnmountedImage[] = []
  for (const part of parts) results.push(await take(part, options))
  return results
}

/** What of a session an argument means; undefined: nothing. */
function partOf(session: MountSession, argument: string): Part | undefined {
  const remains = remainsOf(session)
  const path = placeOf(argument)
  const all = { session, remains, mounts: remains.mounts, whole: true }
  const inFolder = remains.mounts.filter(
    ({ point }) => point === path || (above(point) === path && session.mounts.some(({ madePoint }) => madePoint)),
  )
  if (inFolder.length > 0)
    return { session, remains, mounts: inFolder, whole: inFolder.length === remains.mounts.length }
  if (
    argument === session.id ||
    path === session.folder ||
    remains.attached.some(({ loop }) => loop.device === argument)
  )
    return all
  const { path: image, partition } = parseImageArgument(argument)
  if (imageOf(image) !== session.image && session.overlay !== placeOf(image)) return undefined
  if (partition === undefined) return all
  const ofPartition = 'number' in partition ? remains.mounts.filter((each) => each.partition === partition.number) : []
  return ofPartition.length === 0
    ? undefined
    : { session, remains, mounts: ofPartition, whole: ofPartition.length === remains.mounts.length }
}

/** The address that a mounted image has in its session: without links, and with the disk that is meant in it. */
function imageOf(argument: string): string | undefined {
  const { path, member } = hostLocation(argument)
  const real = realPath(path)
  return real === undefined ? undefined : new HostLocation(real, member).address
}

/**
 * The absolute path without links in its folders. The last part is not looked at: what is mounted there may not answer.
 */
function placeOf(path: string): string {
  return absolute(path.replace(/(?<=.)\/+$/, ''))
}

async function take(
  { session, remains, mounts, whole }: Part,
  { lazy = false, signal }: UnmountOptions,
): Promise<UnmountedImage> {
  const points = mounts.map(({ point }) => point)
  const devices: string[] = []
  for (const { point } of [...mounts].reverse()) expectDone(await unmountPoint(point, lazy), point)
  if (whole) {
    for (const { loop } of remains.attached) {
      await detachLoop(loop)
      devices.push(loop.device)
    }
    // What uses the folder now was attached to it by somebody else.
    if (remains.shown) {
      expectDone(await unmountFuse(session.folder, lazy || remains.attached.length > 0), session.folder)
      points.push(session.folder)
    }
  }
  const closed = whole && !lazy && (await ended(session, signal))
  if (closed) confirm(session)
  return {
    image: session.image,
    points,
    devices,
    closed,
    overlay: session.overlay,
  }
}

function expectDone({ code, stderr }: CommandResult, point: string): void {
  if (code === 0 || /not mounted|not found/.test(stderr)) return
  if (!/busy/i.test(stderr)) throw targetError('E_UNMOUNT', `${point} cannot be unmounted: ${stderr}`)
  const holders = holdersOf(point)
  const list = holders.map(
    ({ pid, name, path }) => `  ${pid === undefined ? '' : `${pid} `}${printable(name)}: ${printable(path)}`,
  )
  throw targetError(
    'E_BUSY',
    [
      list.length === 0
        ? `${point} is in use, by nothing that can be seen from here (another mount in it?)`
        : `${point} is in use by`,
      ...list,
    ].join('\n'),
    {
      hint: 'End that first. --lazy takes it away at once; processes that use it can finish.',
      details: { holders: holders.map(({ pid, name }) => pid ?? name).join(' ') },
    },
  )
}

/**
 * Waits for the server; it writes what is pending and closes the image. A server that is dead has nothing more to say.
 */
async function ended(session: MountSession, signal: AbortSignal | undefined): Promise<boolean> {
  while (isAlive(session)) {
    if (signal?.aborted === true) throw aborted('interrupted: the image is still being closed')
    await pause(20)
  }
  return true
}

/** @throws ImageError target E_NOT_WRITTEN */
function confirm(session: MountSession): void {
  const left = readSessions().find(({ id }) => id === session.id)
  if (left === undefined) return
  if (left.failure !== undefined)
    throw targetError('E_NOT_WRITTEN', `${session.image}: not all changes were written: ${left.failure}`, {
      hint: '"vdisk check" shows what state the image is in; "vdisk mounts --clean" forgets this.',
    })
  // Its server was killed, and this was the last of it.
  removeState(above(session.folder), session.id)
}
