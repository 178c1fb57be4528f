import type { DeviceUse, Disk, DiskPartition, Holder, Place } from './types.js'

/** Why a disk or partition must not be written, each with the guard that says so. */
export interface Objection {
  readonly guard: 'read-only' | 'system' | 'mounted' | 'held' | 'swap' | 'locked' | 'no-medium'
  /** One sentence, with the disk's or partition's name. */
  readonly reason: string
}

const guardOf = { mount: 'mounted', swap: 'swap', device: 'held', server: 'held', lock: 'locked' } as const

/**
 * What speaks against writing to a disk, or to one partition of it. Empty: nothing.
 * @param holders who has its bytes under other names: through the file of a loop device, say.
 */
export function objections(disk: Disk, partition?: DiskPartition, holders: readonly Holder[] = []): Objection[] {
  const found: Objection[] = []
  const readOnly = partition === undefined ? disk.readOnly : disk.readOnly || partition.readOnly
  if (readOnly) found.push({ guard: 'read-only', reason: `${partition?.path ?? disk.path} is read-only` })
  if (disk.size === 0) found.push({ guard: 'no-medium', reason: `${disk.path} has no medium` })
  for (const why of disk.system) found.push({ guard: 'system', reason: `disk ${disk.path} ${why}` })
  const parts: readonly { readonly path: string; readonly uses: readonly DeviceUse[] }[] =
    partition === undefined ? [disk, ...disk.partitions] : [partition, { path: disk.path, uses: disk.uses }]
  for (const { path, uses } of parts) for (const use of uses) found.push(objection(path, use))
  const known = parts.flatMap(({ uses }) => uses)
  for (const { kind, reason, device, mount } of holders) {
    const isKnown = known.some((use) =>
      use.kind === 'mount'
        ? use.point === mount?.point
        : use.kind === 'swap'
          ? kind === 'swap'
          : kind === 'device' && use.name === device,
    )
    if (!isKnown) found.push({ guard: guardOf[kind], reason })
  }
  return found
}

function objection(path: string, use: DeviceUse): Objection {
  if (use.kind === 'mount')
    return {
      guard: 'mounted',
      reason: `${path} is mounted at ${use.point} (${use.filesystem}${use.readOnly ? ', read-only' : ''})`,
    }
  if (use.kind === 'swap') return { guard: 'swap', reason: `${path} is swap space in use` }
  return {
    guard: 'held',
    reason: `${path} is held by ${use.title} (${use.role}${use.title === use.name ? '' : `, ${use.name}`})`,
  }
}

/**
 * Whether two places share a physical disk. `unknown` when one of them is not wholly known and none is shared as far as
 * is known.
 */
export function sharedDisks(
  a: Place,
  b: Place,
): {
  readonly verdict: 'same' | 'different' | 'unknown'
  readonly disks: readonly string[]
  readonly unknown: readonly string[]
} {
  const disks = a.disks.filter((disk) => b.disks.includes(disk))
  const unknown = [...a.unknown, ...b.unknown]
  if (disks.length > 0) return { verdict: 'same', disks, unknown }
  // What lies wholly in memory or on a server lies on none of this machine's disks, whatever the other one does.
  const apart = [a, b].some((place) => place.unknown.length === 0 && place.disks.length === 0)
  return { verdict: unknown.length > 0 && !apart ? 'unknown' : 'different', disks, unknown }
}
