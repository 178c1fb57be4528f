import { stopIfAborted, usage } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import { describe, type ImageInfo } from '../inspect/info.js'
import { openReadableLater, openStoreLater, type LaterOptions, type ReadOptions } from '../open/opening.js'
import { milliseconds } from '../../sys/clock.js'
import { nextTurn } from '../../sys/next-turn.js'
import { OwnStore, type ReadableStore } from './own-store.js'

export type ImageOptions = ReadOptions & LaterOptions

/** A run of the disk: `data` is stored somewhere in the chain, `zero` reads as zero and is not. Bytes. */
export interface Run {
  readonly offset: number
  readonly length: number
  readonly kind: 'data' | 'zero'
}

/** Which bytes {@link Image.chunks} gives. */
export interface ChunkOptions {
  /** Bytes; 0 when left out. */
  readonly start?: number
  /** Bytes, behind the last; the capacity when left out. */
  readonly end?: number
  /** Bytes of a piece; 1 MiB when left out. */
  readonly length?: number
  readonly signal?: AbortSignal
}

const chunkLength = 1048576

/** An image open for reading, with its whole chain. Close it with `using`, or `close()`. */
export class Image implements Disposable {
  readonly #opened: OpenedImage
  #closed = false

  constructor(opened: OpenedImage) {
    this.#opened = opened
  }

  /** Bytes of the disk. */
  get capacity(): number {
    return this.#opened.capacity
  }

  get sectorSize(): 512 | 4096 {
    return this.#opened.sectorSize
  }

  /** The format's id: `vhdx`. */
  get format(): string {
    return this.#opened.top.image.format
  }

  get subformat(): string {
    return this.#opened.top.image.subformat
  }

  /**
   * Bytes of the disk; the parents answer for what the image does not hold.
   * @throws RangeError outside [0, capacity]; ImageError corrupt where the image is damaged, usage E_CLOSED.
   */
  read(offset: number, length: number): Uint8Array {
    this.#assertRange(offset, offset + length)
    const bytes = new Uint8Array(length)
    this.#opened.read(offset, bytes)
    return bytes
  }

  /**
   * The runs of [start, end) in order, without gaps; neighbours differ in kind. Reads no content.
   * @throws RangeError as `read`; ImageError usage E_CLOSED.
   */
  *extents(start = 0, end = this.capacity): Generator<Run> {
    this.#assertRange(start, end)
    let run: Run | undefined
    for (let offset = start; offset < end;) {
      // Between two runs the caller may have closed it.
      this.#assertOpen()
      const extent = this.#opened.extentAt(offset, end - offset)
      const kind = extent.kind === 'data' || extent.kind === 'packed' ? 'data' : 'zero'
      if (run?.kind === kind) run = { ...run, length: run.length + extent.length }
      else {
        if (run !== undefined) yield run
        run = { offset, length: extent.length, kind }
      }
      offset += extent.length
    }
    if (run !== undefined) yield run
  }

  /**
   * The bytes of [start, end) in order, in pieces of at most `length`; each piece is the caller's own. For a stream:
   * `Readable.from(image.chunks())`. The image must stay open meanwhile.
   * @throws RangeError as `read`; ImageError corrupt, usage E_CLOSED; aborted once `signal` has fired.
   */
  async *chunks(options: ChunkOptions = {}): AsyncGenerator<Uint8Array> {
    const { start = 0, end = this.capacity, length = chunkLength, signal } = options
    this.#assertRange(start, end)
    if (!Number.isSafeInteger(length) || length < 1) throw new RangeError(`${length} is no length of a piece`)
    for (let offset = start; offset < end; offset += length) {
      // Reading is synchronous: others, and the signal, have their turn between two pieces.
      await nextTurn()
      stopIfAborted(signal)
      yield this.read(offset, Math.min(length, end - offset))
    }
  }

  /** The runs, as in `for await (const run of image)`: for images with very many, others have their turn meanwhile. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Run> {
    let rested = milliseconds()
    for (const run of this.extents()) {
      yield run
      if (milliseconds() - rested < 50) continue
      await nextTurn()
      rested = milliseconds()
    }
  }

  /** What `vdisk info` says. @throws ImageError usage E_CLOSED. */
  describe(): ImageInfo {
    this.#assertOpen()
    return describe(this.#opened)
  }

  /** Again and again does no harm. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#opened[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #assertOpen(): void {
    if (this.#closed) throw usage('E_CLOSED', `${this.#opened.name} is closed`)
  }

  /** @throws RangeError; ImageError usage E_CLOSED. */
  #assertRange(start: number, end: number): void {
    this.#assertOpen()
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end || end > this.capacity)
      throw new RangeError(`bytes from ${start} to ${end} leave the disk of ${this.capacity} bytes`)
  }
}

/**
 * Opens an image, or a partition of it (`disk.vhdx@2`), and its chain for reading. An image in a store of the caller's
 * has no neighbours: it can name no parent beside it.
 * @throws ImageError; an image that can be looked at but not read (encryption) is one too.
 */
export async function openImage(source: string | ReadableStore, options: ImageOptions = {}): Promise<Image> {
  return new Image(
    typeof source === 'string'
      ? await openReadableLater(source, options)
      : await openStoreLater(new OwnStore(source), options),
  )
}
