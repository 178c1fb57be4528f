import { roundDown, roundUp } from '../../binary/integers.js'
import { CountingStore } from '../../block/counting-store.js'
import type { BlockSource, Note } from '../../block/types.js'
import type { Progress } from '../../engine/index.js'
import { aborted, usage } from '../../errors.js'
import type { DiskShape, ImageWriter } from '../../formats/driver.js'
import { Registry } from '../../formats/registry.js'
import { targetFormat, type TargetFormat } from './layout.js'
import type { PlatformChoice } from '../platform/choice.js'
import { choiceFor, emptyFit, platformFit } from './for-platform.js'
import { convert } from './convert.js'
import { Content, openContent, type ContentOptions } from './content.js'
import { EmptyDisk } from './empty-disk.js'
import { sourceOf } from './source.js'
import { sourceInfo, type Forward, type SourceInfo } from '../open/opening.js'
import { readingForward } from '../open/reading-forward.js'
import { milliseconds } from '../../sys/clock.js'
import { nextTurn } from '../../sys/next-turn.js'

export interface MeasureOptions extends ContentOptions {
  /** The id of a platform: format, options, size and packing are what it takes. Without it, `to` is needed. */
  readonly for?: string
}

export interface MeasureResult {
  /** Absent for an empty disk. */
  readonly source?: SourceInfo
  readonly target: { readonly format: string; readonly capacity: number; readonly sectorSize: number }
  /** Bytes of the new files together: what `convert`, or `create` for an empty disk, writes with the same options. */
  readonly required: number
  /** The same if every byte of the disk were content that does not compress. */
  readonly fullyAllocated: number
  /** Bytes of content among `required`; the rest is tables, and space that is left as holes. */
  readonly content: number
  /** The files, the image first; further ones have the name that was given for them. */
  readonly files: readonly { readonly name?: string; readonly size: number }[]
  readonly notes: readonly Note[]
  readonly seconds: number
}

type Measured = Pick<MeasureResult, 'required' | 'content' | 'files'> & { readonly capacity: number }

/**
 * How many bytes an image would take, found by making it and keeping nothing: reading and compressing take as long as
 * in a conversion.
 * @param source undefined for an empty disk, of `size` bytes. @throws ImageError as `convert` does.
 */
export async function measure(source: string | undefined, options: MeasureOptions): Promise<MeasureResult> {
  if (options.to === 'ova' && options.for === undefined) return await measureAppliance(source, options)
  return await readingForward(
    async (forward) => await measureOnce(source, options.usedOnly === undefined ? { ...options, forward } : options),
  )
}

/** An appliance is made as for a pipe, and counted. What it could take at most is that of the disk in it. */
async function measureAppliance(source: string | undefined, options: MeasureOptions): Promise<MeasureResult> {
  if (source === undefined)
    throw usage('E_USAGE', 'an OVA is measured of an image', { hint: 'Name the image that goes into it.' })
  const started = milliseconds()
  const { level } = options.options ?? {}
  const disk = await measure(source, {
    ...options,
    to: 'vmdk',
    options: level === undefined ? { subformat: 'streamOptimized' } : { subformat: 'streamOptimized', level },
  })
  let required = 0
  const output = (bytes: Uint8Array): Promise<void> => {
    required += bytes.length
    return Promise.resolve()
  }
  const { target, notes } = await convert(source, { output }, options)
  return {
    ...disk,
    target: { format: target.format, capacity: target.capacity, sectorSize: target.sectorSize },
    required,
    fullyAllocated: required - disk.required + disk.fullyAllocated,
    files: [{ size: required }],
    notes,
    seconds: (milliseconds() - started) / 1000,
  }
}

async function measureOnce(source: string | undefined, options: MeasureOptions & Forward): Promise<MeasureResult> {
  const started = milliseconds()
  const registry = options.registry ?? new Registry()
  const choice = options.for === undefined ? undefined : choiceFor(options.for, {}, { ...options, registry })
  if (choice === undefined && options.to === undefined)
    throw usage('E_USAGE', 'measure needs the format of the image', {
      hint: 'Give it with --to, or a platform with --for: vdisk measure disk.raw --to qcow2.',
    })
  const { to = options.to, options: chosen = options.options ?? {} } = choice ?? {}
  const format = targetFormat(registry, undefined, to, chosen)
  // Where the target would stand decides how it names its parent; here it is as if it were made in the working folder.
  const path = `measured.${format.driver.extensions[0] ?? format.driver.id}`
  const report = options.onProgress
  // The full disk comes behind the real one, and is counted as much.
  const onProgress =
    report === undefined
      ? undefined
      : ({ done, total }: Progress): void => report({ phase: 'measure', done, total: 2 * total })
  const given = { ...options, registry, onProgress }
  const fit = choice === undefined ? undefined : platformFit(choice.platform, source ?? 'an empty disk')
  using making =
    source === undefined
      ? new EmptyDisk(path, format, { ...given, fit: emptyFit(choice, path) })
      : await openContent(sourceOf(source), path, format, { ...given, fit, movesOnce: true })
  const { shape } = making
  const measured = await run(format, shape, async (writer) => (await making.fill(writer)).bytesWritten)
  if (making instanceof Content) making.assertUnchanged()
  const full = await run(format, shape, (writer) => placeAll(writer, options))
  return {
    ...(source === undefined || making instanceof EmptyDisk ? {} : { source: sourceInfo(source, making.opened) }),
    target: { format: format.driver.id, capacity: measured.capacity, sectorSize: shape.sectorSize },
    required: measured.required,
    fullyAllocated: full.required,
    content: measured.content,
    files: measured.files,
    notes: [
      ...(choice?.notes ?? []),
      ...packedNotes(choice),
      ...making.notes(measured.capacity).filter(({ code }) => code !== 'W_PARENT_OUTSIDE'),
    ],
    seconds: (milliseconds() - started) / 1000,
  }
}

/** What is measured is the image; an archive around it is not larger by much, and often smaller. */
function packedNotes(choice: PlatformChoice | undefined): Note[] {
  if (choice?.packed !== true) return []
  return [
    {
      code: 'W_PLATFORM_UNPACKED',
      message: `these are the bytes of the image alone: ${choice.platform.id} takes it compressed in an archive`,
    },
  ]
}

/** Makes an image of which only the sizes of its files are kept. */
async function run(
  { driver, options }: TargetFormat,
  shape: DiskShape,
  content: (writer: ImageWriter) => Promise<number>,
): Promise<Measured> {
  const store = new CountingStore('the image')
  const further: CountingStore[] = []
  using writer = driver.create(store, shape, options, {
    name: `measured.${driver.extensions[0] ?? driver.id}`,
    createFile: (name) => {
      if (further.some((file) => file.name === name))
        throw usage('E_FILE_NAME', `${name} is a file of the image already`)
      const file = new CountingStore(name)
      further.push(file)
      return file
    },
  })
  const placed = await content(writer)
  writer.finish()
  const files = [{ size: store.size }, ...further.map(({ name, size }) => ({ name, size }))]
  return { capacity: writer.capacity, required: files.reduce((sum, { size }) => sum + size, 0), content: placed, files }
}

/**
 * The most that an image of a disk can take in bytes, when all that is stored of the disk is content that does not
 * compress; and whether
 * it takes all its space from the start. Reads no content. @throws ImageError aborted E_ABORTED
 */
export async function largestSize(
  format: TargetFormat,
  shape: DiskShape,
  disk: BlockSource,
  signal?: AbortSignal,
): Promise<{ readonly most: number; readonly whole: boolean }> {
  const found = { whole: false }
  const { required, content, capacity } = await run(format, shape, async (writer) => {
    found.whole = writer.placeZeros === true
    return await placeStored(writer, disk, signal)
  })
  // A flat image has the disk's length, and holes where nothing was put.
  return {
    most: found.whole || required < capacity ? required : Math.min(required, content + flatOverhead),
    whole: found.whole,
  }
}

/** More than a flat format has besides the disk's content. */
const flatOverhead = 1048576

async function placeStored(writer: ImageWriter, disk: BlockSource, signal: AbortSignal | undefined): Promise<number> {
  let rested = milliseconds()
  let placed = 0
  let end = 0
  for (let offset = 0; offset < disk.capacity;) {
    const { kind, length } = disk.extentAt(offset, Math.min(pieceLength, disk.capacity - offset))
    offset += length
    const last = Math.min(roundUp(offset, writer.grain), writer.capacity)
    for (
      let at = Math.max(end, roundDown(offset - length, writer.grain));
      kind !== 'zero' && kind !== 'absent' && at < last;
    ) {
      const { length: done } = writer.place(at, last - at)
      at += done
      placed += done
      end = at
    }
    if (milliseconds() - rested < 50) continue
    await nextTurn()
    if (signal?.aborted === true) throw aborted()
    rested = milliseconds()
  }
  return placed
}

/** Runs of a disk that is full of content. Short ones let a writer settle its tables in between. */
const pieceLength = 16 * 1024 * 1024

async function placeAll(
  writer: ImageWriter,
  { signal, onProgress }: Pick<MeasureOptions, 'signal' | 'onProgress'>,
): Promise<number> {
  let rested = milliseconds()
  for (let offset = 0; offset < writer.capacity;) {
    offset += writer.place(offset, Math.min(pieceLength, writer.capacity - offset)).length
    if (milliseconds() - rested < 50) continue
    await nextTurn()
    if (signal?.aborted === true) throw aborted()
    onProgress?.({
      phase: 'measure',
      done: writer.capacity + Math.min(offset, writer.capacity - 1),
      total: 2 * writer.capacity,
    })
    rested = milliseconds()
  }
  onProgress?.({ phase: 'measure', done: 2 * writer.capacity, total: 2 * writer.capacity })
  return writer.capacity
}
