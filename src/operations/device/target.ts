import type { BlockSource, Note } from '../../block/types.js'
import { diskPlatform } from '../../device/index.js'
import type { DiskPlatform, FoundDevice, Place } from '../../device/types.js'
import type { Progress } from '../../engine/index.js'
import { printable, refused, usage } from '../../errors.js'
import { readPartitionTable, type IdChange, type Mend, type PartitionTable } from '../../partition/index.js'
import { deviceContent, judgeFit, type DeviceContent } from './content.js'
import { ejectDisk, forgetPartitions, growFilesystem, rereadTable, type Reread } from './finishing.js'
import type { GrownPartition } from './growth.js'
import { planSteps, storedBytes, type PlanStep } from './plan.js'
import { writeDevice, type DeviceWritten } from './writing.js'
import { mayRefer } from '../partition/fix.js'
import { imageIdentity } from '../transfer/identity.js'
import { confirmTarget, type Confirmation } from './confirmation.js'
import { describeTarget, type TargetDescription } from './description.js'
import { guardTarget, type ContentFacts, type GuardPass, type TargetFacts, type TargetOverrides } from './guards.js'
import { clearReadOnly, openTarget, unmountTarget } from './opening.js'

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
  readonly steps: readonly PlanStep[]
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

/** The disk or partition a path names. @throws ImageError usage E_NOT_A_DEVICE. */
export function findDevice(path: string, platform: DiskPlatform): FoundDevice {
  try {
    return platform.find(path)
  } catch (cause) {
    throw usage('E_NOT_A_DEVICE', `${printable(path)} is no disk or partition of this machine`, {
      cause,
      hint: 'Files are made with "vdisk convert"; "vdisk disks" lists the disks. No flag overrides this.',
    })
  }
}

/** The disks of this machine. */
export function platformOf(options: { readonly platform?: DiskPlatform }): DiskPlatform {
  return options.platform ?? diskPlatform()
}

/**
 * Writes a disk or partition: guards, the user's word, the writing itself, and what follows it.
 * @throws ImageError refused by every guard (guards.ts), E_NOT_CONFIRMED, E_DEVICE_BUSY, E_TARGET_CHANGED; target;
 * mismatch; aborted.
 */
export async function writeTarget(job: DeviceJob, path: string, options: DeviceOptions): Promise<DeviceOutcome> {
  const started = performance.now()
  const platform = platformOf(options)
  let found = findDevice(path, platform)
  const content = contentFacts(job, found)
  const facts = (): TargetFacts => ({
    ...found,
    place: platform.place(path),
    sourcePlace: job.place,
    sourceDevices: job.devices,
    content,

    sourceDisk: job.disk,
    targetIsSource: found.disk.backingFile === undefined ? undefined : job.reads?.(found.disk.backingFile),
  })
  const { passed, notes: guardNotes } = guardTarget(facts(), options)
  const prepared = await deviceContent(job.source, shapeOf(found), contentOptions(options, found))
  const target = describeTarget(path, found)
  const outcome = {
    target,
    guards: passed,
    bytes: bytesOf(job, prepared, target),
    scheme: prepared.table.scheme,
    mends: prepared.mends,
    ids: prepared.ids,
    mayRefer: prepared.ids.length === 0 ? [] : mayRefer(prepared.table),
    cut: prepared.cut,
    grown: prepared.grown,
    steps: planSteps(target, prepared, passed, options),
  }
  const notes = [...guardNotes, ...prepared.notes]
  const done = (more: Partial<DeviceOutcome>): DeviceOutcome => ({
    ...outcome,
    verified: false,
    dryRun: options.dryRun === true,
    ...more,
    notes,
    seconds: (performance.now() - started) / 1000,
  })
  if (options.dryRun === true) return done({})
  await confirmTarget(target, options, job.origin)
  if (await prepareDevice(found, passed)) {
    found = findDevice(path, platform)
    // Everything else is asked again, without the words that were kept.
    guardTarget(facts(), { ...options, unmount: false, clearReadOnly: false })
  }
  const written = await writeContent(path, found, platform, prepared, {
    ...options,
    unchanged: job.unchanged,
    changes: job.changes === true,
  })
  const { grown, ...finished } = await finishTarget(found, platform, prepared, options, notes)
  return done({ result: { ...written, ...finished }, verified: written.verified, grown })
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

/** What stands in the way and may be put aside. True when something was. */
async function prepareDevice(found: FoundDevice, passed: readonly GuardPass[]): Promise<boolean> {
  const overridden = (guard: GuardPass['guard']): boolean =>
    passed.some((pass) => pass.guard === guard && pass.overridden)
  if (overridden('read-only')) await clearReadOnly(found)
  if (overridden('mounted')) await unmountTarget(found)
  return overridden('read-only') || overridden('mounted')
}

async function writeContent(
  path: string,
  found: FoundDevice,
  platform: DiskPlatform,
  { source, end }: DeviceContent,
  options: DeviceOptions & Pick<DeviceJob, 'unchanged'> & { readonly changes: boolean },
): Promise<DeviceWritten> {
  using store = openTarget(path, found, platform)
  const { threads, unchanged, signal, onProgress } = options
  return await writeDevice(store, {
    source,
    end,
    verify: options.verify === false ? 'no' : options.changes ? 'digest' : 'source',
    threads,
    unchanged,
    signal,
    onProgress,
    onCleared: () => {
      // Old partitions would lead into the middle of what is written.
      if (found.partition === undefined) forgetPartitions(store)
    },
  })
}

async function finishTarget(
  found: FoundDevice,
  platform: DiskPlatform,
  { table, grown }: DeviceContent,
  { eject }: DeviceOptions,
  notes: Note[],
): Promise<{ readonly reread: Reread; readonly ejected: boolean; readonly grown?: GrownPartition }> {
  const isDisk = found.partition === undefined
  const reread = isDisk ? await rereadTable(found.disk, platform, table.partitions.length, notes) : 'none'
  const later =
    grown?.content === 'later'
      ? {
          ...grown,
          content: (await growFilesystem(found, grown, platform, notes)) ? ('done' as const) : ('kept' as const),
        }
      : grown
  const ejected = eject === true && (await ejectDisk(found.disk, notes))
  return { reread, ejected, grown: later }
}
