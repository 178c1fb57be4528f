import { thisMachine } from '../in-use/machine.js'
import fs from '../../sys/host-fs.js'
import type { BadRun } from '../../block/salvage.js'
import { printable, reference, refused } from '../../errors.js'
import { changingInPlace } from '../change/left-state.js'
import { guardChange } from '../in-use/guard.js'
import { openFile, type OpenOptions } from '../../formats/open.js'
import { findDevice, openDevice, type NamedDevice, type OpenedDevice } from '../device/argument.js'
import { digestsOf } from '../transfer/disk-digests.js'
import { planOf, runSteps, type Step } from '../transfer/step.js'
import { layerInfo } from '../inspect/info.js'
import { listedRanges } from './image.js'
import type { ImageDiskOptions } from './image-options.js'
import type { ImageDiskResult } from './image-result.js'
import { readImageRecord, writeImageRecord, type Consistency, type ImageRecord, type RecordedSource } from './record.js'
import { badBytes, checkSamples, fillGaps, verifyWritten, type WrittenRun } from './bad-ranges.js'
import { guardSameDisk, heatOf, heatText, type GuardAnswer, type Heat } from './guards.js'
import { readSalvageMap, writeSalvageMap } from './salvage-map.js'
import { differencesFrom, recordedSource } from '../device/origin.js'
import { lastPart } from '../../sys/host-path.js'
import { milliseconds } from '../../sys/clock.js'
import { imageRecordPath, salvageMapPath, blocksPath } from './companions.js'

export type ResumeImageOptions = Pick<
  ImageDiskOptions,
  | 'registry'
  | 'allowSameDisk'
  | 'allowInUse'
  | 'allowOtherChildren'
  | 'dryRun'
  | 'verify'
  | 'toolVersion'
  | 'platform'
  | 'signal'
  | 'onProgress'
>

/**
 * Reads the ranges of a disk again that its image could not be given, and puts what can be read by now into the image,
 * in place. The
 * map and the record are brought up to date; a map that is empty is removed.
 * @throws ImageError reference E_NO_RECORD, E_NO_MAP; corrupt E_RECORD, E_MAP; refused E_OTHER_DISK, E_SAME_DISK,
 * E_LOCKED; mismatch E_MISMATCH when verifying; those of openToChange; aborted E_ABORTED.
 */
export async function resumeImage(
  source: string,
  target: string,
  options: ResumeImageOptions = {},
): Promise<ImageDiskResult> {
  const started = milliseconds()
  const platform = options.platform ?? thisMachine()
  const device = findDevice(source, platform)
  const now = recordedSource(device)
  const record = recordOf(target)
  assertSameDisk(source, target, record, now, device.size)
  const { allowInUse, allowOtherChildren } = options
  guardChange(target, 'changed', { allowInUse, allowOtherChildren })
  const heat = heatOf(device, platform)
  const sameDisk = guardSameDisk(device, heat, target, platform, options.allowSameDisk === true)
  const bad = readSalvageMap(salvageMapPath(target), device.size)
  const bytes = badBytes(bad)
  const guards: readonly GuardAnswer[] = [
    sameDisk,
    {
      guard: 'in-use',
      verdict: heat.hot ? 'noted' : 'passed',
      why: heat.hot ? `the source is hot: ${heatText(heat)}` : `nothing writes to ${device.name}`,
    },
  ]
  const dryRun = options.dryRun === true
  using resuming = new Resuming({ device, heat, target, record, bad }, options)
  const { steps } = resuming
  if (!dryRun) await runSteps(steps)
  const unreadable = summary(resuming.left, target)
  return {
    source: now,
    plan: { guards, steps: planOf(steps).map(({ message }) => message), bytes },
    resumed: true,
    notes: guards
      .filter(({ verdict }) => verdict !== 'passed')
      .map(({ guard, why }) => ({ code: guard === 'in-use' ? 'W_HOT' : 'W_SAME_DISK', message: why })),
    parts: record.parts,
    dryRun,
    verified: !dryRun && options.verify === true,
    target: resuming.image,
    consistency: resuming.consistency,
    unreadable,
    digests: resuming.digests,
    record: dryRun ? undefined : imageRecordPath(target),
    bytesRead: dryRun ? 0 : bytes - unreadable.bytes,
    bytesWritten: badBytes(resuming.written),
    seconds: (milliseconds() - started) / 1000,
  }
}

/** @throws ImageError refused E_OTHER_DISK when the disk is not the one that the image was made of. */
function assertSameDisk(source: string, target: string, record: ImageRecord, now: RecordedSource, size: number): void {
  const differences = differencesFrom(record.source, now)
  if (record.digests.disk.length !== size)
    differences.push(`it has ${size} bytes, and the image holds ${record.digests.disk.length}`)
  if (differences.length > 0)
    throw refused(
      'E_OTHER_DISK',
      `${printable(source)} is not the ${record.source.kind} that ${printable(target)} is the image of: ` +
        differences.join('; '),
      {
        hint:
          `The record ${printable(imageRecordPath(target))} says which it was. No flag overrides this: the ` +
          'image would be of two disks.',
      },
    )
}

interface ResumedImage {
  readonly device: NamedDevice
  readonly heat: Heat
  readonly target: string
  readonly record: ImageRecord
  /** What is missing of the image. */
  readonly bad: readonly BadRun[]
}

/** What is done to go on with an image, and what came of it. */
class Resuming implements Disposable {
  /** What still is missing. */
  left: readonly BadRun[]
  written: readonly WrittenRun[] = []
  digests: ImageRecord['digests'] | undefined
  consistency: Consistency
  readonly #job: ResumedImage
  readonly #options: ResumeImageOptions
  readonly #open: OpenOptions
  #source: OpenedDevice | undefined

  constructor(job: ResumedImage, options: ResumeImageOptions) {
    this.#job = job
    this.#options = options
    this.#open = { from: job.record.image.format, registry: options.registry }
    this.left = job.bad
    this.consistency = job.record.consistency
  }

  /** What is done, in order. */
  get steps(): Step<'compare' | 'read' | 'verify' | 'hash' | 'record'>[] {
    const { device, heat, target, record, bad } = this.#job
    const name = printable(target)
    // A disk that changes, or of which only a part was kept, differs from its image anyway.
    const compares = !heat.hot && !record.usedOnly && record.parts === undefined
    return [
      ...(compares
        ? [
            {
              name: 'compare' as const,
              message: `compare ${device.name} with ${name} in places where both can be read`,
              run: () => checkSamples(this.#opened, target, bad, this.#open),
            },
          ]
        : []),
      {
        name: 'read',
        message:
          `read ${bad.length} ranges of ${device.name} again, ${badBytes(bad)} bytes, and put what can be read into ` +
          `${name}, in place`,
        run: () => this.#read(),
      },
      ...(this.#options.verify === true
        ? [
            {
              name: 'verify' as const,
              message: 'read back what was put in',
              run: () => verifyWritten(target, this.written, this.#open),
            },
          ]
        : []),
      { name: 'hash', message: 'read the image for its digests', run: () => this.#hash() },
      { name: 'record', message: 'bring the record and the map up to date', run: () => this.#record() },
    ]
  }

  /** The image as it is now. */
  get image(): ImageDiskResult['target'] {
    const { target, record } = this.#job
    return targetOf(target, record, this.#open)
  }

  [Symbol.dispose](): void {
    this.#source?.[Symbol.dispose]()
    this.#source = undefined
  }

  get #opened(): OpenedDevice {
    const { device, heat } = this.#job
    return (this.#source ??= openDevice(device, !heat.hot && heat.mounts.length === 0))
  }

  async #read(): Promise<void> {
    const { target, bad } = this.#job
    // They are of what the image was: without them an incremental image compares with the image itself.
    fs.removeFileSync(blocksPath(target))
    const { left, written } = await changingInPlace(
      () => 'The image holds what it did, and maybe some of what could be read again: run it again to go on.',
      () => fillGaps(this.#opened, target, bad, this.#open, this.#options),
    )
    this.left = left
    this.written = written
  }

  async #hash(): Promise<void> {
    const { target, record } = this.#job
    this.digests = await digestsAfter(target, record, this.#open, this.#options)
  }

  #record(): void {
    const { device, heat, target, record } = this.#job
    if (this.digests === undefined) throw new TypeError('the image was not read')
    this.consistency = consistencyAfter(record.consistency, heat)
    const map = salvageMapPath(target)
    const tool = { name: 'vdisk', version: this.#options.toolVersion ?? 'unknown' }
    const { bytes } = summary(this.left, target)
    writeImageRecord(target, {
      ...record,
      tool,
      ended: new Date().toISOString(),
      digests: this.digests,
      consistency: this.consistency,
      unreadable: { bytes, ...(this.left.length === 0 ? {} : { map: lastPart(map) }) },
    })
    if (this.left.length === 0) fs.removeFileSync(map)
    else writeSalvageMap(map, device.size, this.left, `${tool.name} ${tool.version}`)
  }
}

function recordOf(target: string): ImageRecord {
  const record = readImageRecord(target)
  if (record === undefined)
    throw reference(
      'E_NO_RECORD',
      `${printable(target)} has no record (${printable(imageRecordPath(target))}): which disk it is the image ` +
        'of is not known',
      { hint: 'Image the disk anew.' },
    )
  return record
}

async function digestsAfter(
  target: string,
  { digests }: ImageRecord,
  open: OpenOptions,
  options: ResumeImageOptions,
): Promise<ImageRecord['digests']> {
  using image = openFile(target, open)
  return await digestsOf(
    image,
    digests.disk.length,
    digests.partitions.map(({ number, start, length }) => ({ number, start, length })),
    { phase: 'hash', signal: options.signal, onProgress: options.onProgress },
  )
}

/** An image that was read at two moments is one of a moment only if nothing wrote between and during them. */
function consistencyAfter(before: Consistency, heat: Heat): Consistency {
  const again = 'what could not be read at first was read again later'
  if (heat.hot) return { state: 'crash-consistent', why: `${again}, while it was in use: ${heatText(heat)}` }
  return { state: before.state === 'cold' ? 'cold' : 'crash-consistent', why: `${before.why}; ${again}` }
}

function targetOf(target: string, record: ImageRecord, open: OpenOptions): ImageDiskResult['target'] {
  using image = openFile(target, open)
  const { size, allocated } = layerInfo(image.top)
  return {
    path: target,
    format: record.image.format,
    capacity: image.capacity,
    sectorSize: image.sectorSize,
    size,
    allocated,
  }
}

function summary(bad: readonly BadRun[], target: string): ImageDiskResult['unreadable'] {
  return {
    count: bad.length,
    bytes: badBytes(bad),
    ranges: bad.slice(0, listedRanges),
    ...(bad.length === 0 ? {} : { map: salvageMapPath(target) }),
  }
}
