import { thisMachine } from '../in-use/machine.js'
import { createHash } from 'node:crypto'
import fs from '../../sys/host-fs.js'
import { roundDown } from '../../binary/integers.js'
import { SalvagingSource, type BadRun } from '../../block/salvage.js'
import { corrupt, ImageError, printable, reference, refused } from '../../errors.js'
import { changingInPlace } from '../change/left-state.js'
import { openToChange } from '../in-use/changing.js'
import { guardChange } from '../in-use/guard.js'
import { openFile, type OpenOptions } from '../../formats/open.js'
import { findDevice, openDevice, type OpenedDevice } from '../device/argument.js'
import { digestsOf } from '../transfer/disk-digests.js'
import { layerInfo } from '../inspect/info.js'
import { listedRanges, type ImageDiskOptions, type ImageDiskResult, type ImagingPlan } from './image.js'
import { imageRecordPath, readImageRecord, writeImageRecord, type Consistency, type ImageRecord } from './record.js'
import { guardSameDisk, heatOf, heatText, type Heat } from './guards.js'
import { readSalvageMap, salvageMapPath, writeSalvageMap } from './salvage-map.js'
import { differencesFrom, recordedSource } from '../device/origin.js'
import { lastPart } from '../../sys/host-path.js'

export type ResumeImageOptions = Pick<
  ImageDiskOptions,
  | 'registry'
  | 'allowSameDisk'
  | 'allowInUse'
  | 'dryRun'
  | 'verify'
  | 'toolVersion'
  | 'platform'
  | 'signal'
  | 'onProgress'
>

const pieceLength = 1048576

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
  const started = performance.now()
  const platform = options.platform ?? thisMachine()
  const device = findDevice(source, platform)
  const now = recordedSource(device)
  const record = recordOf(target)
  const differences = differencesFrom(record.source, now)
  if (record.digests.disk.length !== device.size)
    differences.push(`it has ${device.size} bytes, and the image holds ${record.digests.disk.length}`)
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
  const { allowInUse } = options
  guardChange(target, 'changed', { allowInUse })
  const heat = heatOf(device, platform)
  const sameDisk = guardSameDisk(device, heat, target, platform, options.allowSameDisk === true)
  const bad = readSalvageMap(salvageMapPath(target), device.size)
  const bytes = total(bad)
  const plan: ImagingPlan = {
    guards: [
      sameDisk,
      {
        guard: 'in-use',
        verdict: heat.hot ? 'noted' : 'passed',
        why: heat.hot ? `the source is hot: ${heatText(heat)}` : `nothing writes to ${device.name}`,
      },
    ],
    steps: [
      `read ${bad.length} ranges of ${device.name} again, ${bytes} bytes`,
      `put what can be read into ${printable(target)}, in place`,
      ...(options.verify === true ? ['read back what was put in'] : []),
      'read the image for its digests',
      'bring the record and the map up to date',
    ],
    bytes,
  }
  const notes = plan.guards
    .filter(({ verdict }) => verdict !== 'passed')
    .map(({ guard, why }) => ({ code: guard === 'in-use' ? 'W_HOT' : 'W_SAME_DISK', message: why }))
  const common = { source: now, plan, resumed: true, notes, parts: record.parts }
  const open: OpenOptions = { from: record.image.format, registry: options.registry }
  if (options.dryRun === true) {
    return {
      ...common,
      dryRun: true,
      verified: false,
      target: targetOf(target, record, open),
      consistency: record.consistency,
      unreadable: summary(bad, target),
      bytesRead: 0,
      bytesWritten: 0,
      seconds: (performance.now() - started) / 1000,
    }
  }
  using opened = openDevice(device, !heat.hot && heat.mounts.length === 0)
  if (!heat.hot && !record.usedOnly && record.parts === undefined) checkSamples(opened, target, bad, open)
  const { left, written } = await changingInPlace(
    () => 'The image holds what it did, and maybe some of what could be read again: run it again to go on.',
    () => fillGaps(opened, target, bad, open, options),
  )
  if (options.verify === true) verifyWritten(target, written, open)
  const digests = await digestsAfter(target, record, open, options)
  const tool = { name: 'vdisk', version: options.toolVersion ?? 'unknown' }
  const consistency = consistencyAfter(record.consistency, heat)
  const unreadable = summary(left, target)
  const path = writeImageRecord(target, {
    ...record,
    tool,
    ended: new Date().toISOString(),
    digests,
    consistency,
    unreadable: { bytes: unreadable.bytes, ...(left.length === 0 ? {} : { map: lastPart(salvageMapPath(target)) }) },
  })
  if (left.length === 0) fs.removeFileSync(salvageMapPath(target))
  else writeSalvageMap(salvageMapPath(target), device.size, left, `${tool.name} ${tool.version}`)
  return {
    ...common,
    dryRun: false,
    verified: options.verify === true,
    target: targetOf(target, record, open),
    consistency,
    unreadable,
    digests,
    record: path,
    bytesRead: bytes - unreadable.bytes,
    bytesWritten: total(written),
    seconds: (performance.now() - started) / 1000,
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

const samples = 32
const sampleLength = 65536

/**
 * A disk without a serial number or table is known by its content; and one that was written to since is not the one any
 * more that the
 * image shows. @throws ImageError refused E_OTHER_DISK
 */
function checkSamples({ source }: OpenedDevice, target: string, bad: readonly BadRun[], open: OpenOptions): void {
  using image = openFile(target, open)
  const [found, stored] = [new Uint8Array(sampleLength), new Uint8Array(sampleLength)]
  for (let index = 0; index < samples; index++) {
    const offset = roundDown(Math.floor((source.capacity / samples) * index), sampleLength)
    const length = Math.min(sampleLength, source.capacity - offset)
    if (bad.some((run) => run.offset < offset + length && offset < run.offset + run.length)) continue
    source.read(offset, found.subarray(0, length))
    image.read(offset, stored.subarray(0, length))
    if (Buffer.compare(found.subarray(0, length), stored.subarray(0, length)) === 0) continue
    throw refused(
      'E_OTHER_DISK',
      `the source and ${printable(target)} differ between offset ${offset} and ${offset + length}, where both ` +
        'can be read: it is another disk, or was written to since',
      { hint: 'Image the disk anew. No flag overrides this: the image would be of two disks.' },
    )
  }
}

/** A range that was put into the image, and the digest of what it was given. */
interface WrittenRun extends BadRun {
  readonly digest: Buffer
}

/** Reads each range again and writes what can be read. Sectors that still cannot stay zero. */
async function fillGaps(
  { source }: OpenedDevice,
  target: string,
  bad: readonly BadRun[],
  open: OpenOptions,
  options: ResumeImageOptions,
): Promise<{ readonly left: readonly BadRun[]; readonly written: readonly WrittenRun[] }> {
  const { signal, onProgress } = options
  const salvage = new SalvagingSource(source)
  using image = openToChange(target, { ...open, allowInUse: options.allowInUse })
  if (image.disk.capacity < source.capacity)
    throw corrupt(
      'E_TRUNCATED',
      `${printable(target)} holds a disk of ${image.disk.capacity} bytes, and the source has ${source.capacity}`,
    )
  const piece = new Uint8Array(pieceLength)
  let done = 0
  const written: WrittenRun[] = []
  for (const { offset, length } of bad) {
    for (let at = offset; at < offset + length; at += pieceLength) {
      const bytes = piece.subarray(0, Math.min(pieceLength, offset + length - at))
      await salvage.salvage(at, bytes, signal)
      for (const good of goodRuns(at, bytes.length, salvage.bad)) {
        const taken = bytes.subarray(good.offset - at, good.offset - at + good.length)
        image.image.write(good.offset, taken)
        written.push({ ...good, digest: sha256(taken) })
      }
      done += bytes.length
      onProgress?.({ phase: 'copy', done, total: total(bad) })
    }
  }
  image.image.flush()
  return { left: within(salvage.bad, bad), written }
}

/** Reads back what was put into the image, which was flushed and closed. @throws ImageError mismatch E_MISMATCH */
function verifyWritten(target: string, written: readonly WrittenRun[], open: OpenOptions): void {
  using image = openFile(target, open)
  const piece = new Uint8Array(pieceLength)
  for (const { offset, length, digest } of written) {
    const bytes = piece.subarray(0, length)
    image.read(offset, bytes)
    if (sha256(bytes).equals(digest)) continue
    throw new ImageError(
      'mismatch',
      'E_MISMATCH',
      `${printable(target)} does not give back the ${length} bytes that were put in at offset ${offset}`,
      {
        hint: 'Its record and its map were left as they were. Check memory and disk, and image the disk anew.',
        details: { offset, length },
      },
    )
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** What of a range is not bad. */
function goodRuns(offset: number, length: number, bad: readonly BadRun[]): BadRun[] {
  const runs: BadRun[] = []
  let end = offset
  for (const run of bad) {
    if (run.offset >= offset + length || run.offset + run.length <= offset) continue
    if (run.offset > end) runs.push({ offset: end, length: run.offset - end })
    end = Math.max(end, run.offset + run.length)
  }
  if (end < offset + length) runs.push({ offset: end, length: offset + length - end })
  return runs
}

/** A sector that cannot be read may reach beyond the range that was asked for: what was read before stays. */
function within(bad: readonly BadRun[], ranges: readonly BadRun[]): BadRun[] {
  return ranges.flatMap((range) =>
    bad.flatMap((run) => {
      const start = Math.max(run.offset, range.offset)
      const end = Math.min(run.offset + run.length, range.offset + range.length)
      return start < end ? [{ offset: start, length: end - start }] : []
    }),
  )
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
    bytes: total(bad),
    ranges: bad.slice(0, listedRanges),
    ...(bad.length === 0 ? {} : { map: salvageMapPath(target) }),
  }
}

function total(runs: readonly BadRun[]): number {
  return runs.reduce((sum, { length }) => sum + length, 0)
}
