import fs from '../../sys/host-fs.js'
import { activityOf, type Activity, type ActiveMount } from '../../device/activity.js'
import { sharedDisks } from '../../device/safety.js'
import type { Note } from '../../block/types.js'
import type { DiskPlatform, Place } from '../../device/types.js'
import { printable, refused, targetError } from '../../errors.js'
import type { NamedDevice } from '../device/argument.js'
import type { Consistency } from './record.js'
import { folderPart, nearest } from '../../sys/host-path.js'

/**
 * What one guard said. `overridden`: it said no, and its own flag was given. `unknown`: it could not find out. `noted`:
 * no objection, but the user should know.
 */
export interface GuardAnswer {
  readonly guard: 'same-disk' | 'in-use' | 'space' | 'identity' | 'bitmap'
  readonly verdict: 'passed' | 'overridden' | 'unknown' | 'noted'
  readonly why: string
}

const noteCodes: Readonly<Record<GuardAnswer['guard'], string>> = {
  'same-disk': 'W_SAME_DISK',
  'in-use': 'W_HOT',
  space: 'W_SPACE',
  identity: 'W_IDENTITY',
  bitmap: 'W_BITMAP',
}

/** What the user should know of the answers. */
export function guardNotes(guards: readonly GuardAnswer[]): Note[] {
  return guards
    .filter(({ verdict }) => verdict !== 'passed')
    .map(({ guard, why }) => ({ code: noteCodes[guard], message: why }))
}

/** The place of what is imaged: the path of a partition that the system does not know is its disk's. */
export function placeOf(device: NamedDevice, platform: DiskPlatform): Place {
  return platform.place(device.device?.path ?? device.disk.path)
}

/**
 * An image that lies on the disk it was made of is lost with it.
 * @throws ImageError refused E_SAME_DISK, unless allowed.
 */
export function guardSameDisk(
  device: NamedDevice,
  heat: Heat,
  target: string,
  platform: DiskPlatform,
  allowed: boolean,
  what = `the image ${printable(target)}`,
): GuardAnswer {
  const { verdict: found, disks: shared, unknown } = sharedDisks(placeOf(device, platform), platform.place(target))
  // A filesystem of the source itself, wherever the source lies: a loop over a file in memory, or on a server.
  const own = mountHolding(heat.mounts, target)
  const verdict = own === undefined ? found : 'same'
  const disks = shared.length > 0 ? shared : [device.disk.name]
  const answer = (verdict: GuardAnswer['verdict'], why: string): GuardAnswer => ({
    guard: 'same-disk',
    verdict,
    why,
  })
  if (verdict === 'different') return answer('passed', `${what} does not lie on the disk that is read`)
  if (verdict === 'unknown')
    return answer('unknown', `whether ${what} would lie on the disk that is read is not known: ${unknown.join('; ')}`)
  const why =
    `${what} would lie on ${disks.map((disk) => `/dev/${disk}`).join(', ')}, ` +
    `the disk that is read (${device.name})`
  if (allowed) return answer('overridden', why)
  throw refused('E_SAME_DISK', `${why}: what happens to the disk happens to its image`, {
    hint: 'Choose a place on another disk. --allow-same-disk overrides this.',
    details: { disks: disks.join(',') },
  })
}

/** Whether the source is written to, and by whom. */
export interface Heat extends Activity {
  readonly hot: boolean
  /** Filesystems that are mounted for writing. */
  readonly written: readonly ActiveMount[]
}

export function heatOf(device: NamedDevice, platform: DiskPlatform): Heat {
  // Of a partition that the system does not know, only what uses the whole disk can be seen.
  const activity = activityOf(
    platform,
    device.kind === 'disk' || device.device === undefined
      ? { disk: { ...device.disk, partitions: device.kind === 'disk' ? device.disk.partitions : [] } }
      : { disk: device.disk, partition: device.device },
  )
  const mounts = [...activity.mounts, ...mountsElsewhere(device, platform, activity.mounts)]
  const written = mounts.filter(({ readOnly }) => !readOnly)
  return {
    mounts,
    others: activity.others,
    written,
    hot: written.length > 0 || activity.others.length > 0,
  }
}

/** Filesystems that are mounted from the bytes of the source under other names: another loop over the same file. */
function mountsElsewhere(
  { disk, device, kind, start, size }: NamedDevice,
  platform: DiskPlatform,
  known: readonly ActiveMount[],
): ActiveMount[] {
  const range = kind === 'partition' && device === undefined ? { start, length: size } : undefined
  const trail = platform.trail?.(device?.path ?? disk.path, 'write', range)
  const holders = trail === undefined ? [] : (platform.holders?.(trail) ?? [])
  return holders.flatMap(({ mount, device: name }) =>
    mount === undefined || known.some(({ point }) => point === mount.point)
      ? []
      : [{ ...mount, device: name === undefined ? disk.path : `/dev/${name}` }],
  )
}

/** Why the source is hot, in words. */
export function heatText({ written, others }: Heat): string {
  return [
    ...written.map(({ device, point, filesystem }) => `${device} is mounted at ${point} (${filesystem})`),
    ...others,
  ].join('; ')
}

/**
 * Whether the source changes while it is read.
 * @param freezes whether its filesystems are frozen meanwhile. @param snapshot what an image of the snapshot is
 * worth that is read in its place.
 */
export function guardInUse(device: NamedDevice, heat: Heat, freezes: boolean, snapshot?: Consistency): GuardAnswer {
  if (!heat.hot) return { guard: 'in-use', verdict: 'passed', why: `nothing writes to ${device.name}` }
  if (snapshot !== undefined)
    return {
      guard: 'in-use',
      verdict: snapshot.state === 'crash-consistent' ? 'noted' : 'passed',
      why:
        `the source is hot (${heatText(heat)}), and a snapshot of it is read. The image is ${snapshot.state}: ` +
        snapshot.why,
    }
  const why = `the source is hot, it changes while it is read: ${heatText(heat)}`
  return {
    guard: 'in-use',
    verdict: 'noted',
    why: freezes
      ? `${why}; its filesystems are frozen meanwhile`
      : `${why}. The image is crash-consistent: what a power cut would have left, at best`,
  }
}

/** What a record will say of the moment that the image shows. */
export function consistencyOf(
  heat: Heat,
  exclusive: boolean,
  frozen?: { readonly frozen: readonly string[]; readonly refused: readonly string[] },
): Consistency {
  if (!heat.hot) {
    if (exclusive) return { state: 'cold', why: 'nothing used it, and nothing could while it was read' }
    if (heat.mounts.length > 0)
      return {
        state: 'cold',
        why: `it was mounted for reading only (${heat.mounts.map(({ point }) => point).join(', ')})`,
      }
    return { state: 'crash-consistent', why: 'something that this system does not show had it open for itself' }
  }
  const text = heatText(heat)
  if (frozen === undefined) return { state: 'crash-consistent', why: text }
  const held = `frozen: ${frozen.frozen.join(', ')}`
  if (frozen.refused.length === 0 && heat.others.length === 0) return { state: 'frozen', why: held }
  return {
    state: 'crash-consistent',
    why: [
      held,
      ...(frozen.refused.length === 0 ? [] : [`not frozen: ${frozen.refused.join(', ')}`]),
      ...heat.others,
    ].join('; '),
  }
}

/** @throws ImageError refused E_FREEZE_TARGET when the image would lie on a filesystem that is to be frozen. */
export function guardFreezeTarget(heat: Heat, target: string): void {
  const point = mountHolding(heat.written, target)?.point
  if (point !== undefined)
    throw refused(
      'E_FREEZE_TARGET',
      `the image ${printable(target)} would lie on ${point}, which is to be frozen while it is written: ` +
        'both would wait for ever',
      { hint: 'Choose a place on another disk, or leave out --freeze.' },
    )
}

/** The mount whose filesystem a path, which need not exist yet, lies in. */
function mountHolding(mounts: readonly ActiveMount[], target: string): ActiveMount | undefined {
  const { dev } = fs.statSync(nearestFolder(target))
  return mounts.find(({ point }) => fs.statSync(point, { throwIfNoEntry: false })?.dev === dev)
}

function nearestFolder(target: string): string {
  return nearest(folderPart(target))
}

/**
 * Whether the image fits.
 * @param most bytes that it may take at most. @param whole whether it takes all of them for certain.
 * @param least bytes that must be free, where a program runs it and nobody looks; `most`: all that it may take.
 * @throws ImageError target E_NO_SPACE when it cannot fit.
 */
export function guardSpace(target: string, most: number, whole: boolean, least: number | 'most' = 0): GuardAnswer {
  let free: number
  try {
    const { bavail, bsize } = fs.statfsSync(nearestFolder(target))
    free = bavail * bsize
  } catch {
    // Not every filesystem of every system says.
    return { guard: 'space', verdict: 'unknown', why: 'how much space is free is not known' }
  }
  if (most <= free)
    return {
      guard: 'space',
      verdict: 'passed',
      why: `${free} bytes are free, and the image takes ${whole ? '' : 'at most '}${most}`,
    }
  const why = `${free} bytes are free, and the image ${whole ? 'takes' : 'may take up to'} ${most}`
  if (whole || free < (least === 'most' ? most : least))
    throw targetError('E_NO_SPACE', `there is not enough space for the image ${printable(target)}: ${why}`, {
      hint: 'Free space, choose another folder, or a dynamic kind of image.',
    })
  return { guard: 'space', verdict: 'unknown', why: `${why}: zeros take no room` }
}
