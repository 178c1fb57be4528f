import fs from 'node:fs'
import { movedPacked } from '../block/moved-extent.js'
import type { BlockSource, ByteStore, Extent } from '../block/types.js'
import { HostHoles } from './holes.js'

/** A run of a disk as bulk work sees it: holes of the host file are zero, and so is what lies past the disk's end. */
export type Stretch =
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number }
  | Extract<Extent, { kind: 'data' | 'packed' }>

/** Longest run asked of a source at a time: long enough to make skipping cheap, short enough to stay abortable. */
export const longestRun = 1024 * 1024 * 1024

/** Walks a disk's extents, holes of the host file taken out, forwards only. */
export class Walk {
  readonly #source: BlockSource
  readonly #capacity: number
  readonly #holes = new Map<ByteStore, HostHoles>()
  readonly #below = new Map<ByteStore, Walk>()
  #extent: Extent | undefined

  /** @param capacity bytes to walk over; past the source's end everything is zero. */
  constructor(source: BlockSource, capacity: number) {
    this.#source = source
    this.#capacity = capacity
  }

  /** The run at `offset`, at most `limit` bytes. */
  runAt(offset: number, limit: number): Stretch {
    if (offset >= this.#source.capacity)
      return { kind: 'zero', offset, length: Math.min(limit, this.#capacity - offset) }
    let extent = this.#extent
    if (extent === undefined || offset < extent.offset || offset >= extent.offset + extent.length) {
      extent = this.#source.extentAt(offset, Math.min(longestRun, this.#source.capacity - offset))
      this.#extent = extent
    }
    const skipped = offset - extent.offset
    const length = Math.min(limit, extent.length - skipped)
    switch (extent.kind) {
      case 'zero':
      case 'absent':
        return { kind: 'zero', offset, length }
      case 'packed':
        return movedPacked(extent, offset, length)
      case 'data': {
        const position = extent.position + skipped
        const { source } = extent.store
        if (source !== undefined) return this.#through(extent.store, source, position, offset, length)
        const host = this.#holesOf(extent.store).runAt(position, length)
        return host.hole
          ? { kind: 'zero', offset, length: host.length }
          : { kind: 'data', offset, length: host.length, store: extent.store, position }
      }
    }
  }

  /** What stands behind a store that is itself made of a disk, as a run of this disk. */
  #through(store: ByteStore, source: BlockSource, position: number, offset: number, limit: number): Stretch {
    let below = this.#below.get(store)
    if (below === undefined) this.#below.set(store, (below = new Walk(source, source.capacity)))
    const run = below.runAt(position, limit)
    switch (run.kind) {
      case 'zero':
        return { kind: 'zero', offset, length: run.length }
      case 'data':
        return { kind: 'data', offset, length: run.length, store: run.store, position: run.position }
      case 'packed':
        return movedPacked(run, offset, run.length, offset - position)
    }
  }

  #holesOf(store: ByteStore): HostHoles {
    let holes = this.#holes.get(store)
    if (holes === undefined) this.#holes.set(store, (holes = new HostHoles(store)))
    return holes
  }
}

/**
 * Reports when two runs are the same bytes of the same file, as in two children of one parent: they need not be read to
 * be equal.
 */
export class SamePlace {
  readonly #files = new Map<ByteStore, string>()

  /**
   * How many bytes from the start of both runs, which begin at the same offset, are the same bytes of one file; 0:
   * unknown.
   */
  length(a: Stretch, b: Stretch): number {
    if (
      a.kind === 'zero' ||
      b.kind === 'zero' ||
      a.position !== b.position ||
      this.#file(a.store) !== this.#file(b.store)
    )
      return 0
    if (a.kind === 'data' && b.kind === 'data') return Math.min(a.length, b.length)
    const same =
      a.kind === 'packed' &&
      b.kind === 'packed' &&
      a.unitOffset === b.unitOffset &&
      a.storedLength === b.storedLength &&
      a.unitLength === b.unitLength &&
      a.codec.id === b.codec.id
    return same ? Math.min(a.length, b.length) : 0
  }

  /** A name for the file behind a store, the same for every descriptor of it; a store without one is only itself. */
  #file(store: ByteStore): string {
    let name = this.#files.get(store)
    if (name === undefined) {
      if (store.fd === undefined) name = `store ${this.#files.size}`
      else {
        const { dev, ino } = fs.fstatSync(store.fd, { bigint: true })
        name = `file ${dev} ${ino}`
      }
      this.#files.set(store, name)
    }
    return name
  }
}
