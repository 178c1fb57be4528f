import type { BlockSource, Note } from '../../block/types.js'
import type { DiskPlatform } from '../../device/types.js'
import type { Progress } from '../../engine/index.js'
import { refused, usage } from '../../errors.js'
import type { IdChange, Mend, PartitionTable } from '../../partition/index.js'
import { thisMachine } from '../in-use/machine.js'
import { mayRefer } from '../partition/fix.js'
import { imageIdentity } from '../transfer/identity.js'
import { DeviceSink, type DeviceWritten } from '../transfer/sink-device.js'
import { planOf, runSteps, type PlanStep } from '../transfer/step.js'
import { storedBytes } from '../transfer/stored-bytes.js'
import type { DeviceTarget } from './argument.js'
import { confirmTarget, type Confirmation } from './confirmation.js'
import { deviceContent, type DeviceContent } from './content.js'
import { describeTarget, type TargetDescription } from './description.js'
import { forgetPartitions, type Reread } from './finishing.js'
import type { GrownPartition } from './growth.js'
import { guardTarget, type GuardPass, type TargetOverrides } from './guards.js'
import { openTarget } from './opening.js'
import { targetFacts, type DeviceReading } from './facts.js'
import { besideTable } from './parent-table.js'
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
 * @param origin where what is written came from, for the question whether the target is meant.
 * @throws ImageError refused by every guard (guards.ts), E_NOT_CONFIRMED, E_DEVICE_BUSY, E_TARGET_CHANGED; target;
 * mismatch; aborted.
 */
export async function writeTarget(
  reading: DeviceReading,
  target: DeviceTarget,
  options: DeviceOptions,
  origin?: string,
): Promise<DeviceOutcome> {
  const started = performance.now()
  const platform = platformOf(options)
  const facts = targetFacts(reading, target, platform)
  const { passed, notes: guardNotes } = guardTarget(facts, options)
  const prepared = await deviceContent(reading.source, shapeOf(target), contentOptions(options, target))
  const content = besideTable(reading.source, prepared, target)
  const description = describeTarget(target)
  const followed: Followed = {
    reread: 'none',
    ejected: false,
    grown: content.grown,
    notes: [...guardNotes, ...content.notes],
  }
  using sink = new DeviceSink({
    name: description.path,
    size: target.size,
    // The guards are asked again about the target as it is then: what was put aside must be gone.
    open: () =>
      openTarget(target, (now) =>
        guardTarget(targetFacts(reading, { ...target, ...now }, platform), {
          ...options,
          unmount: false,
          clearReadOnly: false,
        }),
      ),
    source: content.source,
    end: content.end,
    verify: options.verify === false ? 'no' : reading.changes === true ? 'digest' : 'source',
    changes: contentChanges(content),
    cut: content.cut?.length,
    unchanged: reading.unchanged,
    onCleared: (store) => {
      // Old partitions would lead into the middle of what is written.
      if (target.partition === undefined) forgetPartitions(store)
    },
    threads: options.threads,
    signal: options.signal,
    onProgress: options.onProgress,
  })
  const steps = [
    ...preparingSteps(target, passed, facts.holders),
    ...sink.steps,
    ...followingSteps(target, platform, content, { eject: options.eject === true }, followed),
  ]
  const dryRun = options.dryRun === true
  if (!dryRun) {
    await confirmTarget(description, options, origin)
    await runSteps(steps)
  }
  const { notes, grown, reread, ejected } = followed
  return {
    target: description,
    guards: passed,
    bytes: bytesOf(reading.source, content, target.size),
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

function shapeOf({ disk, partition, size }: DeviceTarget): Parameters<typeof deviceContent>[1] {
  const sectorSize = disk.logicalSectorSize
  if (sectorSize !== 512 && sectorSize !== 4096)
    throw refused('E_SECTOR_MISFIT', `${disk.path} has sectors of ${sectorSize} bytes: only 512 and 4096 are written`, {
      hint: 'No flag overrides this.',
    })
  return {
    capacity: size,
    sectorSize,
    partition: partition === undefined ? undefined : { number: partition.number, start: partition.start },
  }
}

function contentOptions(
  { newIds, uuid, grow, signal }: DeviceOptions,
  { partition }: DeviceTarget,
): Parameters<typeof deviceContent>[2] {
  if (newIds === true && partition !== undefined)
    throw usage('E_NO_TABLE', 'a partition has no partition table to give new ids to', { hint: 'Leave out --new-ids.' })
  const identity = newIds === true ? imageIdentity(uuid) : undefined
  return { grow, signal, newId: identity === undefined ? undefined : (name) => identity.derive(name) }
}

function bytesOf(source: BlockSource, { end }: DeviceContent, size: number): DeviceOutcome['bytes'] {
  return { written: end, stored: storedBytes(source, Math.min(end, source.capacity)), left: size - end }
}
