import { Recent } from '../../../binary/recent.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt } from '../../../errors.js'
import type { ImageError } from '../../../errors.js'
import { bitmapState, EntryTable, nextSetBit, payloadState, setBits } from './entries.js'
import type { PayloadEntry } from './entries.js'
import { bitmapIndex, payloadIndex } from './layout.js'
import type { Geometry } from './layout.js'
import { mebibyte } from './structs.js'
import type { Area } from './regions.js'

/** Entries that are read together: 64 KiB. A table may be 512 MiB long, so it is never held whole. */
const pieceEntries = 8192
const keptPieces = 16
/** Blocks further up in the file are not looked at for overlaps: twice the greatest disk. */
export const surveyedMebibytes = 2 ** 27

/** What one look over the whole table gives. */
export interface Survey {
  /** Payload blocks by state, 0–7. */
  readonly states: readonly number[]
  /** Entries with reserved bits set. */
  readonly reservedBits: number
  /** Entries that need no place in the file and name one. */
  readonly stalePositions: number
  /** Sector bitmap blocks that are present. */
  readonly bitmaps: number
}

/** Entries of one kind that follow each other in a piece of the table. */
export interface EntryRun {
  readonly kind: 'payload' | 'bitmap'
  readonly piece: EntryTable
  readonly slot: number
  readonly count: number
  /** Index of the first entry in the table. */
  readonly index: number
  /** The first payload block; of a sector bitmap its chunk. */
  readonly first: number
}

/** Why a block cannot lie where its entry says. */
export interface PlaceProblem {
  readonly code: string
  readonly message: string
}

/** The block allocation table (MS-VHDX 2.5), read by pieces. */
export class BlockTable {
  readonly #store: ByteStore
  readonly #position: number
  readonly #geometry: Geometry
  readonly #areas: readonly Area[]
  readonly #pieces: Recent<EntryTable>
  /** One bit a MiB of the file: claimed by more than one block. */
  #shared: Uint8Array | undefined

  /** @param areas of the file where no block may lie. @throws ImageError corrupt E_BAT_TOO_SHORT, E_TRUNCATED */
  constructor(store: ByteStore, region: Area, geometry: Geometry, areas: readonly Area[]) {
    const needed = geometry.tableEntries * 8
    if (needed > region.length) {
      throw corrupt(
        'E_BAT_TOO_SHORT',
        `${store.name}: the BAT region at byte ${region.position} is ${region.length} bytes long; a disk of ` +
          `${geometry.capacity} bytes in blocks of ${geometry.blockSize} needs ${needed}`,
        { details: { position: region.position, length: region.length, needed } },
      )
    }
    if (region.position + needed > store.size) {
      throw corrupt(
        'E_TRUNCATED',
        `${store.name}: the block allocation table at bytes ${region.position} to ${region.position + needed} ` +
          `passes the end of the file at ${store.size}`,
        { details: { position: region.position, size: store.size } },
      )
    }
    this.#store = store
    this.#position = region.position
    this.#geometry = geometry
    this.#areas = areas
    this.#pieces = new Recent(keptPieces, (index) => this.#read(index))
  }

  /** The entry of a payload block, not yet checked: see {@link checkPlace}. */
  payload(block: number): PayloadEntry {
    const index = payloadIndex(this.#geometry, block)
    return this.#piece(index).payload(index % pieceEntries)
  }

  /** The first block from `block` on, at most `limit`, that is not empty in this way: left to the parent, or zero. */
  emptyEnd(block: number, kind: 'absent' | 'zero', limit: number): number {
    const { chunkRatio } = this.#geometry
    let next = block
    while (next < limit) {
      const index = payloadIndex(this.#geometry, next)
      const piece = this.#piece(index)
      const start = index % pieceEntries
      // Up to the end of the piece or of the chunk, after which indices jump over a sector bitmap.
      const count = Math.min(limit - next, pieceEntries - start, chunkRatio - (next % chunkRatio))
      if (piece.empty) {
        if (kind === 'zero') return next
        next += count
        continue
      }
      for (let slot = start; slot < start + count; slot++, next++) {
        const state = piece.state(slot)
        const empty =
          kind === 'absent'
            ? state === payloadState.notPresent
            : state >= payloadState.undefined && state <= payloadState.unmapped
        if (!empty) return next
      }
    }
    return next
  }

  /** The bare state of a payload block. */
  state(block: number): number {
    const index = payloadIndex(this.#geometry, block)
    return this.#piece(index).state(index % pieceEntries)
  }

  /** Where the block lies by its entry, whatever its state. */
  positionOf(block: number): number {
    const index = payloadIndex(this.#geometry, block)
    return this.#piece(index).position(index % pieceEntries)
  }

  /** The position of a chunk's sector bitmap block. @throws ImageError corrupt E_SB_MISSING, E_BAT_RANGE */
  bitmapPosition(chunk: number, block: number): number {
    const index = bitmapIndex(this.#geometry, chunk)
    const piece = this.#piece(index)
    const state = piece.state(index % pieceEntries)
    const what = `sector bitmap of chunk ${chunk} (entry at byte ${this.#position + index * 8})`
    if (state !== bitmapState.present) {
      throw corrupt(
        'E_SB_MISSING',
        `${this.#store.name}: block ${block} is partly present, but the ${what} has state ${state}: ` +
          `${bitmapState.present} was expected`,
        { details: { position: this.#position + index * 8, block } },
      )
    }
    const position = piece.position(index % pieceEntries)
    const fault = this.#rangeFault(() => what, position, mebibyte, mebibyte)
    if (fault !== undefined) throw fault
    return position
  }

  /** The bare state of a chunk's sector bitmap block. */
  bitmapState(chunk: number): number {
    const index = bitmapIndex(this.#geometry, chunk)
    return this.#piece(index).state(index % pieceEntries)
  }

  /** The byte of a payload block's entry in the file, for messages. */
  entryPosition(block: number): number {
    return this.#position + payloadIndex(this.#geometry, block) * 8
  }

  /** @throws ImageError corrupt E_BAT_RANGE, E_TRUNCATED, E_OVERLAP where the block cannot lie at `position`. */
  checkPlace(block: number, position: number): void {
    const fault = this.placeFault(block, position)
    if (fault !== undefined) throw fault
  }

  /** What {@link checkPlace} would throw. */
  placeFault(block: number, position: number): ImageError | undefined {
    const { blockSize, capacity } = this.#geometry
    return this.#rangeFault(
      () => `block ${block} (entry at byte ${this.entryPosition(block)})`,
      position,
      blockSize,
      Math.min(blockSize, capacity - block * blockSize),
    )
  }

  #rangeFault(what: () => string, position: number, length: number, visible: number): ImageError | undefined {
    const problem = this.#problem(position, length, visible) ?? this.#sharing(position, length)
    return problem === undefined
      ? undefined
      : corrupt(problem.code, `${this.#store.name}: ${what()} ${problem.message}`, { details: { position } })
  }

  /** Why a payload block cannot lie at `position`, other blocks apart; the message goes on from its name. */
  placeProblem(block: number, position: number): PlaceProblem | undefined {
    const { blockSize, capacity } = this.#geometry
    return this.#problem(position, blockSize, Math.min(blockSize, capacity - block * blockSize))
  }

  /** The same for a sector bitmap block. */
  bitmapProblem(position: number): PlaceProblem | undefined {
    return this.#problem(position, mebibyte, mebibyte)
  }

  #problem(position: number, length: number, visible: number): PlaceProblem | undefined {
    const { size } = this.#store
    if (position < mebibyte)
      return { code: 'E_BAT_RANGE', message: `is said to lie at byte ${position}, in the headers` }
    // Only the part that the disk shows must be there: the last block's rest may be cut off.
    if (position + visible > size)
      return {
        code: position >= size ? 'E_BAT_RANGE' : 'E_TRUNCATED',
        message: `lies at bytes ${position} to ${position + visible}, past the end of the file at ${size}`,
      }
    const area = this.#areas.find(
      (candidate) => position < candidate.position + candidate.length && position + length > candidate.position,
    )
    return area === undefined
      ? undefined
      : { code: 'E_BAT_RANGE', message: `lies at byte ${position}, in the ${area.name} at byte ${area.position}` }
  }

  #sharing(position: number, length: number): PlaceProblem | undefined {
    if (this.#shared === undefined) return undefined
    const end = Math.min((position + length) / mebibyte, surveyedMebibytes)
    const at = nextSetBit(this.#shared, position / mebibyte, end)
    if (at < end)
      return {
        code: 'E_OVERLAP',
        message: `lies at byte ${position}, where another block lies too (byte ${at * mebibyte})`,
      }
    return undefined
  }

  /** Whether a chunk's sector bitmap block is there. */
  hasBitmap(chunk: number): boolean {
    return this.bitmapState(chunk) === bitmapState.present
  }

  /**
   * Changes the entry of a payload block. The table's store takes writes: it is the journal of an image open for
   * changes.
   */
  setPayload(block: number, state: number, position: number): void {
    this.#set(payloadIndex(this.#geometry, block), state, position)
  }

  /** Changes the entry of a chunk's sector bitmap block. */
  setBitmap(chunk: number, state: number, position: number): void {
    this.#set(bitmapIndex(this.#geometry, chunk), state, position)
  }

  /**
   * Every block that has a place in the file, by ascending index, sector bitmaps (of differencing disks) among them.
   */
  eachPlace(visit: (kind: 'payload' | 'bitmap', index: number, position: number) => void): void {
    const { differencing } = this.#geometry
    for (const { kind, piece, slot, count, first } of this.runs()) {
      if (piece.empty || (kind === 'bitmap' && !differencing)) continue
      for (let at = 0; at < count; at++) {
        const state = piece.state(slot + at)
        if (kind === 'payload' ? state >= payloadState.fullyPresent : state === bitmapState.present)
          visit(kind, first + at, piece.position(slot + at))
      }
    }
  }

  #set(index: number, state: number, position: number): void {
    const piece = this.#piece(index)
    const slot = index % pieceEntries
    piece.set(slot, state, position)
    this.#store.write(this.#position + index * 8, piece.entry(slot))
  }

  /** Every entry in the table's order, by runs that lie in one piece. */
  *runs(): Generator<EntryRun> {
    const { chunkRatio, chunks, payloadBlocks, tableEntries } = this.#geometry
    for (let chunk = 0; chunk < chunks; chunk++) {
      const first = chunk * (chunkRatio + 1)
      const end = first + Math.min(chunkRatio, payloadBlocks - chunk * chunkRatio)
      for (let index = first; index < end;) {
        const piece = this.#piece(index)
        const slot = index % pieceEntries
        const count = Math.min(pieceEntries - slot, end - index)
        yield { kind: 'payload', piece, slot, count, index, first: index - chunk }
        index += count
      }
      const index = bitmapIndex(this.#geometry, chunk)
      if (index < tableEntries)
        yield { kind: 'bitmap', piece: this.#piece(index), slot: index % pieceEntries, count: 1, index, first: chunk }
    }
  }

  /** Looks at every entry once: counts, and finds the places that more than one block claims. */
  survey(): Survey {
    const { blockSize, differencing } = this.#geometry
    const states = [0, 0, 0, 0, 0, 0, 0, 0]
    let reservedBits = 0
    let stalePositions = 0
    let bitmaps = 0
    const mebibytes = Math.min(Math.ceil(this.#store.size / mebibyte), surveyedMebibytes)
    const claimed = new Uint8Array(Math.ceil(mebibytes / 8))
    for (const { kind, piece, slot: start, count } of this.runs()) {
      if (kind === 'bitmap') {
        if (!differencing || piece.state(start) !== bitmapState.present) continue
        bitmaps++
        this.#claim(claimed, mebibytes, piece.position(start) / mebibyte, 1)
        continue
      }
      if (piece.empty) {
        states[payloadState.notPresent] = (states[payloadState.notPresent] ?? 0) + count
        continue
      }
      for (let slot = start; slot < start + count; slot++) {
        const state = piece.state(slot)
        states[state] = (states[state] ?? 0) + 1
        if (piece.reserved(slot)) reservedBits++
        if (state >= payloadState.fullyPresent)
          this.#claim(claimed, mebibytes, piece.position(slot) / mebibyte, blockSize / mebibyte)
        else if ((state === payloadState.notPresent || state === payloadState.zero) && piece.position(slot) !== 0)
          stalePositions++
      }
    }
    return { states, reservedBits, stalePositions, bitmaps }
  }

  #claim(claimed: Uint8Array, mebibytes: number, first: number, count: number): void {
    const end = Math.min(first + count, mebibytes)
    for (let at = nextSetBit(claimed, first, end); at < end; at = nextSetBit(claimed, at + 1, end))
      setBits((this.#shared ??= new Uint8Array(claimed.length)), at, at + 1)
    if (first < end) setBits(claimed, first, end)
  }

  #piece(entry: number): EntryTable {
    return this.#pieces.get(Math.floor(entry / pieceEntries))
  }

  #read(index: number): EntryTable {
    const bytes = new Uint8Array(Math.min(pieceEntries, this.#geometry.tableEntries - index * pieceEntries) * 8)
    this.#store.read(this.#position + index * pieceEntries * 8, bytes)
    return new EntryTable(bytes)
  }
}
