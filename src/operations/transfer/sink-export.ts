import { LinearTarget } from '../../block/linear-target.js'
import type { BlockSource, ByteStore, Note } from '../../block/types.js'
import { copy, longestRun, type CopyOptions, type CopyResult, type Progress } from '../../engine/index.js'
import { aborted, ImageError, isImageError, refused, targetError, usage } from '../../errors.js'
import { openLocation } from '../../formats/open.js'
import type { Registry } from '../../formats/registry.js'
import type { NbdLocation } from '../../location/nbd.js'
import type { ExportStore } from '../../mount/nbd/export-store.js'
import type { Content } from './content.js'
import { proveEqual, readingBack, type Written } from './proof.js'

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
export function checkExportOptions(
  registry: Registry,
  options: { readonly to?: string; readonly parent?: string },
): void {
  if (options.to !== undefined && registry.get(options.to).plain !== true)
    throw usage('E_NBD_TARGET', `an NBD export takes the bytes of the disk, not an image of the format ${options.to}`)
  if (options.parent !== undefined) throw usage('E_NBD_TARGET', 'an NBD export cannot have a parent')
}

/** Clears what nothing is placed in beside the writing of data; a failure stops both. */
class ExportTarget extends LinearTarget {
  readonly #clearing = new Set<Promise<void>>()
  #failure: unknown

  constructor(store: ExportStore) {
    super(store, {
      capacity: store.size,
      grain: Math.max(4096, store.facts.minimum),
      clear: (position, length) => {
        const cleared = store
          .clear(position, length)
          .catch((error: unknown) => {
            this.#failure ??= error
          })
          .finally(() => this.#clearing.delete(cleared))
        this.#clearing.add(cleared)
      },
    })
  }

  override place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    this.#stopIfFailed()
    return super.place(offset, length)
  }

  /** Clears the rest, and waits until everything is zero. */
  async finish(): Promise<void> {
    this.clearRest()
    await this.settled()
    this.#stopIfFailed()
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#clearing)
  }

  #stopIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure as Error
  }
}

/**
 * Writes a disk onto an export that is at least as large; the rest of it becomes zero.
 * @throws ImageError target E_TOO_SMALL, E_WRITE_PERMISSION, E_EXISTS, E_WRITE, E_NO_SPACE; refused E_SAME_FILE;
 * mismatch E_MISMATCH; aborted E_ABORTED; those of connecting.
 */
export async function writeToExport(
  content: Content,
  target: NbdLocation,
  options: ToExportOptions,
): Promise<CopyResult & { readonly capacity: number; readonly notes: readonly Note[] }> {
  const { opened, disk } = content
  if (opened.layers.some(({ location }) => location.id === target.id))
    throw refused('E_SAME_FILE', `the target ${target.label} is the export that is being read`, {
      hint: 'Give another target; no flag overrides this.',
    })
  using store = target.store()
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
    const moved = await write(content.moving, store, options)
    content.assertUnchanged()
    if (options.verify === true) await verify(content, target, store.size, options)
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

async function write(
  moving: Omit<CopyOptions, 'target'>,
  store: ExportStore,
  options: ToExportOptions,
): Promise<CopyResult> {
  const target = new ExportTarget(store)
  try {
    const moved = await copy({ ...moving, target })
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
async function verify(content: Content, target: NbdLocation, size: number, options: ToExportOptions): Promise<void> {
  const written: Written = { name: 'the export', unchanged: () => content.assertUnchanged() }
  await readingBack(written, async () => {
    using image = openLocation(target)
    if (image.capacity !== size)
      throw new ImageError('mismatch', 'E_MISMATCH', `the export has ${image.capacity} bytes now, and had ${size}`)
    await proveEqual(content.disk, image, written, options)
  })
}
