import { LinearTarget } from '../../block/linear-target.js'
import type { BlockSource, ByteStore, Note } from '../../block/types.js'
import { copy, longestRun } from '../../engine/index.js'
import { ImageError, refused, targetError, usage } from '../../errors.js'
import { openLocation } from '../../formats/open.js'
import type { Registry } from '../../formats/registry.js'
import type { NbdLocation } from '../../location/nbd.js'
import type { ExportStore } from '../../mount/nbd/export-store.js'
import { UnderWay } from '../../sys/under-way.js'
import type { Content } from './content.js'
import { proveEqual, readingBack, type Written } from './proof.js'
import type { Output, Sink, SinkOptions, SinkStepName, Transferred } from './sink.js'
import type { Step } from './step.js'

interface ExportOptions extends SinkOptions {
  readonly registry: Registry
  readonly to?: string
  readonly parent?: string
}

/** Clears what nothing is placed in beside the writing of data; a failure stops both. */
class ExportTarget extends LinearTarget {
  readonly #clearing = new UnderWay()

  constructor(store: ExportStore) {
    super(store, {
      capacity: store.size,
      grain: Math.max(4096, store.facts.minimum),
      clear: (position, length) => this.#clearing.begin(store.clear(position, length)),
    })
  }

  override place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    this.#clearing.stopIfFailed()
    return super.place(offset, length)
  }

  /** Clears the rest, and waits until everything is zero. */
  async finish(): Promise<void> {
    this.clearRest()
    await this.#clearing.settled()
  }

  async settled(): Promise<void> {
    await this.#clearing.ended()
  }
}

/** An export as the target of a conversion: it gets the disk's bytes. */
export class ExportOutput implements Output {
  readonly name: string
  readonly path = undefined
  readonly formatName = undefined
  readonly #location: NbdLocation
  readonly #options: ExportOptions

  constructor(location: NbdLocation, options: ExportOptions) {
    this.name = location.address
    this.#location = location
    this.#options = options
  }

  /** @throws ImageError usage E_NBD_TARGET. */
  check(): void {
    const { registry, to, parent } = this.#options
    if (to !== undefined && registry.get(to).plain !== true)
      throw usage('E_NBD_TARGET', `an NBD export takes the bytes of the disk, not an image of the format ${to}`)
    if (parent !== undefined) throw usage('E_NBD_TARGET', 'an NBD export cannot have a parent')
  }

  checkPlace(): void {
    // It is connected to when the source is known.
  }

  sink(content: Content): ExportSink {
    return new ExportSink(content, this.#location, this.#options)
  }
}

/**
 * Writes the disk of a source to an export. It throws ImageError: target E_TOO_SMALL, E_WRITE_PERMISSION, E_EXISTS,
 * E_WRITE, E_NO_SPACE; refused E_SAME_FILE; mismatch E_MISMATCH; aborted E_ABORTED; those of connecting.
 */
class ExportSink implements Sink {
  readonly left = 'The export holds a part of the new disk, and the rest of what it held before: write it again.'
  readonly capacity: number
  readonly given: number
  readonly notes: readonly Note[]
  readonly #content: Content
  readonly #location: NbdLocation
  readonly #options: ExportOptions
  readonly #store: ExportStore
  #result: Transferred | undefined

  /** Connects to the export, and looks whether it may be overwritten. */
  constructor(content: Content, target: NbdLocation, options: ExportOptions) {
    const { opened, disk } = content
    if (opened.layers.some(({ location }) => location.id === target.id))
      throw refused('E_SAME_FILE', `the target ${target.label} is the export that is being read`, {
        hint: 'Give another target; no flag overrides this.',
      })
    this.#content = content
    this.#location = target
    this.#options = options
    this.#store = target.store()
    try {
      checkExport(this.#store, disk, options.force === true)
    } catch (error) {
      this.#store[Symbol.dispose]()
      throw error
    }
    this.capacity = this.#store.size
    this.given = content.shape.capacity
    this.notes = exportNotes(this.#store, disk)
  }

  get result(): Transferred | undefined {
    return this.#result
  }

  get steps(): Step<SinkStepName>[] {
    const { label } = this.#location
    const { verify: wanted } = this.#options
    return [
      {
        name: 'write',
        message: `write ${this.#content.disk.capacity} bytes to ${label}, and clear what is not stored`,
        run: () => this.#write(),
      },
      ...(wanted === true
        ? [
            {
              name: 'verify' as const,
              message: 'read all of it back over new connections, and compare every byte with the source',
              run: async () => {
                await verify(this.#content, this.#location, this.capacity, this.#options)
                this.#done()
              },
            },
          ]
        : []),
    ]
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]()
  }

  async #write(): Promise<void> {
    const { flush, onProgress } = this.#options
    const target = new ExportTarget(this.#store)
    try {
      const moved = await copy({ ...this.#content.moving, target })
      onProgress?.({ phase: 'flush', done: 0, total: 1 })
      await target.finish()
      if (flush !== false) await this.#store.flushed()
      this.#result = moved
    } finally {
      // The store is closed later: nothing may be under way.
      await target.settled()
    }
    this.#content.assertUnchanged()
    if (this.#options.verify !== true) this.#done()
  }

  #done(): void {
    this.#options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
  }
}

function exportNotes(store: ExportStore, disk: BlockSource): Note[] {
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
  return notes
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
async function verify(content: Content, target: NbdLocation, size: number, options: ExportOptions): Promise<void> {
  const written: Written = { name: 'the export', unchanged: () => content.assertUnchanged() }
  await readingBack(written, async () => {
    using image = openLocation(target)
    if (image.capacity !== size)
      throw new ImageError('mismatch', 'E_MISMATCH', `the export has ${image.capacity} bytes now, and had ${size}`)
    await proveEqual(content.disk, image, written, options)
  })
}
