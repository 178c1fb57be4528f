import type { BlockSource, Note } from '../../block/types.js'
import type { InUseOptions } from '../in-use/guard.js'
import { thisMachine } from '../in-use/machine.js'
import type { DiskPlatform } from '../../device/types.js'
import type { Container } from '../../codec/container.js'
import { printable, refused, targetError } from '../../errors.js'
import type { DiskShape } from '../../formats/driver.js'
import type { ImageFile } from '../../formats/opened.js'
import { Registry } from '../../formats/registry.js'
import fs from '../../sys/host-fs.js'
import { lastPart } from '../../sys/host-path.js'
import { findDevice, openDevice, type NamedDevice, type OpenedDevice } from '../device/argument.js'
import { recordedSource } from '../device/origin.js'
import { choosePlatform, type PlatformChoice } from '../platform/choice.js'
import { platformResult, type PlatformResult } from '../transfer/for-platform.js'
import { chooseSectorSize, layoutNotes, targetFormat, tryLayout, type TargetFormat } from '../transfer/layout.js'
import { largestSize } from '../transfer/measure.js'
import { resumable } from '../resume/resumable.js'
import type { FileSession } from '../resume/file-session.js'
import { compressedTarget } from '../transfer/sink-compressed.js'
import { runSink, type Making } from '../transfer/sink.js'
import { leavingNothing } from '../transfer/sink-file.js'
import { planOf, runSteps, type Step } from '../transfer/step.js'
import { storedBytes } from '../transfer/stored-bytes.js'
import { checkTarget, type TargetPlace } from '../transfer/target.js'
import {
  guardFreezeTarget,
  guardSameDisk,
  guardSpace,
  guardInUse,
  guardNotes,
  heatOf,
  type GuardAnswer,
  type Heat,
} from './guards.js'
import { changedBlocks, type ChangedBlocks } from './changed-blocks.js'
import { badBytes } from './bad-ranges.js'
import { ImageAddress, isReadOnce, refuseHot } from './image-address.js'
import { ImageRun, type ReadingOptions } from './image-run.js'
import { beginImage, identityOf } from './resume-facts.js'
import { fittedContent, keptContent, type KeptContent } from './kept-content.js'
import type { RecordedSource } from './record.js'
import { openSince, type SinceImage } from './since.js'
import { planSnapshot, type SnapshotChoice } from './snapshot-choice.js'
import { UploadRun } from './upload-run.js'
import { SourceSnapshot } from './source-snapshot.js'
import { VirtualDisk } from './virtual-disk.js'
import type { ImageTarget } from '../transfer/image-target.js'
import { refuseCombinations, type ImageDiskOptions } from './image-options.js'
import type { ImageDiskResult } from './image-result.js'
import { digestedParts } from './parts.js'
import { milliseconds } from '../../sys/clock.js'
import { imageRecordPath, salvageMapPath, blocksPath } from './companions.js'

/** Bad ranges listed in a result; the map file has all. */
export const listedRanges = 100

/**
 * Images a disk or partition, or the disk of a virtual machine: reads it (a disk past the page cache) into a new image,
 * around what cannot be read, and writes a record beside it that says which disk it was, in what state, and what its
 * content is. The disk is only read. With `since`, only what has changed since that image was made, as a child of it.
 * @throws ImageError refused E_SAME_DISK, E_FREEZE_TARGET, E_FREEZE_OUTPUT, E_FS_DIRTY, E_HOT_SOURCE, E_OTHER_DISK,
 * E_SIZE_CHANGED, E_BITMAP_STALE, E_BITMAP_UNPROVEN, E_BITMAP_INCOMPLETE; reference E_NO_RECORD; usage E_NOT_A_DEVICE,
 * E_NO_PARTITION, E_NO_BITMAP; unsupported E_FREEZE; target E_EXISTS, E_NO_SPACE; corrupt E_SOURCE_CHANGED; mismatch
 * E_MISMATCH; aborted E_ABORTED.
 */
export async function imageDisk(
  source: string,
  target: string,
  options: ImageDiskOptions = {},
): Promise<ImageDiskResult> {
  const { since, changed, resume, registry = new Registry(), signal, onProgress } = options
  using address = ImageAddress.of(target, registry, { source, since, changed, resume })
  using virtual = await VirtualDisk.open(source, { registry, signal, onProgress })
  const once = async (session?: FileSession): Promise<ImageDiskResult> => {
    const job = new Imaging(source, target, { ...options, registry }, { session, address, virtual })
    return options.snapshot === undefined ? await job.runOn(job.device) : await job.runOnSnapshot(options.snapshot)
  }
  if (options.resume !== true || options.dryRun === true) return await once()
  const { result, notes, recorded } = await resumable(
    target,
    { durable: options.flush !== false, takesBack: true },
    once,
  )
  return { ...result, continued: recorded, notes: [...notes, ...result.notes] }
}

/** What is known when all was looked at, before anything is copied. */
interface RunFacts {
  readonly device: OpenedDevice
  readonly disk: BlockSource
  readonly bytes: number
  /** Undefined where the image is sent to another computer. */
  readonly place: TargetPlace | undefined
  readonly shape: DiskShape
  readonly source: RecordedSource
  /** Whether what is sent is read once. */
  readonly once: boolean
}

/** What an image is made with, beside what was asked for. */
interface ImagingParts {
  readonly session: FileSession | undefined
  /** Where the image is sent to; undefined where it is a file of this computer. */
  readonly address: ImageAddress | undefined
  /** The source, where that is the disk of a virtual machine. */
  readonly virtual: VirtualDisk | undefined
}

class Imaging {
  readonly device: NamedDevice
  readonly heat: Heat
  readonly #target: string
  readonly #options: ImageDiskOptions & { readonly registry: Registry }
  readonly #session: ImagingParts['session']
  readonly #address: ImagingParts['address']
  readonly #virtual: ImagingParts['virtual']
  readonly #format: TargetFormat
  readonly #container: Container | undefined
  readonly #choice: PlatformChoice | undefined
  readonly #platform: DiskPlatform
  readonly #started = milliseconds()
  readonly #startTime = new Date()
  readonly #sameDisk: GuardAnswer
  #since: SinceImage | undefined
  #snapshot: SourceSnapshot | undefined
  #snapshotNotes: readonly Note[] = []

  constructor(
    source: string,
    target: string,
    options: ImageDiskOptions & { readonly registry: Registry },
    { session, address, virtual }: ImagingParts,
  ) {
    this.#options = options
    this.#session = session
    this.#address = address
    this.#virtual = virtual
    this.#target = target
    this.#platform = options.platform ?? thisMachine()
    const { registry } = options
    this.#choice =
      options.for === undefined
        ? undefined
        : choosePlatform(registry, options.for, { ...options, path: address?.name ?? target, packs: false })
    const { to = options.to, options: chosen = options.options ?? {} } = this.#choice ?? {}
    const compressed = address === undefined ? compressedTarget(target) : undefined
    this.#container = compressed?.container
    refuseCombinations(options, { source, isVirtual: virtual !== undefined, isCompressed: compressed !== undefined })
    this.#format =
      address?.format(registry, to, chosen) ?? targetFormat(registry, compressed?.inner ?? target, to, chosen)
    const { device, heat } = virtual ?? deviceOf(source, this.#platform)
    this.device = device
    this.heat = heat
    this.#sameDisk = this.#guardSameDisk()
    if (options.freeze === true && address === undefined) this.#guardFreeze()
  }

  /** Reads the source, or its snapshot. */
  async runOn(read: NamedDevice): Promise<ImageDiskResult> {
    const exclusive = !this.heat.hot && this.heat.mounts.length === 0
    using device = this.#virtual?.reading ?? openDevice(read, exclusive && read === this.device)
    return await this.#run(device)
  }

  /** The same, where a snapshot is wanted. */
  async runOnSnapshot(choice: SnapshotChoice): Promise<ImageDiskResult> {
    const { dryRun = false, signal } = this.#options
    const { plan, notes } = await planSnapshot(choice, this.device, this.heat)
    this.#snapshotNotes = notes
    if (plan === undefined) return await this.runOn(this.device)
    this.#snapshot = new SourceSnapshot(plan, this.device, this.heat)
    if (dryRun) return await this.runOn(this.device)
    return await this.#snapshot.reading(this.#platform, (read) => this.runOn(read), signal)
  }

  async #run(device: OpenedDevice): Promise<ImageDiskResult> {
    const { parts, dryRun = false } = this.#options
    using since = this.#openSince(device.source)
    this.#since = since
    const place = await this.#place()
    const sectorSize = chooseSectorSize(this.#format.driver, device.source.sectorSize, this.#options.sectorSize)
    const identity = identityOf(this.#options, this.#session)
    const shapeOf = (capacity: number): DiskShape => ({
      capacity,
      sectorSize,
      identity,
      parent: since?.shape,
    })
    const kept = this.#fitted(
      await keptContent(this.device, device.source, this.#keeping),
      sectorSize,
      (capacity) => tryLayout(this.#format, shapeOf(capacity)).capacity,
    )
    const shape = shapeOf(kept.disk.capacity)
    const once = this.#address?.container !== undefined || isReadOnce(this.#format, shape)
    const guards = await this.#guards(kept.disk, shape, once)
    const changed = this.#changedBlocks(kept.disk, guards)
    const { disk, bytes } = changed ?? { disk: kept.disk, bytes: storedBytes(kept.disk) }
    const source = recordedSource(this.device)
    this.#begin(shape, source)
    using run = this.#prepared({ device, disk, bytes, place, shape, source, once })
    const { steps } = run
    if (!dryRun) await this.#carryOut(place, run)
    const made = dryRun ? undefined : run.made
    const { bad = [], map } = made ?? {}
    const target = this.#described(shape, made)
    return {
      source,
      target,
      plan: { guards, steps: this.#planned(steps), bytes },
      dryRun,
      parts,
      parent: this.#parent,
      volumes: kept.volumes,
      consistency: run.consistency,
      snapshot: this.#snapshot?.result,
      digests: made?.digests,
      record: made?.record,
      unreadable: { count: bad.length, bytes: badBytes(bad), ranges: bad.slice(0, listedRanges), map },
      bytesRead: made?.bytesRead ?? 0,
      bytesWritten: made?.bytesWritten ?? 0,
      verified: !dryRun && this.#options.verify === true,
      platform: this.#made(target, kept),
      notes: [...this.#notes(guards, kept, shape, target), ...(dryRun ? [] : run.notes)],
      seconds: (milliseconds() - this.#started) / 1000,
    }
  }

  /** All that is done, for people. */
  #planned(steps: readonly Step[]): string[] {
    const { making = [], removing = [] } = this.#snapshot ?? {}
    return planOf([...making, ...steps, ...removing]).map(({ message }) => message)
  }

  /** What a later run needs to know to go on, where that was asked for. */
  #begin(shape: DiskShape, source: RecordedSource): void {
    if (this.#session === undefined) return
    const plan = { device: this.device, heat: this.heat, format: this.#format, shape, source }
    beginImage(this.#session, plan, this.#options)
  }

  /** @param made undefined in a dry run. */
  #described(shape: DiskShape, made: Partial<ImageTarget> | undefined): ImageTarget {
    return {
      path: this.#target,
      format: this.#format.driver.id,
      sectorSize: shape.sectorSize,
      capacity: made?.capacity ?? tryLayout(this.#format, shape).capacity,
      size: made?.size,
      allocated: made?.allocated,
    }
  }

  /** What can be gone on with says so by itself, when it is interrupted. */
  async #carryOut(place: TargetPlace | undefined, run: Making): Promise<void> {
    if (place === undefined) await runSink(run)
    else if (this.#session !== undefined) await runSteps(run.steps)
    else await leavingNothing(place, () => runSteps(run.steps))
  }

  /** Where the image is to stand; undefined where it is sent to another computer. */
  async #place(): Promise<TargetPlace | undefined> {
    const { force = false } = this.#options
    if (this.#address !== undefined) {
      await this.#address.check(force)
      return undefined
    }
    const place = checkTarget(this.#target, force, this.#files, this.#overrides)
    this.#checkCompanions()
    return place
  }

  /** What overrides the guards of a file that is replaced. */
  get #overrides(): InUseOptions {
    const { allowInUse, allowOtherChildren, registry } = this.#options
    return { allowInUse, allowOtherChildren, registry }
  }

  /** What the image was made for. */
  #made(target: ImageTarget, kept: KeptContent): PlatformResult | undefined {
    if (this.#choice === undefined) return undefined
    const { capacity, size, format } = target
    return platformResult(this.#choice, this.#address === undefined ? this.#target : undefined, format, {
      capacity,
      sectorSize: target.sectorSize,
      size,
      next: this.#address?.target.next?.(this.#choice.platform.id),
      table: kept.mends ?? [],
    })
  }

  #notes(guards: readonly GuardAnswer[], kept: KeptContent, shape: DiskShape, target: ImageTarget): Note[] {
    return [
      ...(this.#choice?.notes ?? []),
      ...this.#snapshotNotes,
      ...(this.#virtual?.notes ?? []),
      ...guardNotes(guards),
      ...kept.notes,
      ...(this.#since?.notes ?? []),
      ...this.#format.notes,
      ...layoutNotes({
        format: this.#format,
        shape,
        capacity: target.capacity,
        sourceSectorSize: this.device.disk.logicalSectorSize,
      }),
    ]
  }

  #fitted(kept: KeptContent, sectorSize: 512 | 4096, given: (capacity: number) => number): KeptContent {
    if (this.#choice === undefined) return kept
    const { platform } = this.#choice
    return fittedContent(kept, { platform, name: this.device.name, sectorSize, given })
  }

  /** @param once whether what is sent to an address is read once. */
  async #guards(disk: BlockSource, shape: DiskShape, once: boolean): Promise<GuardAnswer[]> {
    const inUse = this.#virtual?.inUse ?? guardInUse(this.device, this.heat, this.#freezes, this.#snapshot?.consistency)
    if (this.#address !== undefined) {
      if (!once && this.#snapshot === undefined)
        refuseHot(this.device.name, this.heat, this.#freezes, this.#format.driver.id)
      return [this.#sameDisk, inUse]
    }
    const { most, whole } = await largestSize(this.#format, shape, disk, this.#options.signal)
    const identity = this.#since === undefined ? [] : [this.#since.identity]
    return [this.#sameDisk, inUse, ...identity, guardSpace(this.#target, most, whole, this.#options.leastFree)]
  }

  /** The image that this one is to be a child of. */
  #openSince(source: BlockSource): SinceImage | undefined {
    const { since, registry, allowOtherDisk = false } = this.#options
    if (since === undefined) return undefined
    return openSince(
      since,
      { name: this.device.name, source, recorded: recordedSource(this.device) },
      { path: this.#target, driver: this.#format.driver },
      { registry, allowOtherDisk },
    )
  }

  /** The files of this computer that are read, which the image never replaces. */
  get #files(): readonly ImageFile[] {
    return [...(this.#virtual?.files ?? []), ...(this.#since?.files ?? [])]
  }

  /** What a bitmap says has changed, where that is to be read alone. */
  #changedBlocks(disk: BlockSource, guards: GuardAnswer[]): ChangedBlocks | undefined {
    const [since, virtual] = [this.#since, this.#virtual]
    const { changed: bitmap, allowUnprovenBitmap: allowUnproven = false } = this.#options
    if (bitmap === undefined || since === undefined || virtual === undefined) return undefined
    const [listed, partitions] = [virtual.changes(bitmap), digestedParts(this.device, disk.capacity)]
    const changed = changedBlocks({ bitmap, disk, listed, partitions, since, allowUnproven })
    guards.push(changed.guard)
    return changed
  }

  /** For the record: what the image is a child of, and how they were compared. */
  get #parent(): ImageDiskResult['parent'] {
    const recorded = this.#since?.recorded
    return recorded === undefined || this.#options.changed === undefined
      ? recorded
      : { ...recorded, compared: 'bitmap' }
  }

  #reading({ device, disk, bytes, source }: RunFacts): ReadingOptions {
    const { threads, sparse, rate, signal, onProgress, parts } = this.#options
    const { capacity } = disk
    return {
      reading:
        this.#virtual?.title ??
        `${this.device.kind} ${printable(this.device.name)} of ${this.device.disk.path}, past the page cache`,
      heat: this.heat,
      exclusive: device.exclusive,
      disk,
      bytes,
      capacity,
      parts: digestedParts(this.device, capacity),
      freezes: this.#freezes,
      moment: this.#virtual ?? this.#snapshot,
      verify: this.#options.verify === true,
      stillThere: () => this.#stillThere(),
      record: {
        tool: { name: 'vdisk', version: this.#options.toolVersion ?? 'unknown' },
        started: this.#startTime.toISOString(),
        source,
        image: {
          name: this.#address?.name ?? lastPart(this.#target),
          format: this.#format.driver.id,
          subformat: this.#subformat,
        },
        usedOnly: this.#options.usedOnly !== undefined,
        parts,
        bitmaps: this.#virtual?.bitmaps,
        parent: this.#parent,
      },
      threads,
      sparse,
      rate,
      signal,
      onProgress,
    }
  }

  #prepared(facts: RunFacts): ImageRun | UploadRun {
    const { place, shape, once } = facts
    const { registry, flush } = this.#options
    const reading = this.#reading(facts)
    const address = this.#address
    if (place === undefined) {
      if (address === undefined) throw new TypeError('the image goes nowhere')
      return new UploadRun({ ...reading, address, format: this.#format, shape, once, registry })
    }
    const { mode } = fs.statSync(this.device.device?.path ?? this.device.disk.path, { throwIfNoEntry: false }) ?? {}
    return new ImageRun({
      ...reading,
      since: this.#since,
      byBitmap: this.#options.changed !== undefined,
      target: this.#target,
      sink: {
        format: this.#format,
        place,
        shape,
        force: this.#options.force === true,
        guards: this.#overrides,
        sources: this.#files,
        modes: [mode === undefined ? 0o600 : mode % 0o1000],
        flush,
        container: this.#container,
        resume: this.#session,
      },
    })
  }

  /** What is in use now says of a dry run about how much it is: the snapshot, which is not made, would be in order. */
  get #keeping(): ImageDiskOptions {
    const { usedOnly, dryRun } = this.#options
    if (usedOnly === undefined || dryRun !== true || this.#snapshot === undefined) return this.#options
    return { ...this.#options, usedOnly: { ...usedOnly, ifDirty: usedOnly.ifDirty ?? 'trust' } }
  }

  get #freezes(): boolean {
    return this.#options.freeze === true && this.heat.written.length > 0
  }

  /** Whether the image would lie on what is imaged. */
  #guardSameDisk(): GuardAnswer {
    const { allowSameDisk = false } = this.#options
    return (
      this.#address?.sameDisk ??
      this.#virtual?.sameDisk(this.#target, this.#platform) ??
      guardSameDisk(this.device, this.heat, this.#target, this.#platform, allowSameDisk)
    )
  }

  #guardFreeze(): void {
    if (!this.#freezes) return
    if (this.#sameDisk.verdict !== 'passed')
      throw refused(
        'E_FREEZE_TARGET',
        `the filesystems of ${printable(this.device.name)} are not frozen: ${this.#sameDisk.why}`,
        { hint: 'Choose a place on another disk, or leave out --freeze.' },
      )
    guardFreezeTarget(this.heat, this.#target)
  }

  /** Files beside the image that would be replaced. */
  #checkCompanions(): void {
    if (this.#options.force === true || this.#session?.remakes === true) return
    for (const path of [imageRecordPath, salvageMapPath, blocksPath].map((of) => of(this.#target))) {
      if (fs.existsSync(path))
        throw targetError('E_EXISTS', `${printable(path)} exists already, and belongs to an image of that name`, {
          hint: 'Use --force to replace it, or --resume to go on with the image.',
        })
    }
  }

  #stillThere(): boolean {
    // What an image or a server does not give is no bad sector.
    if (this.#virtual !== undefined || this.#snapshot?.isWholeNow() === false) return false
    const { disk } = this.device
    const now = this.#platform.list().find(({ name }) => name === disk.name)
    return now !== undefined && now.size === disk.size && now.sequence === disk.sequence
  }

  get #subformat(): string {
    const { driver, options } = this.#format
    const chosen = options['subformat']
    return typeof chosen === 'string' ? chosen : (driver.subformats[0]?.id ?? driver.id)
  }
}

/** A disk or partition of this computer, and what uses it. */
function deviceOf(source: string, platform: DiskPlatform): Pick<VirtualDisk, 'device' | 'heat'> {
  const device = findDevice(source, platform)
  return { device, heat: heatOf(device, platform) }
}
