import { roundDown, roundUp } from '../binary/integers.js'
import type { BlockSource, ByteStore } from '../block/types.js'
import { isShared } from '../codec/registry.js'
import type { ChunkPiece } from './chunk.js'
import { longestRun, SamePlace, Walk, type Stretch } from './walk.js'

/**
 * A piece only the main thread can read: its store has no descriptor, or one that does not take such a piece, or its
 * codec is a plugin's. `fetch`: it need not wait for the bytes.
 */
export interface LocalPiece {
  readonly at: number
  readonly length: number
  readonly offset: number
  readonly fetch?: (target: Uint8Array) => Promise<void>
}

/** The content of one disk within a chunk. Space that no piece covers is zero. */
export interface ChunkContent {
  readonly pieces: readonly ChunkPiece[]
  readonly local: readonly LocalPiece[]
}

/**
 * A part of the disk to be moved at once. `next` is the offset up to which the disk is dealt with when this chunk is
 * done.
 */
export interface Chunk {
  readonly offset: number
  readonly length: number
  readonly next: number
  readonly content: ChunkContent
  readonly base?: ChunkContent
  /** Bytes from `offset` on that the source stores as one run, as far as that is known without reading. */
  readonly ahead: number
}

/** A run of source bytes that may be shared with the target instead of being copied. */
export interface Shareable {
  readonly offset: number
  readonly length: number
  readonly next: number
  readonly store: ByteStore
  readonly position: number
}

export interface PlanOptions {
  /** Bytes of the disk to cover; past a source's end everything is zero. */
  readonly capacity: number
  /** At most this much a chunk, and what chunks are aligned to (bytes; a multiple of `align`). */
  readonly chunkLength: number
  /** Chunks begin and end at its multiples, except at the end of the disk. */
  readonly align: number
  /** A second disk whose content is fetched beside the first's. */
  readonly base?: BlockSource
  /** Make chunks too of what both disks have at the same place of the same file. */
  readonly readsSame?: boolean
  /** Make chunks of zeros too. */
  readonly zeros?: boolean
  /** Where to begin, in bytes: where a chunk ended; default 0. */
  readonly start?: number
}

/** Cuts a disk into chunks, leaving out what is known to be zero, or to be what the base has, without reading it. */
export class Plan {
  readonly #options: PlanOptions
  readonly #walk: Walk
  readonly #base: Walk | undefined
  readonly #samePlace = new SamePlace()
  #offset: number

  constructor(source: BlockSource, options: PlanOptions) {
    this.#options = options
    this.#offset = options.start ?? 0
    this.#walk = new Walk(source, options.capacity)
    this.#base = options.base === undefined ? undefined : new Walk(options.base, options.capacity)
  }

  /** Up to which offset chunks were given out, or the disk is known to need none. */
  get offset(): number {
    return this.#offset
  }

  /**
   * The next long run of plain data that begins here, to be shared instead of copied; undefined when the next thing is
   * something else.
   * Offset, position and length are multiples of `unit`, the length at least one chunk.
   */
  nextShareable(unit: number): Shareable | undefined {
    this.#skipKnown()
    const { capacity, chunkLength, align } = this.#options
    if (this.#offset >= capacity || this.#offset % align !== 0) return undefined
    const run = this.#walk.runAt(this.#offset, longestRun)
    if (run.kind !== 'data' || run.position % unit !== 0) return undefined
    const length = roundDown(run.length, Math.max(unit, align))
    if (length < chunkLength) return undefined
    this.#offset += length
    return { offset: run.offset, length, next: this.#offset, store: run.store, position: run.position }
  }

  /** The next chunk, or undefined at the end of the disk. */
  next(): Chunk | undefined {
    this.#skipKnown()
    const { capacity, chunkLength, align } = this.#options
    if (this.#offset >= capacity) return undefined
    const start = roundDown(this.#offset, align)
    const ahead = this.#runLength(start)
    let end = Math.min(capacity, roundDown(start, chunkLength) + chunkLength)
    if (this.#options.zeros !== true) end = this.#base === undefined ? this.#dataEnd(end) : this.#otherEnd(end)
    this.#offset = end
    const content = collect(this.#walk, start, end)
    return {
      offset: start,
      length: end - start,
      next: end,
      content,
      ahead,
      base: this.#base === undefined ? undefined : collect(this.#base, start, end),
    }
  }

  #runLength(offset: number): number {
    if (offset >= this.#options.capacity) return 0
    const run = this.#walk.runAt(offset, longestRun)
    return run.kind === 'data' ? run.length : 0
  }

  /** Goes past what needs no look: zeros, and with a base what is zero on both or the same bytes of the same file. */
  #skipKnown(): void {
    if (this.#options.zeros === true) return
    while (this.#offset < this.#options.capacity) {
      const limit = Math.min(longestRun, this.#options.capacity - this.#offset)
      const run = this.#walk.runAt(this.#offset, limit)
      const base = this.#base?.runAt(this.#offset, run.length)
      if (base === undefined) {
        if (run.kind !== 'zero') return
        this.#offset += run.length
        continue
      }
      const same =
        run.kind === 'zero' && base.kind === 'zero' ? Math.min(run.length, base.length) : this.#sameLength(run, base)
      if (same === 0) return
      this.#offset += same
    }
  }

  /** How many bytes from here on are the same bytes of one file, which need not be read. */
  #sameLength(run: Stretch, base: Stretch): number {
    return this.#options.readsSame === true ? 0 : this.#samePlace.length(run, base)
  }

  /** Where the chunk that begins at the current offset ends: where both have the same bytes of one file for a unit. */
  #otherEnd(limit: number): number {
    let offset = this.#offset
    while (offset < limit) {
      const run = this.#walk.runAt(offset, limit - offset)
      const base = this.#base?.runAt(offset, run.length) ?? run
      const close = roundUp(offset, this.#options.align)
      const same = this.#sameLength(run, base)
      if (same > 0 && offset + same > close) return Math.min(limit, close)
      offset += same > 0 ? same : base.length
    }
    return limit
  }

  /** Where the chunk that begins at the current offset ends: at the first zeros that fill a whole aligned unit. */
  #dataEnd(limit: number): number {
    let offset = this.#offset
    while (offset < limit) {
      const run = this.#walk.runAt(offset, limit - offset)
      const close = roundUp(offset, this.#options.align)
      if (run.kind === 'zero' && offset + run.length > close) return Math.min(limit, close)
      offset += run.length
    }
    return limit
  }
}

/** Units up to this are decoded once a chunk: chunks are then as long. */
const longestUnit = 32 * 1024 * 1024
/** Chunks of units whose lengths are no multiples of a sector are at least as long. */
const oddUnits = 8 * 1024 * 1024
/** Bytes of chunks in flight, where these are large: three of 24 MiB, as "xz -T0" has them; a fourth saves no time. */
const mostInFlight = 72 * 1024 * 1024

/**
 * How many chunks are in flight: fewer where they are large, and as many as a far store wants to have under way.
 * @param wanted otherwise. @param chunkLength bytes of one, of all disks together.
 */
export function lanesFor(wanted: number, chunkLength: number, ...sources: readonly BlockSource[]): number {
  const near = Math.min(wanted, Math.max(2, Math.floor(mostInFlight / chunkLength)))
  const far = Math.floor(Math.max(0, ...sources.map(underWay)) / chunkLength)
  const chunks = Math.ceil(Math.max(0, ...sources.map(({ capacity }) => capacity)) / chunkLength)
  return Math.max(near, Math.min(far, chunks))
}

/** Runs that are looked at to learn where a disk's bytes come from. */
const firstRuns = 64

/** Bytes that the store of a disk's first data wants to have under way at once. */
function underWay(source: BlockSource): number {
  return firstStore(source)?.underWay ?? 0
}

/** Whether a disk's bytes are read past the page cache, as those of a device are. */
export function isReadPastCache(source: BlockSource): boolean {
  return (firstStore(source)?.descriptorAlignment ?? 1) > 1
}

function firstStore(source: BlockSource): ByteStore | undefined {
  const walk = new Walk(source, source.capacity)
  let offset = 0
  for (let count = 0; count < firstRuns && offset < source.capacity; count++) {
    const run = walk.runAt(offset, longestRun)
    if (run.kind !== 'zero') return run.store
    offset += run.length
  }
  return undefined
}

/**
 * How long chunks of a disk are best, in bytes: where it is compressed in large units, as long as the first of them, so
 * that no unit is decoded for several chunks. @param least otherwise. @param align what it is to be a multiple of.
 */
export function chunkLengthFor(source: BlockSource, least: number, align: number): number {
  const run = source.capacity === 0 ? undefined : new Walk(source, source.capacity).runAt(0, 1)
  const unit = run?.kind === 'packed' && run.unitLength <= longestUnit ? run.unitLength : 0
  // Units of odd lengths (the blocks of bzip2) cross the ends of chunks, and are decoded for both.
  return Math.max(least, roundUp(unit % 512 === 0 ? unit : Math.max(unit, oddUnits), align))
}

/** Gives the content of any range of a disk, in any order. */
export class ContentReader {
  readonly #walk: Walk

  constructor(source: BlockSource, capacity: number) {
    this.#walk = new Walk(source, capacity)
  }

  at(offset: number, length: number): ChunkContent {
    return collect(this.#walk, offset, offset + length)
  }
}

/** How a run is had without keeping this thread waiting. Undefined where it is not. @param plain its unit, decoded. */
function fetchOf(
  run: Exclude<Stretch, { kind: 'zero' }>,
  offset: number,
  plain: Uint8Array | undefined,
): LocalPiece['fetch'] {
  if (run.kind === 'packed') {
    const within = offset - run.unitOffset
    if (plain === undefined) return undefined
    return (target) => {
      target.set(plain.subarray(within, within + target.length))
      return Promise.resolve()
    }
  }
  const { store, position } = run
  return store.fetch && (async (target) => await store.fetch?.(position, target))
}

/** The unit of a run, where it was decoded already. */
function decodedUnit(run: Extract<Stretch, { kind: 'packed' }>): Uint8Array | undefined {
  return run.decoded?.lend(run.store, run.position, run.unitLength)
}

function collect(walk: Walk, start: number, end: number): ChunkContent {
  const pieces: ChunkPiece[] = []
  const local: LocalPiece[] = []
  let offset = start
  while (offset < end) {
    const run = walk.runAt(offset, end - offset)
    const at = offset - start
    if (run.kind !== 'zero') {
      const {
        length,
        store: { fd: descriptor, name, descriptorAlignment = 1 },
        position,
      } = run
      const fits =
        descriptorAlignment === 1 ||
        (run.kind === 'data' && [position, length, at].every((value) => value % descriptorAlignment === 0))
      const isShut = descriptor === undefined || !fits || (run.kind === 'packed' && !isShared(run.codec))
      const plain = run.kind === 'packed' ? decodedUnit(run) : undefined
      if (isShut || plain !== undefined) local.push({ at, length, offset, fetch: fetchOf(run, offset, plain) })
      else if (run.kind === 'data') pieces.push({ kind: 'data', at, length, descriptor, position, name })
      else {
        pieces.push({
          kind: 'packed',
          at,
          length,
          descriptor,
          position,
          name,
          storedLength: run.storedLength,
          codec: run.codec.id,
          unitOffset: run.unitOffset,
          unitLength: run.unitLength,
          within: offset - run.unitOffset,
        })
      }
    }
    offset += run.length
  }
  return { pieces, local }
}
