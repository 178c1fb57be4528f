import type { BlockSource } from '../../block/types.js'
import {
  compareSources,
  copy,
  longestRun,
  type CopyResult,
  type CopyTarget,
  type Progress,
} from '../../engine/index.js'
import { aborted, ImageError, isImageError, refused, targetError, usage } from '../../errors.js'
import { openLocation } from '../../formats/open.js'
import type { Note } from '../../block/types.js'
import type { NbdLocation } from '../../location/nbd.js'
import type { ExportStore } from '../../mount/nbd/export-store.js'
import type { Conversion } from './conversion.js'

export interface ToExportOptions {
  readonly force?: boolean
  readonly flush?: boolean
  readonly verify?: boolean
  readonly dryRun?: boolean
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** What is not possible with a target that is a disk already. @throws ImageError usage E_NBD_TARGET */
export function checkExportOptions(options: { readonly to?: string; readonly parent?: string }): void {
  if (options.to !== undefined && options.to !== 'raw')
    throw usage('E_NBD_TARGET', `an NBD export takes the bytes of the disk, not an image of the format ${options.to}`)
  if (options.parent !== undefined) throw usage('E_NBD_TARGET', 'an NBD export cannot have a parent')
}

/** Writes of a disk onto an export; what is not placed is made zero, since something may stand there. */
class ExportTarget implements CopyTarget {
  readonly capacity: number
  readonly grain: number
  readonly #store: ExportStore
  readonly #zeros = new Set<Promise<void>>()
  #failure: unknown
  #end = 0

  constructor(store: ExportStore) {
    this.#store = store
    this.capacity = store.size
    this.grain = Math.max(4096, store.facts.minimum)
  }

  place(
    offset: number,
    length: number,
  ): { readonly store: ExportStore; readonly position: number; readonly length: number } {
    if (this.#failure !== undefined) throw this.#failure as Error
    this.#clearTo(offset)
    this.#end = offset + length
    return { store: this.#store, position: offset, length }
  }

  zero(): void {
    // What is not placed becomes zero.
  }

  /** Makes the rest zero, and waits until everything is. */
  async finish(): Promise<void> {
    this.#clearTo(this.capacity)
    await this.settled()
    if (this.#failure !== undefined) throw this.#failure as Error
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#zeros)
  }

  #clearTo(offset: number): void {
    if (offset <= this.#end) return
    const cleared = this.#store
      .clear(this.#end, offset - this.#end)
      .catch((error: unknown) => {
        this.#failure ??= error
      })
      .finally(() => this.#zeros.delete(cleared))
    this.#zeros.add(cleared)
  }
}

/**
 * Writes a disk onto an export that is at least as large; the rest of it becomes zero.
 * @throws ImageError target E_TOO_SMALL, E_WRITE_PERMISSION, E_EXISTS, E_WRITE, E_NO_SPACE; refused E_SAME_FILE; mismatch
 * E_MISMATCH; aborted E_ABORTED; those of connecting.
 */
export async function writeToExport(
  conversion: Conversion,
  target: NbdLocation,
  options: ToExportOptions,
): Promise<CopyResult & { readonly capacity: number; readonly notes: readonly Note[] }> {
  if (conversion.opened.layers.some(({ location }) => location.id === target.id))
    throw refused('E_SAME_FILE', `the target ${target.label} is the export that is being read`, {
      hint: 'Give another target; no flag overrides this.',
    })
  using store = target.store()
  const { disk } = conversion
  checkExport(store, disk, options.force === true)
  const notes: Note[] = []
  if (store.size > disk.capacity)
    notes.push({
      code: 'W_LARGER_EXPORT',
      message:
        `the export is ${store.size - disk.capacity} bytes longer than the disk; the rest of it reads as ` +
        'zero: a GPT wants its second table there (vdisk partition fix)',
    })
  if (!store.facts.flags.flush)
    notes.push({
      code: 'W_NO_FLUSH',
      message: 'the server cannot be asked to flush: when what was written is on its medium is not known',
    })
  if (options.dryRun === true) return { capacity: store.size, bytesRead: 0, bytesWritten: 0, notes }
  try {
    const moved = await write(conversion, store, options)
    conversion.assertUnchanged()
    if (options.verify === true) await verify(conversion, target, store.size, options)
    options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
    return { ...moved, capacity: store.size, notes }
  } catch (error) {
    if (!isImageError(error) || error.kind !== 'aborted') throw error
    throw aborted(error.message, {
      hint: 'The export holds a part of the new disk, and the rest of what it held before: write it again.',
      cause: error,
    })
  }
}

async function write(conversion: Conversion, store: ExportStore, options: ToExportOptions): Promise<CopyResult> {
  const target = new ExportTarget(store)
  try {
    const moved = await copy({ ...conversion.moving, target })
    options.onProgress?.({ phase: 'flush', done: 0, total: 1 })
    await target.finish()
    if (options.flush !== false) await store.flushed()
    return moved
  } finally {
    // The store is closed next: nothing may be under way.
    await target.settled()
  }
}

function checkExport(store: ExportStore, disk: BlockSource, force: boolean): void {
  if (store.facts.flags.readOnly) throw targetError('E_WRITE_PERMISSION', `${store.name} is served for reading only`)
  if (store.size < disk.capacity) {
    throw targetError('E_TOO_SMALL', `${store.name} has ${store.size} bytes, and the disk ${disk.capacity}`, {
      details: { size: store.size, capacity: disk.capacity },
      hint: 'Make the export larger, or give --size, if the end of the disk is zero.',
    })
  }
  if (!force && mayHaveContent(store))
    throw targetError('E_EXISTS', `${store.name} may have content already`, {
      hint: 'Use --force to write over it; it is overwritten from the start on.',
    })
}

/** Whether the server does not say that all of the export is zero. */
function mayHaveContent(store: ExportStore): boolean {
  for (let position = 0; position < store.size;) {
    const { hole, length } = store.holeAt(position, Math.min(longestRun, store.size - position))
    if (!hole) return true
    position += length
  }
  return false
}

/** Reads it all back over new connections. */
async function verify(
  conversion: Conversion,
  target: NbdLocation,
  size: number,
  options: ToExportOptions,
): Promise<void> {
  try {
    using image = openLocation(target)
    if (image.capacity !== size)
      throw new ImageError('mismatch', 'E_MISMATCH', `the export has ${image.capacity} bytes now, and had ${size}`)
    const { equal, offset } = await compareSources(conversion.disk, image, {
      threads: options.threads,
      signal: options.signal,
      onProgress: options.onProgress,
    })
    if (!equal)
      throw new ImageError(
        'mismatch',
        'E_MISMATCH',
        `what the export holds differs from its source at offset ${offset ?? 0}`,
        { details: { offset } },
      )
  } catch (error) {
    conversion.assertUnchanged()
    if (isImageError(error) && (error.kind === 'mismatch' || error.kind === 'aborted')) throw error
    throw new ImageError(
      'mismatch',
      'E_VERIFY',
      `what was written cannot be read back: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
}
