import { MaskedSource } from '../../block/masked.js'
import type { RunMap } from '../../block/run-map.js'
import type { Note } from '../../block/types.js'
import type { DiskPlatform, FoundDevice } from '../../device/types.js'
import type { Progress } from '../../engine/index.js'
import { usage } from '../../errors.js'
import type { IdChange, Mend, PartitionTable } from '../../partition/index.js'
import { thisMachine } from '../in-use/machine.js'
import { mayRefer } from '../partition/fix.js'
import { blockMapInfo, checkRanges, writtenRuns, type BlockMapInfo } from '../bmap/use.js'
import type { DeviceSession } from '../resume/device-session.js'
import { withSession } from '../resume/resumable.js'
import { imageIdentity } from '../transfer/identity.js'
import { DeviceSink, type DeviceStepName, type DeviceWritten } from '../transfer/sink-device.js'
import { planOf, runSteps, type PlanStep, type Step } from '../transfer/step.js'
import { storedBytes } from '../transfer/stored-bytes.js'
import type { DeviceTarget } from './argument.js'
import { confirmTarget, type Confirmation, type ConfirmationFacts } from './confirmation.js'
import { contentChanges, FittedDisk, type FittingOptions, type DeviceContent } from './content.js'
import { describeTarget, type TargetDescription } from './description.js'
import { forgetPartitions, TargetFinish, type FinishingStepName, type Reread } from './finishing.js'
import type { GrownPartition } from './growth.js'
import { guardTarget, type GuardPass } from './guards.js'
import type { TargetFacts, TargetOverrides } from './target-facts.js'
import { openTarget, preparingSteps, type PreparingStepName } from './preparing.js'
import { beginDevice, openDeviceSession, type DeviceResumeOptions } from './resuming.js'
import { targetFacts, type DeviceReading } from './facts.js'
import { besideTable } from './parent-table.js'
import { milliseconds } from '../../sys/clock.js'

/** How a disk or partition is written. */
export interface DeviceOptions extends TargetOverrides, Confirmation, DeviceResumeOptions {
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
  /** Most bytes that are written a second. */
  readonly rate?: number
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
  /** The disks of this machine; the system's own when left out. */
  readonly platform?: DiskPlatform
}

export type TargetStepName = 'checksums' | PreparingStepName | DeviceStepName | FinishingStepName

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
  /** What of the image was to be written, where a block map said it. */
  readonly blockMap?: BlockMapInfo
  readonly scheme: PartitionTable['scheme']
  readonly mends: readonly Mend[]
  readonly ids: readonly IdChange[]
  readonly mayRefer: readonly string[]
  readonly cut?: DeviceContent['cut']
  readonly grown?: GrownPartition
  /** What was done; absent in a dry run. */
  readonly result?: DeviceWritten & { readonly reread: Reread; readonly ejected: boolean }
  readonly verified: boolean
  /** Bytes of the disk that an earlier run had written, with {@link DeviceOptions.resume}. */
  readonly resumed?: number
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
  return await new TargetWrite(reading, target, options).run(origin)
}

class TargetWrite {
  readonly #reading: DeviceReading
  readonly #target: DeviceTarget
  readonly #options: DeviceOptions
  readonly #platform: DiskPlatform
  readonly #fitted: FittedDisk
  readonly #started = milliseconds()
  #confirmed = false

  constructor(reading: DeviceReading, target: DeviceTarget, options: DeviceOptions) {
    this.#reading = reading
    this.#target = target
    this.#options = options
    this.#platform = platformOf(options)
    this.#fitted = new FittedDisk(reading.source, target)
  }

  async run(origin: string | undefined): Promise<DeviceOutcome> {
    const { resume, dryRun } = this.#options
    if (resume !== true || dryRun === true) return await this.#once(origin)
    const { result, notes, recorded } = await withSession(
      () => openDeviceSession(this.#target, this.#platform, this.#options),
      async (session) => {
        const outcome = await this.#once(origin, session)
        session.finished()
        return outcome
      },
    )
    return { ...result, resumed: recorded, notes: [...notes, ...result.notes] }
  }

  async #once(origin: string | undefined, session?: DeviceSession): Promise<DeviceOutcome> {
    const { dryRun = false, eject = false } = this.#options
    const uuid = session === undefined ? undefined : beginDevice(session, this.#reading, this.#options)
    const { blockMap } = this.#reading
    const facts = this.#facts(this.#target)
    const { passed, notes } = guardTarget(facts, this.#options)
    const content = besideTable(
      this.#reading.source,
      await this.#fitted.content(this.#contentOptions(uuid)),
      this.#target,
    )
    const target = describeTarget(this.#target)
    const mapped = this.#mapped(content)
    using sink = this.#sink(content, mapped, session)
    const finish = new TargetFinish(this.#target, content, { platform: this.#platform, eject })
    const steps = [
      ...this.#checksumSteps(),
      ...preparingSteps(this.#target, passed, facts.holders),
      ...sink.steps,
      ...finish.steps,
    ]
    if (!dryRun) {
      if (!this.#confirmed) {
        const known = [...notes, ...content.notes]
        await confirmTarget(this.#confirmation(target, passed, known, origin), this.#options)
      }
      this.#confirmed = true
      await runSteps(steps)
    }
    const { reread, ejected, grown } = finish
    return {
      target,
      guards: passed,
      bytes: this.#bytes(content, mapped),
      blockMap: blockMap === undefined ? undefined : blockMapInfo(blockMap),
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
      notes: [...notes, ...content.notes, ...finish.notes],
      seconds: (milliseconds() - this.#started) / 1000,
    }
  }

  #confirmation(
    target: TargetDescription,
    passed: readonly GuardPass[],
    known: readonly Note[],
    origin: string | undefined,
  ): ConfirmationFacts {
    const { name, isPartition, source, described, notes = [] } = this.#reading
    return {
      source: { kind: isPartition ? 'partition' : 'disk', name, size: source.capacity, device: described },
      target,
      origin,
      overridden: passed.filter(({ overridden }) => overridden).map(({ message }) => message),
      notes: [...notes, ...known],
    }
  }

  #facts(target: DeviceTarget): TargetFacts {
    return targetFacts(this.#reading, this.#fitted, target, this.#platform)
  }

  /** The guards are asked again about the target as it is then: what was put aside must be gone. */
  #judgeAgain(now: FoundDevice): void {
    guardTarget(this.#facts({ ...this.#target, ...now }), { ...this.#options, unmount: false, clearReadOnly: false })
  }

  #sink(content: DeviceContent, mapped: RunMap | undefined, resume: DeviceSession | undefined): DeviceSink {
    const target = this.#target
    const { verify, rate, threads, signal, onProgress } = this.#options
    const { changes = false, arrivesInOrder = false } = this.#reading
    return new DeviceSink({
      name: target.node,
      size: target.size,
      open: () => openTarget(target, (now) => this.#judgeAgain(now)),
      source: content.source,
      end: content.end,
      mapped,
      verify: verify === false ? 'no' : changes || arrivesInOrder ? 'digest' : 'source',
      changes: contentChanges(content),
      cut: content.cut?.length,
      unchanged: this.#reading.unchanged,
      onCleared: (store) => {
        // Old partitions would lead into the middle of what is written.
        if (target.partition === undefined) forgetPartitions(store)
      },
      resume,
      rate,
      threads,
      signal,
      onProgress,
    })
  }

  /** What is written, where a block map says it. */
  #mapped({ changed, end }: DeviceContent): RunMap | undefined {
    const { blockMap } = this.#reading
    const { logicalSectorSize: sectorSize } = this.#target.disk
    return blockMap === undefined ? undefined : writtenRuns(blockMap, changed, { sectorSize, end })
  }

  /** The image is compared with its block map before anything is done to the target. */
  #checksumSteps(): Step<'checksums'>[] {
    const { blockMap, source } = this.#reading
    if (blockMap?.map.algorithm === undefined) return []
    const { ranges, algorithm } = blockMap.map
    return [
      {
        name: 'checksums',
        message: `compare ${ranges.length} ranges of the image with their ${algorithm} checksums in ${blockMap.path}`,
        run: () => checkRanges(blockMap, source, this.#options),
      },
    ]
  }

  /** @param own what new ids are made of, where an earlier run has decided that. */
  #contentOptions(own: string | undefined): FittingOptions {
    const { newIds, uuid = own, grow, signal } = this.#options
    if (newIds === true && this.#target.partition !== undefined)
      throw usage('E_NO_TABLE', 'a partition has no partition table to give new ids to', {
        hint: 'Leave out --new-ids.',
      })
    const identity = newIds === true ? imageIdentity(uuid) : undefined
    return { grow, signal, newId: identity === undefined ? undefined : (name) => identity.derive(name) }
  }

  #bytes({ end }: DeviceContent, mapped: RunMap | undefined): DeviceOutcome['bytes'] {
    const { source } = this.#reading
    if (mapped !== undefined)
      return {
        written: mapped.total,
        stored: storedBytes(new MaskedSource(source, mapped), Math.min(end, source.capacity)),
        left: this.#target.size - mapped.total,
      }
    return {
      written: end,
      stored: storedBytes(source, Math.min(end, source.capacity)),
      left: this.#target.size - end,
    }
  }
}
