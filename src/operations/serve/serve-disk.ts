import { ContentReader, Walk, type TaskPool } from '../../engine/index.js'
import type { ExposedSlice } from '../../mount/exposed-slice.js'
import type { ServedDisk } from '../../mount/nbd/index.js'
import { syscalls } from '../../sys/syscalls.js'

/**
 * Shorter reads of compressed data are done at once, with the units decoded last at hand, as long as nothing else
 * waits.
 */
const worthThread = 32768
/** Runs of a disk that are joined at a time: looking at more would keep others waiting. */
const joinedRuns = 8192

/** Gives a disk to the NBD server: plain data is read at once, compressed data is decoded by threads. */
export class DiskServing implements ServedDisk {
  readonly name: string
  readonly description: string
  readonly capacity: number
  readonly writable: boolean
  readonly fastZero: boolean
  readonly #disk: ExposedSlice
  readonly #pool: TaskPool
  readonly #walk: Walk | undefined
  readonly #contents: ContentReader | undefined

  /** @param pool decodes compressed data. */
  constructor(
    disk: ExposedSlice,
    pool: TaskPool,
    { name, description }: { readonly name: string; readonly description: string },
  ) {
    this.name = name
    this.description = description
    this.capacity = disk.capacity
    this.writable = disk.writable
    // Formats only change their tables; of a raw file a hole is punched, where the system can.
    this.fastZero = disk.writable && syscalls() !== undefined
    this.#disk = disk
    this.#pool = pool
    // What was seen of a disk holds as long as nothing is written. Places that a thread reads later must not be given
    // to other content meanwhile.
    this.#walk = disk.writable ? undefined : new Walk(disk, disk.capacity)
    this.#contents = disk.writable ? undefined : new ContentReader(disk, disk.capacity)
  }

  read(offset: number, target: Uint8Array, waiting: boolean): Promise<void> | undefined {
    const extent = this.#disk.extentAt(offset, target.length)
    if (extent.kind === 'data' && extent.length === target.length) {
      extent.store.read(extent.position, target)
      return undefined
    }
    if (this.#contents !== undefined && (waiting || target.length >= worthThread)) {
      const { pieces, local } = this.#contents.at(offset, target.length)
      if (local.length === 0 && pieces.some(({ kind }) => kind === 'packed')) return this.#decode(target, pieces)
    }
    this.#disk.read(offset, target)
    return undefined
  }

  async #decode(target: Uint8Array, pieces: ReturnType<ContentReader['at']>['pieces']): Promise<void> {
    const { buffer, byteOffset, length } = target
    if (!(buffer instanceof SharedArrayBuffer)) throw new TypeError('the target lies in no shared memory')
    await this.#pool.run(
      { mode: 'fill', unit: 0, length, pieces, present: [] },
      { shared: buffer, start: byteOffset, bytes: target, half: length },
    )
  }

  runAt(
    offset: number,
    limit: number,
    purpose: 'read' | 'status',
  ): { readonly zero: boolean; readonly length: number } {
    const look = purpose === 'read' ? this.#tables : this.#stored()
    const first = look(offset, limit)
    let { length } = first
    for (let runs = 1; length < limit && runs < joinedRuns; runs++) {
      const next = look(offset + length, limit - length)
      if (next.zero !== first.zero) break
      length += next.length
    }
    return { zero: first.zero, length }
  }

  /** What the image's tables say. */
  readonly #tables = (offset: number, limit: number): { readonly zero: boolean; readonly length: number } => {
    const { kind, length } = this.#disk.extentAt(offset, limit)
    return { zero: kind === 'zero' || kind === 'absent', length }
  }

  /** The same, with the holes of the files in which data stands. */
  #stored(): (offset: number, limit: number) => { readonly zero: boolean; readonly length: number } {
    const walk = this.#walk ?? new Walk(this.#disk, this.capacity)
    return (offset, limit) => {
      const { kind, length } = walk.runAt(offset, limit)
      return { zero: kind === 'zero', length }
    }
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#disk.write(offset, bytes)
  }

  zero(offset: number, length: number): void {
    this.#disk.zero(offset, length)
  }

  flush(): void {
    this.#disk.flush()
  }
}
