import type { Note } from '../../block/types.js'
import { ZeroSource } from '../../block/zero.js'
import { copy, type CopyResult, type Progress } from '../../engine/index.js'
import { usage } from '../../errors.js'
import type { DiskShape, ImageWriter } from '../../formats/driver.js'
import { imageIdentity } from './identity.js'
import { chainOptions, type ChainOptions } from '../open/opening.js'
import { chooseSectorSize, layoutNotes, tryLayout, type TargetFormat } from './layout.js'
import { openNewParent, type NewParent } from './parent.js'

export interface EmptyDiskOptions extends ChainOptions {
  /** Bytes; may be left out with a parent, whose capacity it then has. */
  readonly size?: number
  readonly sectorSize?: 512 | 4096
  /** An existing image that the new one is to be a child of. */
  readonly parent?: string
  /** The id of the new image; random when left out. */
  readonly uuid?: string
  /** Creation time to record, in seconds since 1970. */
  readonly time?: number
  /** Makes of the size what a platform takes. */
  readonly fit?: EmptyFit
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** @param given the capacity that the format gives a disk. */
export type EmptyFit = (
  capacity: number,
  sectorSize: 512 | 4096,
  given: (capacity: number) => number,
) => { readonly capacity: number; readonly notes: readonly Note[] }

/** A disk without content that is to become an image: all zero, or all its parent's. Closing it closes the parent. */
export class EmptyDisk implements Disposable {
  readonly parent: NewParent | undefined
  readonly shape: DiskShape
  readonly #format: TargetFormat
  readonly #options: EmptyDiskOptions
  readonly #fitNotes: readonly Note[]

  /**
   * @param path where the image is to be. @throws ImageError usage E_SIZE, E_SECTOR_SIZE; those of opening the parent.
   */
  constructor(path: string, format: TargetFormat, options: EmptyDiskOptions) {
    const { driver } = format
    const parent =
      options.parent === undefined ? undefined : openNewParent(options.parent, path, driver, chainOptions(options))
    try {
      const capacity = options.size ?? parent?.opened.capacity
      if (capacity === undefined)
        throw usage('E_SIZE', 'a new image needs a size, or a parent to take it from', {
          hint: 'For example: vdisk create disk.vhdx 64G',
        })
      const sectorSize = chooseSectorSize(driver, parent?.opened.sectorSize, options.sectorSize)
      const identity = imageIdentity(options.uuid, options.time)
      const shapeOf = (bytes: number): DiskShape => ({
        capacity: bytes,
        sectorSize,
        identity,
        parent: parent?.shape,
      })
      const fitted = options.fit?.(capacity, sectorSize, (bytes) => tryLayout(format, shapeOf(bytes)).capacity)
      this.shape = shapeOf(fitted?.capacity ?? capacity)
      this.#fitNotes = fitted?.notes ?? []
    } catch (error) {
      parent?.opened[Symbol.dispose]()
      throw error
    }
    this.parent = parent
    this.#format = format
    this.#options = options
  }

  /** Only a fully preallocated image has something to write. */
  async fill(writer: ImageWriter): Promise<CopyResult> {
    if (writer.placeZeros !== true || this.parent !== undefined) return { bytesRead: 0, bytesWritten: 0 }
    const { signal, onProgress } = this.#options
    return await copy({
      source: new ZeroSource(writer.capacity, this.shape.sectorSize),
      target: writer,
      signal,
      onProgress,
    })
  }

  /** What the user should know. @param capacity that of the image. */
  notes(capacity: number): Note[] {
    const { parent, shape } = this
    return [
      ...(parent?.notes ?? []),
      ...this.#fitNotes,
      ...this.#format.notes,
      ...layoutNotes({ format: this.#format, shape, capacity, sourceSectorSize: undefined }),
    ]
  }

  [Symbol.dispose](): void {
    this.parent?.opened[Symbol.dispose]()
  }
}
