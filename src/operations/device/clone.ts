import type { BlockSource, Note } from '../../block/types.js'
import { objections } from '../../device/safety.js'
import type { DeviceUse, DiskPlatform, FoundDevice, Holder } from '../../device/types.js'
import { printable, refused } from '../../errors.js'
import { findDevice, findTarget, foundOf, openDevice, type NamedDevice } from './argument.js'
import { recordedSource } from './origin.js'
import { recordedFacts, optionFacts } from '../resume/facts.js'
import { platformOf, writeTarget, type DeviceOptions, type DeviceOutcome } from './target.js'
import { describeTarget, type TargetDescription } from './description.js'
import { usedOnly, type UsedOnly, type UsedOnlyOptions, type VolumeUsage } from '../transfer/used-only.js'

export interface CloneOptions extends DeviceOptions {
  /** Reads a source that is in use, and may change meanwhile. */
  readonly live?: boolean
  /** Copies only what the filesystems of the source use; the rest reads as zero. */
  readonly usedOnly?: Omit<UsedOnlyOptions, 'signal'>
}

export interface CloneResult extends DeviceOutcome {
  readonly source: TargetDescription
  /** Whether the source was in use, and may have changed. */
  readonly live: boolean
  readonly volumes?: readonly VolumeUsage[]
}

/**
 * Copies a physical disk to another, or a partition to another; nothing lies between. The target is overwritten.
 * @throws ImageError refused E_SOURCE_IN_USE, E_SAME_DEVICE, and by every guard of the target; target; corrupt E_READ
 * where the source cannot be read; mismatch; aborted.
 */
export async function clone(from: string, to: string, options: CloneOptions): Promise<CloneResult> {
  const platform = platformOf(options)
  const named = findDevice(from, platform)
  const found = foundOf(named)
  const path = printable(from)
  const node = named.path
  const range = named.kind === 'partition' && named.device === undefined ? rangeOf(named) : undefined
  const others = othersOf(platform, node, range)
  const live = [...inUse(found), ...others.map(({ reason }) => reason)]
  if (options.live !== true) assertIdle(path, live)
  const { disk, partition } = found
  using opened = openDevice(named, live.length === 0)
  const whole = opened.source
  if (live.length === 0 && !opened.exclusive && range === undefined && options.live !== true)
    throw refused('E_SOURCE_IN_USE', `the source ${path} is in use: the system does not give it to one program alone`, {
      hint: 'Close what uses it. With --live it is read as it changes, and the copy is crash-consistent at best.',
    })
  const used = await usedOf(whole, named, options)
  const source: BlockSource = used?.source ?? whole
  const hot = live.length > 0 && !(isStill(found) && others.every(({ mount }) => mount?.readOnly === true))
  const notes = [...(hot ? [crashConsistent(path)] : []), ...(used?.notes ?? [])]
  const described = describeTarget({ path: range === undefined ? node : from, ...found })
  const outcome = await writeTarget(
    {
      source,
      name: path,
      isPartition: partition !== undefined,
      described,
      notes,
      place: platform.place(node),
      paths: [node],
      range,
      devices: [named.device?.deviceNumber ?? disk.deviceNumber],
      disk: disk.name,
      changes: hot,
      facts: recordedFacts(recordedSource(named), source.capacity),
      asked: optionFacts({ 'used-only': options.usedOnly }),
    },
    findTarget(to, platform),
    options,
  )
  return {
    source: described,
    live: hot,
    ...outcome,
    volumes: used?.volumes,
    notes: [...notes, ...outcome.notes],
  }
}

/** @throws ImageError refused E_SOURCE_IN_USE. */
function assertIdle(path: string, live: readonly string[]): void {
  if (live.length > 0) {
    throw refused('E_SOURCE_IN_USE', `the source ${path} is in use: ${live.join('; ')}`, {
      hint:
        'Unmount it, and close what uses it. With --live it is read as it changes, and the copy is ' +
        'crash-consistent at best: what a power cut would have left.',
    })
  }
}

function crashConsistent(path: string): Note {
  return {
    code: 'W_CRASH_CONSISTENT',
    message:
      `${path} was in use while it was read: the copy is crash-consistent at best, what a power ` +
      'cut would have left',
  }
}

/** What of the source is in use, where only that is wanted. */
async function usedOf(
  source: BlockSource,
  { entry }: NamedDevice,
  { usedOnly: wanted, signal }: CloneOptions,
): Promise<UsedOnly | undefined> {
  return wanted === undefined ? undefined : await usedOnly(source, { ...wanted, type: entry?.type.id, signal })
}

function parts({
  disk,
  partition,
}: FoundDevice): readonly { readonly path: string; readonly uses: readonly DeviceUse[] }[] {
  return partition === undefined ? [disk, ...disk.partitions] : [partition]
}

function inUse(found: FoundDevice): string[] {
  return parts(found).flatMap(({ path, uses }) =>
    uses.map((use) =>
      use.kind === 'mount'
        ? `${path} is mounted at ${use.point}${use.readOnly ? ' (read-only)' : ''}`
        : use.kind === 'swap'
          ? `${path} is swap space in use`
          : `${path} is held by ${use.title} (${use.role})`,
    ),
  )
}

/** Mounted for reading only, it does not change. */
function isStill(found: FoundDevice): boolean {
  return parts(found).every(({ uses }) => uses.every((use) => use.kind === 'mount' && use.readOnly))
}

/** Filesystems and swap space that have the source's bytes under other names. */
function othersOf(platform: DiskPlatform, path: string, range: Range | undefined): readonly Holder[] {
  const trail = platform.trail?.(path, 'write', range)
  const holders = trail === undefined ? [] : (platform.holders?.(trail) ?? [])
  const found = platform.find(path)
  const known = objections(found.disk, found.partition).map(({ reason }) => reason)
  const points = parts(found).flatMap(({ uses }) => uses.flatMap((use) => (use.kind === 'mount' ? [use.point] : [])))
  return holders.filter(
    ({ kind, reason, mount }) =>
      (kind === 'mount' || kind === 'swap') &&
      !known.includes(reason) &&
      (mount === undefined || !points.includes(mount.point)),
  )
}

interface Range {
  readonly start: number
  readonly length: number
}

function rangeOf({ start, size }: NamedDevice): Range {
  return { start, length: size }
}
