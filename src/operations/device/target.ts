import type { BlockSource, Note } from '../../block/types.js'
import type { DiskStore } from '../../device/disk-store.js'
import { joined, type Trail } from '../../device/bytes.js'
import type { DiskPlatform, FoundDevice, Place } from '../../device/types.js'
import type { Progress } from '../../engine/index.js'
import { refused, usage } from '../../errors.js'
import { readPartitionTable, type IdChange, type Mend, type PartitionTable } from '../../partition/index.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import { thisMachine } from '../in-use/machine.js'
import { mayRefer } from '../partition/fix.js'
import { imageIdentity } from '../transfer/identity.js'
import { DeviceSink, type DeviceWritten } from '../transfer/sink-device.js'
import { planOf, runSteps, type PlanStep } from '../transfer/step.js'
import { storedBytes } from '../transfer/stored-bytes.js'
import { findTarget } from './argument.js'
import { confirmTarget, type Confirmation } from './confirmation.js'
import { deviceContent, judgeFit, type DeviceContent } from './content.js'
import { describeTarget, type TargetDescription } from './description.js'
import { forgetPartitions, type Reread } from './finishing.js'
import type { GrownPartition } from './growth.js'
import { guardTarget, type ContentFacts, type GuardPass, type TargetFacts, type TargetOverrides } from './guards.js'
import { checkUnchanged, openTarget } from './opening.js'
import { besideTable, tableInside } from './parent-table.js'
import { contentChanges, followingSteps, preparingSteps, type Followed, type TargetStepName } from './steps.js'

/** How a disk or partition is written. */
export interface DeviceOptions extends TargetOverrides, Confirmation {
  /** Reads everything back past the page cache and compares it; default yes. */
  readonly verify?: boolean
  /** Gives the disk and its partitions new ids. */
  readonly newIds?: boolean
  /** What the new ids are made of; random when left out. */
  readonly uuid?: string
  /** Enlarges the last partition to the end of the disk. */
  readonly grow?: boolean
  /** Lets the disk out at the end. */
  readonly eject?: boolean
  /** Checks everything, writes nothing. */
  readonly dryRun?: boolean
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
  /** The disks of this machine; the system's own when left out. */
  readonly platform?: DiskPlatform
}

/** What is to be written, and where it is read from. */
export interface DeviceJob {
  readonly source: BlockSource
  readonly name: string
  readonly isPartition: boolean
  readonly place: Place
  /** Device numbers of what is read, or of the filesystems it lies in. */
  readonly devices: readonly string[]
  /** The whole disk that is read, by its name, when it is one. */
  readonly disk?: string
  /** What is read, by paths: where its bytes lie is followed from them. */
  readonly paths?: readonly string[]
  /** Of one device only a range, in bytes. */
  readonly range?: { readonly start: number; readonly length: number }
  /** Where it came from, for whoever is asked whether the target is meant. */
  readonly origin?: string
  /** Whether it changes while it is read. */
  readonly changes?: boolean
  /** Whether a file is one of those that are read. */
  readonly reads?: (path: string) => boolean
  /** At the end of reading it. @throws ImageError corrupt E_SOURCE_CHANGED. */
  readonly unchanged?: () => void
}

/** What is, or would be, done with a target. Sizes are bytes. */
export interface DeviceOutcome {
  readonly target: TargetDescription
  readonly guards: readonly GuardPass[]
  readonly steps: readonly PlanStep<TargetStepName>[]
  /**
   * `written`: from the target's start; of these `stored` are data in the source and the rest zero; `left`: what the
   * target keeps.
   */
  readonly bytes: { readonly written: number; readonly stored: number; readonly left: number }
  readonly scheme: PartitionTable['scheme']
  readonly mends: readonly Mend[]
  readonly ids: readonly IdChange[]
  readonly mayRefer: readonly string[]
  readonly cut?: DeviceContent['cut']
  readonly grown?: GrownPartition
  /** What was done; absent in a dry run. */
  readonly result?: DeviceWritten & { readonly reread: Reread; readonly ejected: boolean }
  readonly verified: boolean
  readonly dryRun: boolean
  readonly notes: readonly Note[]
  readonly seconds: number
}

/** The disks of this machine. */
export function platformOf(options: { readonly platform?: DiskPlatform }): DiskPlatform {
  return options.platform ?? thisMachine()
}

/**
 * Writes a disk or partition: guards, the user's confirmation, and the steps of the plan.
 * @throws ImageError refused by every guard (guards.ts), E_NOT_CONFIRMED, E_DEVICE_BUSY, E_TARGET_CHANGED; target;
 * mismatch; aborted.
 */
export async function writeTarget(job: DeviceJob, argument: string, options: DeviceOptions): Promise<DeviceOutcome> {
  const started = performance.now()
  const platform = platformOf(options)
  const { path, found } = findTarget(argument, platform)
  const facts = targetFacts(job, path, found, platform)
  const { passed, notes: guardNotes } = guardTarget(facts, options)
  const prepared = await deviceContent(job.source, shapeOf(found), contentOptions(options, found))
  const content = besideTable(job.source, prepared, found)
  const target = describeTarget(path, found)
  const followed: Followed = {
    reread: 'none',
    ejected: false,
    grown: content.grown,
    notes: [...guardNotes, ...content.notes],
  }
  using sink = new DeviceSink({
    name: target.path,
    size: target.size,
    open: () => openJudged(job, path, found, platform, options),
    source: content.source,
    end: content.end,
    verify: options.verify === false ? 'no' : job.changes === true ? 'digest' : 'source',
    changes: contentChanges(content),
    cut: content.cut?.length,
    unchanged: job.unchanged,
    onCleared: (store) => {
      // Old partitions would lead into the middle of what is written.
      if (found.partition === undefined) forgetPartitions(store)
    },
    threads: options.threads,
    signal: options.signal,
    onProgress: options.onProgress,
  })
  const steps = [
    ...preparingSteps(found, target.path, passed, facts.holders),
    ...sink.steps,
    ...followingSteps(found, platform, content, { eject: options.eject === true, path: target.path }, followed),
  ]
  const dryRun = options.dryRun === true
  if (!dryRun) {
    await confirmTarget(target, options, job.origin)
    await runSteps(steps)
  }
  const { notes, grown, reread, ejected } = followed
  return {
    target,
    guards: passed,
    bytes: bytesOf(job, content, target),
    scheme: content.table.scheme,
    mends: content.mends,
    ids: content.ids,
    mayRefer: content.ids.length === 0 ? [] : mayRefer(content.table),
    cut: content.cut,
    grown,
    steps: planOf(steps),
    result: dryRun ? undefined : { ...sink.result, reread, ejected },
    verified: !dryRun && sink.result.verified,
    dryRun,
    notes,
    seconds: (performance.now() - started) / 1000,
  }
}

function targetFacts(job: DeviceJob, path: string, found: FoundDevice, platform: DiskPlatform): TargetFacts {
  const { backingFile } = found.disk
  return {
    ...found,
    place: platform.place(path),
    sourcePlace: job.place,
    sourceDevices: job.devices,
    content: contentFacts(job, found),
    sourceDisk: job.disk,
    tableInside: tableInside(found),
    targetIsSource: backingFile === undefined ? undefined : job.reads?.(backingFile),
    ...whoHas(job, path, platform),
  }
}

/** Where the bytes of target and source lie, and who else has any of the target's; nothing where it cannot be told. */
function whoHas(
  { paths, range }: DeviceJob,
  target: string,
  platform: DiskPlatform,
): Pick<TargetFacts, 'trail' | 'sourceTrail' | 'holders' | 'busy'> {
  const trail = platform.trail?.(target, 'write')
  if (trail === undefined) return {}
  const sources: Trail[] = (paths ?? []).flatMap((path) => platform.trail?.(path, 'read', range) ?? [])
  return {
    trail,
    sourceTrail: paths === undefined ? undefined : joined(sources),
    holders: platform.holders?.(trail),
    busy: platform.isBusy?.(target),
  }
}

/** Asks every guard again when the plan is carried out, and opens the target. What was put aside must be gone. */
function openJudged(
  job: DeviceJob,
  path: string,
  judged: FoundDevice,
  platform: DiskPlatform,
  options: DeviceOptions,
): DiskStore {
  const now = platform.find(path)
  checkUnchanged(path, judged, now)
  guardTarget(targetFacts(job, path, now, platform), { ...options, unmount: false, clearReadOnly: false })
  return openTarget(path, judged, platform)
}

/** Versions of Linux RAID whose superblock is found from the end: 1.0, and all before. */
function metadataAtEnd(source: BlockSource): string | undefined {
  const found = identifyFilesystems(source).find(
    ({ type, version = '' }) => type === 'linux_raid_member' && /^(1\.0|0\..*)$/.test(version),
  )
  return found === undefined ? undefined : `${found.title} ${found.version ?? ''}`
}

function contentFacts({ source, name, isPartition }: DeviceJob, { disk, partition }: FoundDevice): ContentFacts {
  const { scheme, sectorSize } = readPartitionTable(source)
  const size = partition?.size ?? disk.size
  return {
    name,
    capacity: source.capacity,
    scheme: isPartition ? 'none' : scheme,
    tableSectorSize: sectorSize,
    isPartition,
    atEnd: metadataAtEnd(source),
    ...(source.capacity > size && size > 0 ? { fitting: judgeFit(source, size) } : {}),
  }
}

function shapeOf({ disk, partition }: FoundDevice): Parameters<typeof deviceContent>[1] {
  const sectorSize = disk.logicalSectorSize
  if (sectorSize !== 512 && sectorSize !== 4096)
    throw refused('E_SECTOR_MISFIT', `${disk.path} has sectors of ${sectorSize} bytes: only 512 and 4096 are written`, {
      hint: 'No flag overrides this.',
    })
  return {
    capacity: partition?.size ?? disk.size,
    sectorSize,
    partition: partition === undefined ? undefined : { number: partition.number, start: partition.start },
  }
}

function contentOptions(
  { newIds, uuid, grow, signal }: DeviceOptions,
  { partition }: FoundDevice,
): Parameters<typeof deviceContent>[2] {
  if (newIds === true && partition !== undefined)
    throw usage('E_NO_TABLE', 'a partition has no partition table to give new ids to', { hint: 'Leave out --new-ids.' })
  const identity = newIds === true ? imageIdentity(uuid) : undefined
  return { grow, signal, newId: identity === undefined ? undefined : (name) => identity.derive(name) }
}

function bytesOf({ source }: DeviceJob, { end }: DeviceContent, { size }: TargetDescription): DeviceOutcome['bytes'] {
  return { written: end, stored: storedBytes(source, Math.min(end, source.capacity)), left: size - end }
}
