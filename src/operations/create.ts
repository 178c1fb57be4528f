import type { Note } from '../block/types.js'
import { ZeroSource } from '../block/zero.js'
import { copy, type Progress } from '../engine/index.js'
import { usage } from '../errors.js'
import type { DiskShape, OptionValues } from '../formats/driver.js'
import { Registry } from '../formats/registry.js'
import { build, targetFormat, tryLayout, type BuildResult } from './build.js'
import { defined } from './defined.js'
import { imageIdentity } from './identity.js'
import { chainOptions, type ChainOptions } from './opening.js'
import { openNewParent } from './parent.js'
import { checkTarget } from './target.js'

export interface CreateOptions extends ChainOptions {
  /** Format of the new image; by its extension when left out. */
  readonly to?: string
  readonly options?: OptionValues
  /** Bytes; may be left out with a parent, whose capacity it then has. */
  readonly size?: number
  readonly sectorSize?: 512 | 4096
  /** An existing image that the new one is to be a child of. */
  readonly parent?: string
  readonly force?: boolean
  readonly dryRun?: boolean
  readonly uuid?: string
  /** Seconds since 1970. */
  readonly time?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface CreateResult {
  readonly target: { readonly path: string; readonly format: string; readonly capacity: number; readonly sectorSize: number; readonly size?: number; readonly allocated?: number }
  readonly parent?: { readonly path: string; readonly format: string; readonly capacity: number }
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

/** Makes a new image without content: all zero, or all its parent's. @throws ImageError */
export async function create(target: string, options: CreateOptions): Promise<CreateResult> {
  const registry = options.registry ?? new Registry()
  const format = targetFormat(registry, target, options.to, options.options ?? {})
  const { driver } = format
  checkTarget(target, options.force === true, [])
  const parent = options.parent === undefined ? undefined : openNewParent(options.parent, target, driver, { ...chainOptions(options), registry })
  try {
    const capacity = options.size ?? parent?.opened.capacity
    if (capacity === undefined) throw usage('E_SIZE', 'a new image needs a size, or a parent to take it from', { hint: 'For example: vdisk create disk.vhdx 64G' })
    const sectorSize = options.sectorSize ?? parent?.opened.sectorSize ?? driver.features.sectorSizes[0] ?? 512
    if (!driver.features.sectorSizes.includes(sectorSize)) {
      throw usage('E_SECTOR_SIZE', `the format ${driver.id} cannot have sectors of ${sectorSize} bytes`, { hint: `It has ${driver.features.sectorSizes.join(', ')}.` })
    }
    const shape: DiskShape = { capacity, sectorSize, identity: imageIdentity(options.uuid, options.time), ...defined({ parent: parent?.shape }) }
    const sources = parent?.opened.files ?? []
    const place = checkTarget(target, options.force === true, sources)
    const made: Pick<BuildResult, 'capacity'> & Partial<BuildResult> = options.dryRun === true
      ? tryLayout(format, shape)
      : await build({
        format, place, shape, sources, force: options.force === true,
        // Only a fully preallocated image has something to write.
        fill: async (writer) => writer.placeZeros === true && parent === undefined
          ? await copy({ source: new ZeroSource(writer.capacity, sectorSize), target: writer, ...defined({ signal: options.signal, onProgress: options.onProgress }) })
          : { bytesRead: 0, bytesWritten: 0 },
        ...defined({ signal: options.signal, onProgress: options.onProgress }),
      })
    const roundedUp: Note[] = made.capacity > capacity
      ? [{ code: 'W_ROUNDED_UP', message: `the size of ${capacity} bytes was rounded up to ${made.capacity}: ${driver.title} cannot hold it exactly` }]
      : []
    return {
      target: { path: target, format: driver.id, sectorSize, capacity: made.capacity, ...defined({ size: made.size, allocated: made.allocated }) },
      ...(parent === undefined ? {} : { parent: { path: parent.shape.path, format: parent.shape.image.format, capacity: parent.opened.capacity } }),
      dryRun: options.dryRun === true,
      notes: [...(parent?.notes ?? []), ...roundedUp],
    }
  } finally {
    parent?.opened[Symbol.dispose]()
  }
}
