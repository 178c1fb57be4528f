import { ZeroSource } from '../../block/zero.js'
import type { Note } from '../../block/types.js'
import type { OptionValues } from '../../formats/driver.js'
import { MemoryStore } from '../../block/memory-store.js'
import { printable, usage } from '../../errors.js'
import { openStore } from '../../formats/open.js'
import { Registry } from '../../formats/registry.js'
import { convertFrom } from './convert.js'
import { compressedTarget } from './sink-compressed.js'
import type { Source } from './source.js'
import type { ImageTarget } from './image-target.js'
import { targetFormat, tryLayout } from './layout.js'
import { build, type BuildResult } from './sink-file.js'
import { EmptyDisk, type EmptyDiskOptions } from './empty-disk.js'
import { choosePlatform } from '../platform/choice.js'
import { emptyFit, platformResult, type PlatformResult } from './for-platform.js'
import { checkTarget } from './target.js'

export interface CreateOptions extends EmptyDiskOptions {
  /** Format of the new image; by its extension when left out. */
  readonly to?: string
  readonly options?: OptionValues
  readonly force?: boolean
  readonly dryRun?: boolean
  /** The id of a platform: format, options and size are what it takes. */
  readonly for?: string
}

export interface CreateResult {
  readonly target: ImageTarget
  readonly platform?: PlatformResult
  readonly parent?: { readonly path: string; readonly format: string; readonly capacity: number }
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

/** Makes a new image without content: all zero, or all its parent's. @throws ImageError */
export async function create(target: string, options: CreateOptions): Promise<CreateResult> {
  const registry = options.registry ?? new Registry()
  if (options.for === undefined && compressedTarget(target) !== undefined)
    return await createCompressed(target, options)
  const choice =
    options.for === undefined
      ? undefined
      : choosePlatform(registry, options.for, { ...options, path: target, packs: false })
  const { to = options.to, options: chosen = options.options ?? {} } = choice ?? {}
  const format = targetFormat(registry, target, to, chosen)
  // Children are looked for once.
  checkTarget(target, options.force === true, [], { ...options, keepsChildren: true })
  using disk = new EmptyDisk(target, format, { ...options, registry, fit: emptyFit(choice, target) })
  const { parent, shape } = disk
  const sources = parent?.opened.files ?? []
  const place = checkTarget(target, options.force === true, sources, options)
  const made: Pick<BuildResult, 'capacity'> & Partial<BuildResult> =
    options.dryRun === true
      ? tryLayout(format, shape)
      : await build({
          format,
          place,
          shape,
          sources,
          force: options.force === true,
          guards: options,
          fill: {
            source: new ZeroSource(shape.capacity, shape.sectorSize),
            copy: (writer) => disk.fill(writer),
          },
          signal: options.signal,
          onProgress: options.onProgress,
        })
  return {
    target: {
      path: target,
      format: format.driver.id,
      sectorSize: shape.sectorSize,
      capacity: made.capacity,
      size: made.size,
      allocated: made.allocated,
    },
    parent:
      parent === undefined
        ? undefined
        : { path: parent.shape.path, format: parent.shape.image.format, capacity: parent.opened.capacity },
    platform:
      choice === undefined
        ? undefined
        : platformResult(choice, target, format.driver.id, {
            capacity: made.capacity,
            sectorSize: shape.sectorSize,
            size: made.size,
            table: [],
          }),
    dryRun: options.dryRun === true,
    notes: [...(choice?.notes ?? []), ...disk.notes(made.capacity)],
  }
}

/** The same in a compressed file: an empty disk is converted into one. */
async function createCompressed(target: string, options: CreateOptions): Promise<CreateResult> {
  const { size } = options
  if (size === undefined) throw usage('E_SIZE', `${printable(target)} needs a size: it has no parent to take it from`)
  const source: Source = {
    name: 'an empty disk',
    open: ({ registry }) => openStore(new EmptyStore(size), undefined, { registry, from: 'raw' }),
  }
  const converted = await convertFrom(source, target, { ...options, size: undefined, fit: undefined, for: undefined })
  return { target: converted.target, dryRun: converted.dryRun, notes: converted.notes }
}

/** A file of so many zeros. */
class EmptyStore extends MemoryStore {
  constructor(size: number) {
    super(undefined, 'an empty disk')
    this.truncate(size)
  }

  holeAt(_position: number, limit: number): { readonly hole: boolean; readonly length: number } {
    return { hole: true, length: limit }
  }
}
