import { compressedTarget, writeCompressed, type CompressedTarget } from './sink-compressed.js'
import { printable, refused, usage } from '../../errors.js'
import type { Note } from '../../block/types.js'
import type { OpenedImage, OpenOptions } from '../../formats/open.js'
import { Registry } from '../../formats/registry.js'
import { NbdLocation } from '../../location/nbd.js'
import { sourceInfo, type SourceInfo } from '../open/opening.js'
import { openContent, type Content, type ContentOptions } from './content.js'
import { targetFormat, tryLayout } from './layout.js'
import type { NewParent } from './parent.js'
import { checkExportOptions, writeToExport } from './sink-export.js'
import { build, type BuildResult } from './sink-file.js'
import { checkStreamOptions, writeToStream, type OutputStream } from './sink-stream.js'
import type { ComposedSource, SourceInput } from './source.js'
import { checkTarget } from './target.js'
import type { VolumeUse } from './used-only.js'

/**
 * Where an image goes: a path, the URI of an NBD export (which gets the disk's bytes), or something that takes its
 * bytes in order (standard output).
 */
export type TargetOutput = string | OutputStream

export interface ConvertOptions extends ContentOptions {
  /** Replaces an existing target, when the new one is complete. */
  readonly force?: boolean
  /**
   * Waits until the medium has everything before the image gets its name; default yes. Without it a power cut soon
   * after may lose the image.
   */
  readonly flush?: boolean
  /** Opens what was written afresh and compares every guest byte before the image gets its name. */
  readonly verify?: boolean
  /** Checks everything and writes nothing. */
  readonly dryRun?: boolean
}

export interface ConvertResult {
  readonly source: SourceInfo & { readonly sectorSize: number }
  /**
   * `size` is bytes of the new files, `allocated` those that the filesystem holds for them; neither is known of a dry
   * run.
   */
  readonly target: {
    readonly path: string
    readonly format: string
    readonly capacity: number
    readonly sectorSize: number
    readonly size?: number
    readonly allocated?: number
  }
  /** Guest bytes read, and host bytes written. */
  readonly bytesRead: number
  readonly bytesWritten: number
  /** What each partition was read as, when only what is in use was wanted. */
  readonly volumes?: readonly VolumeUse[]
  readonly verified: boolean
  readonly dryRun: boolean
  readonly notes: readonly Note[]
  readonly seconds: number
}

/**
 * Converts the image `source` into a new image `target`. The source is only read. The target appears under its name
 * when it is complete;
 * on any failure nothing new is left, and what stood there is untouched.
 * @throws ImageError of every kind; see docs/architecture.md, "Errors".
 */
export async function convert(
  source: SourceInput,
  target: TargetOutput,
  options: ConvertOptions = {},
): Promise<ConvertResult> {
  return await convertFrom(source, target, options)
}

/** The same of a disk that an operation puts together. */
export async function convertFrom(
  source: SourceInput | ComposedSource,
  target: TargetOutput,
  options: ConvertOptions,
): Promise<ConvertResult> {
  const started = performance.now()
  const registry = options.registry ?? new Registry()
  const exported = typeof target === 'string' ? exportOf(registry, target) : undefined
  if (exported !== undefined) checkExportOptions(registry, options)
  const path = typeof target === 'string' && exported === undefined ? target : undefined
  const packed = compressedTarget(path)
  const format = targetFormat(registry, packed?.inner ?? path, options.to, options.options ?? {})
  if (packed !== undefined && options.parent !== undefined)
    throw usage('E_STREAM', 'an image in a compressed file cannot have a parent')
  if (typeof target !== 'string') checkStreamOptions(options)
  // A target that cannot be made is reported before a long read from a pipe; a source with a path is first compared
  // with the target.
  if (path !== undefined && typeof source !== 'string' && 'input' in source)
    checkTarget(path, options.force === true, [], options)
  using content = await openContent(source, path, format, { ...options, registry })
  const { opened, shape } = content
  if (typeof target !== 'string') refuseSource(target, opened.files)
  const result: Outcome =
    exported !== undefined
      ? await writeToExport(content, exported, options)
      : typeof target === 'string'
        ? await writeToFile(content, target, packed, options)
        : options.dryRun === true
          ? untouched(tryLayout(format, shape))
          : await writeToStream(content, target)
  return {
    source: {
      ...sourceInfo(typeof source === 'string' ? source : (source.name ?? '-'), opened),
      sectorSize: opened.sectorSize,
    },
    target: {
      path: typeof target === 'string' ? target : (target.name ?? '-'),
      format: format.driver.id,
      sectorSize: shape.sectorSize,
      capacity: result.capacity,
      size: result.size,
      allocated: result.allocated,
    },
    bytesRead: result.bytesRead,
    bytesWritten: result.bytesWritten,
    volumes: content.used?.volumes,
    verified: options.verify === true && options.dryRun !== true,
    dryRun: options.dryRun === true,
    notes: [...content.notes(exported === undefined ? result.capacity : shape.capacity), ...(result.notes ?? [])],
    seconds: (performance.now() - started) / 1000,
  }
}

/** @throws ImageError refused E_SAME_FILE when a stream goes to a file that is read (`convert a.raw - >> a.raw`). */
function refuseSource({ file, name = 'the target' }: OutputStream, sources: OpenedImage['files']): void {
  const same = sources.find(({ device, inode }) => device === file?.device && inode === file.inode)
  if (same !== undefined)
    throw refused('E_SAME_FILE', `${name} goes to ${printable(same.path)}, which is being read`, {
      hint: 'Send it to another file; no flag overrides this.',
    })
}

/** The export that a target names, where it names one. @throws ImageError usage E_NBD_URI */
function exportOf({ schemes }: Registry, target: string): NbdLocation | undefined {
  const location = schemes.locate(target)
  if (location instanceof NbdLocation) return location
  if (location.path === undefined)
    throw usage('E_TARGET', `the target ${location.label} is ${schemes.of(target).title}, which is only read`, {
      hint: 'Give the name of a file as the target.',
    })
  return undefined
}

type Outcome = Omit<BuildResult, 'size' | 'allocated'> &
  Partial<Pick<BuildResult, 'size' | 'allocated'>> & { readonly notes?: readonly Note[] }

function untouched({ capacity }: { readonly capacity: number }): Outcome {
  return { capacity, bytesRead: 0, bytesWritten: 0 }
}

async function writeToFile(
  content: Content,
  target: string,
  packed: CompressedTarget | undefined,
  options: ConvertOptions,
): Promise<Outcome> {
  const { format, opened, disk, shape, parent, open } = content
  const { signal, onProgress, flush, threads } = options
  const sources = [...opened.files, ...(parent?.opened.files ?? [])]
  const force = options.force === true
  const place = checkTarget(target, force, sources, options)
  if (options.dryRun === true) return untouched(tryLayout(format, shape))
  if (packed !== undefined) return await writeCompressed(content, packed, { ...options, place, force })
  return await build({
    format,
    place,
    force,
    sources,
    shape,
    fill: (writer) => content.fill(writer),
    expected: options.verify === true ? { source: disk, open: verifyOptions(open, parent), threads } : undefined,
    unchanged: () => content.assertUnchanged(),
    flush,
    signal,
    onProgress,
  })
}

/** The new image may name the parent that it was just made over, wherever that lies. */
function verifyOptions(open: OpenOptions, parent: NewParent | undefined): OpenOptions {
  return parent === undefined
    ? open
    : { ...open, allowReferences: [...(open.allowReferences ?? []), ...parent.opened.files.map(({ path }) => path)] }
}
