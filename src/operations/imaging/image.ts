import fs from '../../sys/host-fs.js'
import { SalvagingSource } from '../../block/salvage.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, Note } from '../../block/types.js'
import { FrozenFilesystems } from '../../device/freeze.js'
import { diskPlatform } from '../../device/index.js'
import type { DiskPlatform } from '../../device/types.js'
import { copy, hashSource, type CopyResult, type Progress, type RangeSummary } from '../../engine/index.js'
import { ImageError, printable, refused, targetError, usage } from '../../errors.js'
import type { DiskShape, ImageWriter, OptionValues } from '../../formats/driver.js'
import type { OpenedImage } from '../../formats/open.js'
import { Registry } from '../../formats/registry.js'
import { readPartitionTable } from '../../partition/index.js'
import { build, targetFormat, tryLayout, type TargetFormat } from '../transfer/build.js'
import { findDevice, openDevice, recordedSource, type NamedDevice, type OpenedDevice } from '../device/argument.js'
import { DiskDigests, type DigestPart } from './disk-digests.js'
import { imageIdentity } from '../transfer/identity.js'
import { imageRecordPath, writeImageRecord, type Consistency, type ImageRecord } from './record.js'
import {
  consistencyOf,
  guardFreezeTarget,
  guardSameDisk,
  guardSpace,
  heatOf,
  heatText,
  type GuardAnswer,
  type Heat,
} from './guards.js'
import { largestSize } from '../transfer/measure.js'
import { keepParts } from './parts.js'
import { salvageMapPath, writeSalvageMap } from './salvage-map.js'
import { checkTarget } from '../transfer/target.js'
import { usedOnly, type UsedOnlyOptions, type VolumeUse } from '../transfer/used-only.js'
import { lastPart } from '../../sys/host-path.js'

export interface ImageDiskOptions {
  readonly registry?: Registry
  /** Format of the image; by its extension when left out. */
  readonly to?: string
  readonly options?: OptionValues
  readonly sectorSize?: 512 | 4096
  /** Leaves out what the filesystems of the disk do not use. */
  readonly usedOnly?: Omit<UsedOnlyOptions, 'signal' | 'parts'>
  /** The partitions to keep, by number; the others read as zero. */
  readonly parts?: readonly number[]
  /** Holds the mounted filesystems of the source still while it is read. */
  readonly freeze?: boolean
  /** Lets the image lie on the disk that it is made of. */
  readonly allowSameDisk?: boolean
  /** Reads the image back and compares its digest with what was read from the disk. */
  readonly verify?: boolean
  readonly force?: boolean
  readonly flush?: boolean
  /** Checks everything, and writes nothing. */
  readonly dryRun?: boolean
  readonly threads?: number
  readonly sparse?: number
  readonly uuid?: string
  readonly time?: number
  /** Version of the program, for the record. */
  readonly toolVersion?: string
  readonly platform?: DiskPlatform
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** What is going to happen, or has happened. */
export interface ImagingPlan {
  readonly guards: readonly GuardAnswer[]
  /** In order, a sentence each. */
  readonly steps: readonly string[]
  /** Bytes of the disk that are read. */
  readonly bytes: number
}

export interface ImageDiskResult {
  readonly source: ImageRecord['source']
  readonly target: {
    readonly path: string
    readonly format: string
    readonly capacity: number
    readonly sectorSize: number
    readonly size?: number
    readonly allocated?: number
  }
  readonly plan: ImagingPlan
  /** Of a dry run, what it would be. */
  readonly consistency: Consistency
  /** What could not be read, zero in the image. `map` is the map file. */
  readonly unreadable: RangeSummary & { readonly map?: string }
  readonly digests?: ImageRecord['digests']
  /** The record's path. */
  readonly record?: string
  readonly parts?: readonly number[]
  readonly volumes?: readonly VolumeUse[]
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly verified: boolean
  readonly dryRun: boolean
  /** Set when an image was gone on with. */
  readonly resumed?: boolean
  readonly notes: readonly Note[]
  readonly seconds: number
}

/** Bad ranges listed in a result; the map file has all. */
export const listedRanges = 100

/**
 * Images a disk or partition: reads it past the page cache into a new image, around what cannot be read, and writes a
 * record beside it
 * that says which disk it was, in what state, and what its content is. The disk is only read.
 * @throws ImageError refused E_SAME_DISK, E_FREEZE_TARGET, E_FREEZE_OUTPUT, E_FS_DIRTY; usage E_NOT_A_DEVICE,
 * E_NO_PARTITION; unsupported
 * E_FREEZE; target E_EXISTS, E_NO_SPACE; mismatch E_MISMATCH; aborted E_ABORTED.
 */
export async function imageDisk(
  source: string,
  target: string,
  options: ImageDiskOptions = {},
): Promise<ImageDiskResult> {
  const job = new Imaging(source, target, options)
  using device = openDevice(job.device, !job.heat.hot && job.heat.mounts.length === 0)
  return await job.run(device)
}

class Imaging {
  readonly device: NamedDevice
  readonly heat: Heat
  readonly #target: string
  readonly #options: ImageDiskOptions
  readonly #format: TargetFormat
  readonly #platform: DiskPlatform
  readonly #started = performance.now()
  readonly #startTime = new Date()
  readonly #sameDisk: GuardAnswer
  #mapWritten = false

  constructor(source: string, target: string, options: ImageDiskOptions) {
    this.#options = options
    this.#target = target
    this.#platform = options.platform ?? diskPlatform()
    this.#format = targetFormat(options.registry ?? new Registry(), target, options.to, options.options ?? {})
    this.device = findDevice(source, this.#platform)
    this.heat = heatOf(this.device, this.#platform)
    this.#sameDisk = guardSameDisk(this.device, this.heat, target, this.#platform, options.allowSameDisk === true)
    if (options.freeze === true) this.#guardFreeze()
  }

  async run(device: OpenedDevice): Promise<ImageDiskResult> {
    const { signal, dryRun = false } = this.#options
    const place = checkTarget(this.#target, this.#options.force === true, [])
    this.#checkCompanions()
    const kept = await this.#content(device.source)
    const shape: DiskShape = {
      capacity: device.source.capacity,
      sectorSize: this.#sectorSize(device.source),
      identity: imageIdentity(this.#options.uuid, this.#options.time),
    }
    const { most, whole } = await largestSize(this.#format, shape, kept.disk, signal)
    const bytes = storedBytes(kept.disk)
    const guards = [this.#sameDisk, this.#inUse(), guardSpace(this.#target, most, whole)]
    const plan: ImagingPlan = { guards, steps: this.#steps(device, bytes), bytes }
    const notes = [
      ...guards
        .filter(({ verdict }) => verdict !== 'passed')
        .map(({ guard, why }) => ({ code: guardNotes[guard], message: why })),
      ...kept.notes,
    ]
    const common = {
      source: recordedSource(this.device),
      plan,
      dryRun,
      parts: this.#options.parts,
      volumes: kept.volumes,
    }
    if (dryRun) {
      const { capacity } = tryLayout(this.#format, shape)
      return {
        ...common,
        target: this.#targetInfo({ capacity }, shape),
        consistency: this.#expected(device),
        unreadable: { count: 0, bytes: 0, ranges: [] },
        bytesRead: 0,
        bytesWritten: 0,
        verified: false,
        notes: [...notes, ...this.#layoutNotes(shape, capacity)],
        seconds: this.#seconds,
      }
    }
    const salvage = new SalvagingSource(kept.disk, () => this.#stillThere())
    const digests = new DiskDigests(device.source.capacity, this.#digestParts(device.source.capacity))
    let consistency = this.#expected(device)
    let recorded: ImageRecord['digests'] | undefined
    const built = await this.#withoutMapOnFailure(
      build({
        format: this.#format,
        place,
        force: this.#options.force === true,
        sources: [],
        shape,
        fill: async (writer) => {
          const moved = await this.#fill(writer, kept.disk, salvage, digests)
          consistency = consistencyOf(this.heat, device.exclusive, moved.frozen)
          return moved
        },
        readBack: async (image) => {
          recorded = await digests.result(image, signal)
          if (this.#options.verify === true) await this.#verify(image(), recorded)
          this.#writeMap(salvage)
        },
        flush: this.#options.flush,
        signal,
        onProgress: this.#options.onProgress,
      }),
    )
    if (recorded === undefined) throw new TypeError('an image was finished without being looked at')
    const { bad } = salvage
    const unreadable = bad.reduce((sum, { length }) => sum + length, 0)
    const map = bad.length === 0 ? undefined : salvageMapPath(this.#target)
    const record: ImageRecord = {
      tool: { name: 'vdisk', version: this.#options.toolVersion ?? 'unknown' },
      started: this.#startTime.toISOString(),
      ended: new Date().toISOString(),
      source: common.source,
      consistency,
      image: {
        name: lastPart(this.#target),
        format: this.#format.driver.id,
        subformat: this.#subformat,
        capacity: built.capacity,
      },
      digests: recorded,
      usedOnly: this.#options.usedOnly !== undefined,
      parts: this.#options.parts,
      unreadable: { bytes: unreadable, map: map === undefined ? undefined : lastPart(map) },
    }
    return {
      ...common,
      target: this.#targetInfo(built, shape),
      consistency,
      digests: recorded,
      record: writeImageRecord(this.#target, record),
      unreadable: { count: bad.length, bytes: unreadable, ranges: bad.slice(0, listedRanges), map },
      bytesRead: built.bytesRead,
      bytesWritten: built.bytesWritten,
      verified: this.#options.verify === true,
      notes: [...notes, ...this.#layoutNotes(shape, built.capacity)],
      seconds: this.#seconds,
    }
  }

  /** What of the source is to be read. */
  async #content(
    source: BlockSource,
  ): Promise<{ readonly disk: BlockSource; readonly notes: readonly Note[]; readonly volumes?: readonly VolumeUse[] }> {
    const { parts, usedOnly: wanted, signal } = this.#options
    const used = wanted === undefined ? undefined : await usedOnly(source, { ...wanted, parts, signal })
    if (parts === undefined) return { disk: used?.source ?? source, notes: used?.notes ?? [], volumes: used?.volumes }
    if (this.device.kind === 'partition')
      throw usage(
        'E_NOT_A_DISK',
        `${printable(this.device.name)} is a partition: --parts chooses among those of a disk`,
      )
    const kept = keepParts(used?.source ?? source, readPartitionTable(source), parts, this.device.name)
    return { disk: kept.source, notes: [...(used?.notes ?? []), ...kept.notes], volumes: used?.volumes }
  }

  async #fill(
    writer: ImageWriter,
    disk: BlockSource,
    salvage: SalvagingSource,
    digests: DiskDigests,
  ): Promise<CopyResult & { readonly frozen?: FrozenFilesystems }> {
    const { threads, sparse, signal, onProgress } = this.#options
    using frozen = this.#freezes ? FrozenFilesystems.freeze(this.heat.mounts) : undefined
    const moved = await copy({
      source: disk,
      target: writer,
      salvage,
      digests,
      threads,
      sparse,
      signal,
      onProgress,
    })
    return { ...moved, frozen }
  }

  get #freezes(): boolean {
    return this.#options.freeze === true && this.heat.written.length > 0
  }

  #guardFreeze(): void {
    if (!this.#freezes) return
    if (this.#sameDisk.verdict !== 'passed')
      throw refused(
        'E_FREEZE_TARGET',
        `the filesystems of ${printable(this.device.name)} are not held still: ${this.#sameDisk.why}`,
        { hint: 'Choose a place on another disk, or leave out --freeze.' },
      )
    guardFreezeTarget(this.heat, this.#target)
  }

  #inUse(): GuardAnswer {
    const { heat } = this
    if (!heat.hot) return { guard: 'in-use', verdict: 'passed', why: `nothing writes to ${this.device.name}` }
    const why = `the source is hot, it changes while it is read: ${heatText(heat)}`
    return {
      guard: 'in-use',
      verdict: 'told',
      why: this.#freezes
        ? `${why}; its filesystems are held still meanwhile`
        : `${why}. The image is crash-consistent: what a power cut would have left, at best`,
    }
  }

  /** What the image will be worth, as far as it is known beforehand. */
  #expected(device: OpenedDevice): Consistency {
    return consistencyOf(
      this.heat,
      device.exclusive,
      this.#freezes ? { frozen: this.heat.written.map(({ point }) => point), refused: [] } : undefined,
    )
  }

  #steps(device: OpenedDevice, bytes: number): string[] {
    const {
      device: { name, kind, disk },
      heat,
    } = this
    const target = printable(this.#target)
    return [
      `read ${kind} ${printable(name)} of ` +
        `${disk.path}${device.exclusive ? ', which nobody can mount meanwhile' : ''}; nothing is written to it`,
      ...(this.#freezes ? [`hold still: ${[...new Set(heat.written.map(({ point }) => point))].join(', ')}`] : []),
      `copy ${bytes} bytes, past the page cache, into a new image ${target} (${this.#format.driver.id}, ` +
        `${this.#subformat})`,
      ...(this.#freezes ? ['let the filesystems go'] : []),
      ...(this.#options.verify === true ? ['read the image back and compare its digest with what was read'] : []),
      `write the record ${imageRecordPath(target)}`,
    ]
  }

  /** Files beside the image that would be replaced. */
  #checkCompanions(): void {
    if (this.#options.force === true) return
    for (const path of [imageRecordPath(this.#target), salvageMapPath(this.#target)]) {
      if (fs.existsSync(path))
        throw targetError('E_EXISTS', `${printable(path)} exists already, and belongs to an image of that name`, {
          hint: 'Use --force to replace it, or --resume to go on with the image.',
        })
    }
  }

  /**
   * The files of an image that is replaced go when the new one is complete; a map comes before the image, so that no
   * image is taken for whole.
   */
  #writeMap(salvage: SalvagingSource): void {
    fs.removeFileSync(imageRecordPath(this.#target))
    const path = salvageMapPath(this.#target)
    if (salvage.bad.length === 0) fs.removeFileSync(path)
    else {
      writeSalvageMap(path, salvage.capacity, salvage.bad, this.#tool)
      this.#mapWritten = true
    }
  }

  /** An image that did not get its name leaves no map either. */
  async #withoutMapOnFailure<Result>(building: Promise<Result>): Promise<Result> {
    try {
      return await building
    } catch (error) {
      if (this.#mapWritten) fs.removeFileSync(salvageMapPath(this.#target))
      throw error
    }
  }

  async #verify(image: OpenedImage, { disk }: ImageRecord['digests']): Promise<void> {
    const { signal, onProgress } = this.#options
    const found = await hashSource(new SliceSource(image, disk.start, disk.length), {
      algorithm: 'tree',

      signal,
      onProgress:
        onProgress === undefined
          ? undefined
          : (progress: Progress): void => onProgress({ ...progress, phase: 'verify' }),
    })
    if (Buffer.from(found).toString('hex') === disk.digest) return
    throw new ImageError(
      'mismatch',
      'E_MISMATCH',
      'the image that was written, read back, is not what was read from the disk',
      { hint: 'The new image was removed. Check the memory of the computer and the disk that the image went to.' },
    )
  }

  /** The partitions whose digests are recorded: those of the table, where a disk is imaged. */
  #digestParts(capacity: number): DigestPart[] {
    if (this.device.kind === 'partition') return []
    return (this.device.table?.partitions ?? [])
      .filter(({ role, start, length }) => role !== 'extended' && start + length <= capacity)
      .map(({ number, start, length }) => ({ number, start, length }))
  }

  #stillThere(): boolean {
    const { disk } = this.device
    const now = this.#platform.list().find(({ name }) => name === disk.name)
    return now !== undefined && now.size === disk.size && now.sequence === disk.sequence
  }

  #sectorSize({ sectorSize: own }: BlockSource): 512 | 4096 {
    const { driver } = this.#format
    const wanted = this.#options.sectorSize
    if (wanted !== undefined && !driver.features.sectorSizes.includes(wanted))
      throw usage('E_SECTOR_SIZE', `the format ${driver.id} cannot have sectors of ${wanted} bytes`, {
        hint: `It has ${driver.features.sectorSizes.join(', ')}.`,
      })
    return wanted ?? (driver.features.sectorSizes.includes(own) ? own : (driver.features.sectorSizes[0] ?? 512))
  }

  #targetInfo(
    built: { readonly capacity: number; readonly size?: number; readonly allocated?: number },
    { sectorSize }: DiskShape,
  ): ImageDiskResult['target'] {
    return {
      path: this.#target,
      format: this.#format.driver.id,
      sectorSize,
      capacity: built.capacity,
      size: built.size,
      allocated: built.allocated,
    }
  }

  #layoutNotes({ capacity, sectorSize }: DiskShape, made: number): Note[] {
    const own = this.device.disk.logicalSectorSize
    const { driver } = this.#format
    return [
      ...(sectorSize === own
        ? []
        : [
            {
              code: 'W_SECTOR_SIZE',
              message:
                `the disk has sectors of ${own} bytes, the image of ${sectorSize}: a partition table ` +
                'written for one is not understood with the other',
            },
          ]),
      ...(sectorSize === 4096 && driver.id === 'raw'
        ? [{ code: 'W_SECTOR_SIZE', message: 'the disk has sectors of 4096 bytes, which a raw image does not record' }]
        : []),
      ...(made === capacity
        ? []
        : [
            {
              code: 'W_ROUNDED_UP',
              message:
                `the disk of ${capacity} bytes was rounded up to ${made}, with zeros: ${driver.title} ` +
                'cannot hold that size exactly',
            },
          ]),
    ]
  }

  get #subformat(): string {
    const { driver, options } = this.#format
    const chosen = options['subformat']
    return typeof chosen === 'string' ? chosen : (driver.subformats[0]?.id ?? driver.id)
  }

  get #tool(): string {
    return `vdisk ${this.#options.toolVersion ?? ''}`.trim()
  }

  get #seconds(): number {
    return (performance.now() - this.#started) / 1000
  }
}

const guardNotes: Readonly<Record<GuardAnswer['guard'], string>> = {
  'same-disk': 'W_SAME_DISK',
  'in-use': 'W_HOT',
  space: 'W_SPACE',
}

/** Bytes of a disk that are read, without reading any. */
function storedBytes(disk: BlockSource): number {
  let bytes = 0
  for (let offset = 0; offset < disk.capacity;) {
    const { kind, length } = disk.extentAt(offset, disk.capacity - offset)
    if (kind === 'data' || kind === 'packed') bytes += length
    offset += length
  }
  return bytes
}
