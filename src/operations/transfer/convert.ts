import type { Note } from '../../block/types.js'
import { stream, type CopyOptions } from '../../engine/index.js'
import { usage } from '../../errors.js'
import type { DiskShape } from '../../formats/driver.js'
import type { OpenOptions } from '../../formats/open.js'
import { Registry } from '../../formats/registry.js'
import { NbdLocation } from '../../location/nbd.js'
import { build, targetFormat, tryLayout, type BuildResult, type TargetFormat } from './build.js'
import { openConversion, type Conversion, type ConversionOptions } from './conversion.js'
import { checkExportOptions, writeToExport } from './convert-to-export.js'
import { sourceInfo, type SourceInfo } from '../open/opening.js'
import type { NewParent } from './parent.js'
import type { ComposedSource, SourceInput } from './source.js'
import { checkTarget } from './target.js'
import type { VolumeUse } from './used-only.js'

/**
 * Where an image goes: a path, the URI of an NBD export (which gets the disk's bytes), or something that takes its
 * bytes in order (standard output).
 */
export type TargetOutput = string | { readonly output: (bytes: Uint8Array) => Promise<void>; readonly name?: string }

export interface ConvertOptions extends ConversionOptions {
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
  if (exported !== undefined) checkExportOptions(options)
  const path = typeof target === 'string' && exported === undefined ? target : undefined
  const format = targetFormat(registry, path, options.to, options.options ?? {})
  if (typeof target !== 'string' && (options.verify === true || options.parent !== undefined)) {
    throw usage(
      'E_STREAM',
      'a target that is a stream cannot ' +
        (options.parent === undefined
          ? 'be verified: it is gone when it is written'
          : 'have a parent: it has no folder'),
    )
  }
  // What stands in the way of the target is found before a long read from a pipe; a source with a path is first seen
  // whether it is the target.
  if (path !== undefined && typeof source !== 'string' && 'input' in source)
    checkTarget(path, options.force === true, [])
  using conversion = await openConversion(source, path, format, { ...options, registry })
  const {
    opened,
    shape: { sectorSize },
  } = conversion
  const result: Outcome =
    exported === undefined ? await run(conversion, options, target) : await writeToExport(conversion, exported, options)
  return {
    source: {
      ...sourceInfo(typeof source === 'string' ? source : (source.name ?? '-'), opened),
      sectorSize: opened.sectorSize,
    },
    target: {
      path: typeof target === 'string' ? target : (target.name ?? '-'),
      format: format.driver.id,
      sectorSize,
      capacity: result.capacity,
      size: result.size,
      allocated: result.allocated,
    },
    bytesRead: result.bytesRead,
    bytesWritten: result.bytesWritten,
    volumes: conversion.used?.volumes,
    verified: options.verify === true && options.dryRun !== true,
    dryRun: options.dryRun === true,
    notes: [
      ...conversion.notes(exported === undefined ? result.capacity : conversion.shape.capacity),
      ...(result.notes ?? []),
    ],
    seconds: (performance.now() - started) / 1000,
  }
}

/** The export that a target names, where it names one. @throws ImageError usage E_NBD_URI */
function exportOf({ schemes }: Registry, target: string): NbdLocation | undefined {
  const location = schemes.locate(target)
  return location instanceof NbdLocation ? location : undefined
}

type Outcome = Omit<BuildResult, 'size' | 'allocated'> &
  Partial<Pick<BuildResult, 'size' | 'allocated'>> & { readonly notes?: readonly Note[] }

async function run(conversion: Conversion, options: ConvertOptions, target: TargetOutput): Promise<Outcome> {
  const { format, opened, disk, shape, parent, open } = conversion
  const files = [...opened.files, ...(parent?.opened.files ?? [])]
  const place = typeof target === 'string' ? checkTarget(target, options.force === true, files) : undefined
  if (options.dryRun === true) return { ...tryLayout(format, shape), bytesRead: 0, bytesWritten: 0 }
  if (place === undefined) {
    const { output } = target as Exclude<TargetOutput, string>
    const moved = await streamOut(format, shape, conversion.moving, output)
    conversion.assertUnchanged()
    return moved
  }
  return await build({
    format,
    place,
    force: options.force === true,
    sources: files,
    shape,
    fill: (writer) => conversion.fill(writer),
    unchanged: () => conversion.assertUnchanged(),
    ...(options.verify === true
      ? { expected: { source: disk, open: verifyOptions(open, parent), threads: options.threads } }
      : {}),
    flush: options.flush,
    signal: options.signal,
    onProgress: options.onProgress,
  })
}

async function streamOut(
  format: TargetFormat,
  shape: DiskShape,
  moving: Omit<CopyOptions, 'target'>,
  output: (bytes: Uint8Array) => Promise<void>,
): Promise<Outcome> {
  let capacity = shape.capacity
  const moved = await stream({
    ...moving,
    output,
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
  return parent === undefined
    ? open
    : { ...open, allowReferences: [...(open.allowReferences ?? []), ...parent.opened.files.map(({ path }) => path)] }
}
