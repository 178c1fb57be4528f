import { tmpdir } from 'node:os'
import { dirname, resolve } from 'node:path'
import type { BlockSource, Note } from '../block/types.js'
import { copy, stream, type CopyOptions, type Progress } from '../engine/index.js'
import { usage } from '../errors.js'
import type { DiskShape, OptionValues } from '../formats/driver.js'
import type { OpenedImage, OpenOptions } from '../formats/open.js'
import { Registry } from '../formats/registry.js'
import { build, targetFormat, tryLayout, type BuildResult, type TargetFormat } from './build.js'
import { defined } from './defined.js'
import { imageIdentity } from './identity.js'
import { chainOptions, readOptions, type ReadOptions, sourceInfo, type SourceInfo } from './opening.js'
import { openNewParent, type NewParent } from './parent.js'
import { openSource, resized, type SourceInput } from './source.js'
import { checkTarget } from './target.js'

/** Where an image goes: a path, or something that takes its bytes in order (standard output). */
export type TargetOutput = string | { readonly output: (bytes: Uint8Array) => Promise<void>; readonly name?: string }

export interface ConvertOptions extends ReadOptions {
  /** Format of the target; by its extension when left out. */
  readonly to?: string
  /** Create options of the target's format: `{ subformat: 'fixed', 'block-size': '1M' }`. */
  readonly options?: OptionValues
  /** Capacity of the target in bytes: larger is zero at the end, smaller must cut zeros only. */
  readonly size?: number
  readonly sectorSize?: 512 | 4096
  /** An existing image that the target is to be a child of: only what differs from it is stored. */
  readonly parent?: string
  /** Replaces an existing target, when the new one is complete. */
  readonly force?: boolean
  /** Waits until the medium has everything before the image gets its name; default yes. Without it a power cut soon after may lose the image. */
  readonly flush?: boolean
  /** Opens what was written afresh and compares every guest byte before the image gets its name. */
  readonly verify?: boolean
  /** Checks everything and writes nothing. */
  readonly dryRun?: boolean
  /** Worker threads; 0: none. */
  readonly threads?: number
  /** Shorter runs of zeros are written as data, in bytes; 0: all zeros are. */
  readonly sparse?: number
  /** The id of the new image; random when left out. */
  readonly uuid?: string
  /** Creation time to record, in seconds since 1970. */
  readonly time?: number
  /** Where standard input is kept while it is read; default: the target's folder. */
  readonly scratchFolder?: string
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface ConvertResult {
  readonly source: SourceInfo & { readonly sectorSize: number }
  /** `size` is bytes of the new files, `allocated` those that the filesystem holds for them; neither is known of a dry run. */
  readonly target: { readonly path: string; readonly format: string; readonly capacity: number; readonly sectorSize: number; readonly size?: number; readonly allocated?: number }
  /** Guest bytes read, and host bytes written. */
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly verified: boolean
  readonly dryRun: boolean
  readonly notes: readonly Note[]
  readonly seconds: number
}

/**
 * Converts the image `source` into a new image `target`. The source is only read. The target appears under its name when it is complete;
 * on any failure nothing new is left, and what stood there is untouched.
 * @throws ImageError of every kind; see docs/architecture.md, "Errors".
 */
export async function convert(source: SourceInput, target: TargetOutput, options: ConvertOptions = {}): Promise<ConvertResult> {
  const started = performance.now()
  const registry = options.registry ?? new Registry()
  const path = typeof target === 'string' ? target : undefined
  const format = targetFormat(registry, path, options.to, options.options ?? {})
  if (path === undefined && (options.verify === true || options.parent !== undefined)) {
    throw usage('E_STREAM', `a target that is a stream cannot ${options.parent === undefined ? 'be verified: it is gone when it is written' : 'have a parent: it has no folder'}`)
  }
  // What stands in the way of the target is found before a long read from a pipe; a source with a path is first seen whether it is the target.
  if (path !== undefined && typeof source !== 'string') checkTarget(path, options.force === true, [])
  const open: OpenOptions = { ...chainOptions(options), registry }
  const scratchFolder = options.scratchFolder ?? (path === undefined ? tmpdir() : dirname(resolve(path)))
  using opened = await openSource(source, { ...readOptions(options), registry, scratchFolder, ...defined({ signal: options.signal, onProgress: options.onProgress }) })
  if (opened.unreadable !== undefined) throw opened.unreadable
  using parent = options.parent === undefined || path === undefined ? undefined : disposable(openNewParent(options.parent, path, format.driver, open))

  const disk = await resized(opened, options.size ?? opened.capacity, options.signal)
  const sectorSize = chooseSectorSize(format, opened, options.sectorSize)
  const shape: DiskShape = { capacity: disk.capacity, sectorSize, identity: imageIdentity(options.uuid, options.time), ...(parent === undefined ? {} : { parent: parent.value.shape }) }
  const work: Work = { options, format, opened, disk, shape, parent: parent?.value, open }
  const result = await run(work, target)
  return {
    source: { ...sourceInfo(typeof source === 'string' ? source : source.name ?? '-', opened), sectorSize: opened.sectorSize },
    target: { path: typeof target === 'string' ? target : target.name ?? '-', format: format.driver.id, sectorSize, ...defined({ capacity: result.capacity, size: result.size, allocated: result.allocated }) },
    bytesRead: result.bytesRead,
    bytesWritten: result.bytesWritten,
    verified: options.verify === true && options.dryRun !== true,
    dryRun: options.dryRun === true,
    notes: [...opened.notes, ...(parent?.value.notes ?? []), ...changes(work, result.capacity)],
    seconds: (performance.now() - started) / 1000,
  }
}

interface Work {
  readonly options: ConvertOptions
  readonly format: TargetFormat
  readonly opened: OpenedImage
  readonly disk: BlockSource
  readonly shape: DiskShape
  readonly parent: NewParent | undefined
  readonly open: OpenOptions
}

type Outcome = Omit<BuildResult, 'size' | 'allocated'> & Partial<Pick<BuildResult, 'size' | 'allocated'>>

async function run(work: Work, target: TargetOutput): Promise<Outcome> {
  const { options, format, opened, disk, shape, parent, open } = work
  const files = [...opened.files, ...(parent?.opened.files ?? [])]
  const place = typeof target === 'string' ? checkTarget(target, options.force === true, files) : undefined
  if (options.dryRun === true) return { ...tryLayout(format, shape), bytesRead: 0, bytesWritten: 0 }
  const moving: Omit<CopyOptions, 'target'> = {
    source: disk, ...defined({ base: parent?.opened, threads: options.threads, sparse: options.sparse, signal: options.signal, onProgress: options.onProgress }),
  }
  if (place === undefined) {
    const { output } = target as Exclude<TargetOutput, string>
    return await streamOut(format, shape, moving, output)
  }
  return await build({
    format, place, force: options.force === true, sources: files, shape,
    fill: (writer) => copy({ ...moving, target: writer }),
    ...(options.verify === true ? { expected: { source: disk, open: verifyOptions(open, parent), ...defined({ threads: options.threads }) } } : {}),
    ...defined({ flush: options.flush, signal: options.signal, onProgress: options.onProgress }),
  })
}

async function streamOut(format: TargetFormat, shape: DiskShape, moving: Omit<CopyOptions, 'target'>, output: (bytes: Uint8Array) => Promise<void>): Promise<Outcome> {
  let capacity = shape.capacity
  const moved = await stream({
    ...moving, output,
    layout: (store) => {
      const writer = format.driver.create(store, shape, format.options, {
        createFile: () => {
          throw usage('E_STREAM', 'an image of several files cannot go to a stream')
        },
      })
      capacity = writer.capacity
      return writer
    },
  })
  moving.onProgress?.({ phase: 'flush', done: 1, total: 1 })
  return { capacity, ...moved }
}

/** The new image may name the parent that it was just made over, wherever that lies. */
function verifyOptions(open: OpenOptions, parent: NewParent | undefined): OpenOptions {
  return parent === undefined ? open : { ...open, allowReferences: [...(open.allowReferences ?? []), ...parent.opened.files.map(({ path }) => path)] }
}

function chooseSectorSize({ driver }: TargetFormat, opened: OpenedImage, wanted: 512 | 4096 | undefined): 512 | 4096 {
  const { sectorSizes } = driver.features
  if (wanted !== undefined && !sectorSizes.includes(wanted)) {
    throw usage('E_SECTOR_SIZE', `the format ${driver.id} cannot have sectors of ${wanted} bytes`, { hint: `It has ${sectorSizes.join(', ')}.` })
  }
  return wanted ?? (sectorSizes.includes(opened.sectorSize) ? opened.sectorSize : sectorSizes[0] ?? 512)
}

/** What the target has otherwise than the source. */
function changes({ opened, shape, format, options }: Work, capacity: number): Note[] {
  const notes: Note[] = []
  const { driver } = format
  if (opened.top.image.format !== 'raw' && opened.sectorSize !== shape.sectorSize) {
    notes.push({ code: 'W_SECTOR_SIZE', message: `the source has sectors of ${opened.sectorSize} bytes, the target of ${shape.sectorSize}: a partition table written for one is not understood with the other` })
  } else if (driver.id === 'raw' && shape.sectorSize === 4096) {
    notes.push({ code: 'W_SECTOR_SIZE', message: 'the source has sectors of 4096 bytes, which a raw image does not record: attach it, or convert it on, with 4096' })
  }
  if (options.size !== undefined && options.size < opened.capacity) {
    notes.push({ code: 'W_CUT', message: `the last ${opened.capacity - options.size} bytes of the disk, all zero, were cut off: a GPT keeps its second table there` })
  }
  if (capacity > shape.capacity) {
    notes.push({ code: 'W_ROUNDED_UP', message: `the disk of ${shape.capacity} bytes was rounded up to ${capacity}, with zeros: ${driver.title} cannot hold that size exactly` })
  }
  return notes
}

function disposable(parent: NewParent): Disposable & { readonly value: NewParent } {
  return { value: parent, [Symbol.dispose]: () => parent.opened[Symbol.dispose]() }
}
