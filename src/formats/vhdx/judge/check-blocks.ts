import type { Work } from '../../../block/work.js'
import { ceilDivide } from '../../../binary/integers.js'
import { isZero } from '../../../binary/zero.js'
import type { ByteStore } from '../../../block/types.js'
import type { Finding } from '../../driver.js'
import { surveyedMebibytes, type BlockTable, type EntryRun } from '../format/bat.js'
import {
  addBits,
  bitRunEnd,
  bitmapState,
  EntryTable,
  nextSetBit,
  payloadState,
  setBits,
  testBit,
} from '../format/entries.js'
import { payloadIndex, type Geometry } from '../format/layout.js'
import type { Area } from '../format/regions.js'
import { maximumCapacity, mebibyte } from '../format/structs.js'

type Place = Required<Pick<Finding, 'structure' | 'position'>>

interface Layout {
  readonly geometry: Geometry
  readonly bat: Area
  /** The log and all regions. */
  readonly areas: readonly Area[]
}

/** So many shared MiB have their first owner named. */
const mostOwners = 65536
/** QEMU leaves as much after the metadata for their growth: behind structures it is no loss. */
const roomForStructures = 4 * mebibyte
const entriesPerStep = 65536
/** A table of the greatest disk there is, in the smallest blocks. */
const longestTable = (maximumCapacity / mebibyte + maximumCapacity / 2 ** 32) * 8

/** The BAT, and who owns what of the file. */
export function* checkBlocks(store: ByteStore, table: BlockTable, layout: Layout): Work<void, Finding> {
  yield* new BlockCheck(store, table, layout).run()
}

class BlockCheck {
  readonly #store: ByteStore
  readonly #table: BlockTable
  readonly #layout: Layout
  readonly #mebibytes: number
  /**
   * A bit for each MiB of the file: a block lies there; more than one does; a block had its place there and may get it
   * back.
   */
  readonly #claimed: Uint8Array
  #shared: Uint8Array | undefined
  #kept: Uint8Array | undefined
  readonly #found: Finding[] = []
  #done = 0

  constructor(store: ByteStore, table: BlockTable, layout: Layout) {
    this.#store = store
    this.#table = table
    this.#layout = layout
    this.#mebibytes = Math.min(ceilDivide(store.size, mebibyte), surveyedMebibytes)
    this.#claimed = new Uint8Array(ceilDivide(this.#mebibytes, 8))
  }

  *run(): Work<void, Finding> {
    for (const run of this.#table.runs()) {
      if (run.kind === 'bitmap') this.#bitmap(run)
      else if (!run.piece.empty) {
        for (let at = 0; at < run.count; at++) {
          this.#payload(run.piece, run.slot + at, run.first + at)
          if (this.#found.length > 0) yield* this.#found.splice(0)
        }
      }
      yield* this.#found.splice(0)
      yield* this.#step(run.count)
    }
    if (this.#shared !== undefined) yield* this.#overlaps(this.#shared)
    yield* this.#beyond()
    yield* this.#gaps()
  }

  #payload(piece: EntryTable, slot: number, block: number): void {
    const state = piece.state(slot)
    const position = piece.position(slot)
    const reserved = piece.reserved(slot)
    if (!reserved && position === 0 && state <= payloadState.unmapped) return
    const { geometry } = this.#layout
    const at = (): Place => this.#entry(payloadIndex(geometry, block))
    if (reserved)
      this.#add('warning', 'W_BAT_RESERVED_BITS', at(), `reserved bits of the entry of block ${block} are set`)
    switch (state) {
      case payloadState.notPresent:
      case payloadState.zero:
        if (position !== 0)
          this.#add(
            'warning',
            'W_BAT_STALE_POSITION',
            at(),
            `block ${block} is ${state === payloadState.zero ? 'zero' : 'not present'}, but its entry names ` +
              `byte ${position}${state === payloadState.zero ? '; Hyper-V refuses such a disk' : ''}`,
          )
        return
      case payloadState.undefined:
      case payloadState.unmapped:
        // The block's former place: the next write of the block may use it again.
        if (position !== 0 && this.#table.placeProblem(block, position) === undefined)
          this.#kept = this.#mark(this.#kept, position, geometry.blockSize)
        return
      case payloadState.fullyPresent:
      case payloadState.partiallyPresent: {
        if (state === payloadState.partiallyPresent) this.#partial(block, at())
        const problem = this.#table.placeProblem(block, position)
        if (problem === undefined) this.#claim(position, geometry.blockSize)
        else this.#add('error', problem.code, at(), `block ${block} ${problem.message}`)
        return
      }
      default:
        this.#add(
          'error',
          'E_BAT_STATE',
          at(),
          `block ${block} has the reserved state ${state}: what it holds is not known`,
        )
    }
  }

  #partial(block: number, at: Place): void {
    const { differencing, chunkRatio } = this.#layout.geometry
    if (!differencing) {
      this.#add(
        'error',
        'E_BAT_STATE',
        at,
        `block ${block} is partly present, but the disk has no parent that could hold the rest`,
      )
      return
    }
    const chunk = Math.floor(block / chunkRatio)
    const state = this.#table.bitmapState(chunk)
    if (state !== bitmapState.present)
      this.#add(
        'error',
        'E_SB_MISSING',
        at,
        `block ${block} is partly present, but the sector bitmap of chunk ${chunk}, which says which part, ` +
          `has the state ${state}`,
      )
  }

  #bitmap({ piece, slot, first: chunk, index }: EntryRun): void {
    const state = piece.state(slot)
    const position = piece.position(slot)
    const reserved = piece.reserved(slot)
    if (state === bitmapState.notPresent && position === 0 && !reserved) return
    const at = this.#entry(index)
    const name = `the sector bitmap of chunk ${chunk}`
    if (reserved) this.#add('warning', 'W_BAT_RESERVED_BITS', at, `reserved bits of the entry of ${name} are set`)
    if (!this.#layout.geometry.differencing) {
      if (state !== bitmapState.notPresent)
        this.#add(
          'error',
          'E_SB_UNEXPECTED',
          at,
          `${name} has the state ${state} (at byte ${position}), but a disk without parent has no sector ` +
            'bitmaps: the entry of a block may have slipped into this slot, as with QEMU before 8.0.1',
        )
    } else if (state === bitmapState.present) {
      const problem = this.#table.bitmapProblem(position)
      if (problem === undefined) this.#claim(position, mebibyte)
      else this.#add('error', problem.code, at, `${name} ${problem.message}`)
    } else if (state !== bitmapState.notPresent) {
      this.#add(
        'error',
        'E_BAT_STATE',
        at,
        `${name} has the state ${state}; ${bitmapState.notPresent} or ${bitmapState.present} was expected`,
      )
    } else if (position !== 0) {
      this.#add('warning', 'W_BAT_STALE_POSITION', at, `${name} is not present, but its entry names byte ${position}`)
    }
  }

  #add(severity: Finding['severity'], code: string, at: Place, message: string): void {
    this.#found.push({ severity, code, ...at, message })
  }

  #claim(position: number, length: number): void {
    const end = Math.min((position + length) / mebibyte, this.#mebibytes)
    for (
      let mib = nextSetBit(this.#claimed, position / mebibyte, end);
      mib < end;
      mib = nextSetBit(this.#claimed, mib + 1, end)
    ) {
      this.#shared = this.#mark(this.#shared, mib * mebibyte, mebibyte)
    }
    this.#mark(this.#claimed, position, length)
  }

  /** Reports every block that shares a MiB with one before it in the table. */
  *#overlaps(shared: Uint8Array): Work<void, Finding> {
    const { blockSize, differencing } = this.#layout.geometry
    const owners = new Map<number, string>()
    for (const { kind, piece, slot: start, count, first, index } of this.#table.runs()) {
      yield* this.#step(count)
      if (piece.empty || (kind === 'bitmap' && !differencing)) continue
      for (let at = 0; at < count; at++) {
        const slot = start + at
        const state = piece.state(slot)
        const position = piece.position(slot)
        const length = kind === 'payload' ? blockSize : mebibyte
        if (kind === 'payload' ? state < payloadState.fullyPresent : state !== bitmapState.present) continue
        const end = Math.min((position + length) / mebibyte, this.#mebibytes)
        let mib = nextSetBit(shared, position / mebibyte, end)
        if (mib >= end) continue
        if (
          (kind === 'payload'
            ? this.#table.placeProblem(first + at, position)
            : this.#table.bitmapProblem(position)) !== undefined
        )
          continue
        const what = kind === 'payload' ? `block ${first + at}` : `the sector bitmap of chunk ${first}`
        const owner = owners.get(mib)
        if (owner !== undefined || owners.size >= mostOwners)
          yield {
            severity: 'error',
            code: 'E_OVERLAP',
            ...this.#entry(index + at),
            message:
              `${what} at byte ${position} shares bytes with ${owner ?? 'another block'} (from byte ` +
              `${mib * mebibyte} on)`,
          }
        for (; mib < end && owners.size < mostOwners; mib++)
          if (testBit(shared, mib) && !owners.has(mib)) owners.set(mib, what)
      }
    }
  }

  /** Entries behind the last one that the disk needs, up to the end of the region. */
  *#beyond(): Work<void, Finding> {
    const {
      bat,
      geometry: { tableEntries, payloadBlocks },
    } = this.#layout
    const end = Math.min(bat.position + Math.min(bat.length, longestTable), this.#store.size)
    const piece = new Uint8Array(mebibyte)
    for (let position = bat.position + tableEntries * 8; position < end;) {
      const length = Math.min(piece.length, end - position)
      const bytes = piece.subarray(0, length - (length % 8))
      if (bytes.length === 0) return
      this.#store.read(position, bytes)
      if (!isZero(bytes)) {
        const entries = new EntryTable(bytes)
        for (let slot = 0; slot < entries.length; slot++) {
          const state = entries.state(slot)
          const place = entries.position(slot)
          if (state === 0 && place === 0) continue
          const index = (position - bat.position) / 8 + slot
          const stored = state >= payloadState.fullyPresent
          yield {
            severity: stored ? 'leak' : 'warning',
            code: stored ? 'L_BLOCK_BEYOND_DISK' : 'W_BAT_UNUSED_ENTRY',
            ...this.#entry(index),
            message:
              `the entry has the state ${state} and names byte ${place}, but the disk ends with block ` +
              `${payloadBlocks - 1}; it is not used`,
          }
          // Its space is reported with it.
          if (stored) this.#kept = this.#mark(this.#kept, place, this.#layout.geometry.blockSize)
        }
      }
      position += bytes.length
      yield* this.#step(entriesPerStep)
    }
  }

  /** Runs of the file that belong to nothing. */
  *#gaps(): Generator<Finding> {
    if (ceilDivide(this.#store.size, mebibyte) > this.#mebibytes) {
      yield {
        severity: 'warning',
        code: 'W_NOT_CHECKED',
        structure: 'file',
        position: this.#mebibytes * mebibyte,
        message: 'what lies behind this byte was not checked for blocks that share bytes or belong to nothing',
      }
    }
    const structures = new Uint8Array(this.#claimed.length)
    setBits(structures, 0, Math.min(1, this.#mebibytes))
    for (const { position, length } of this.#layout.areas) this.#mark(structures, position, length)
    const used = structures.slice()
    addBits(used, this.#claimed)
    if (this.#kept !== undefined) addBits(used, this.#kept)
    for (let mib = 0; mib < this.#mebibytes;) {
      const end = bitRunEnd(used, mib, this.#mebibytes)
      const position = mib * mebibyte
      const length = Math.min(end * mebibyte, this.#store.size) - position
      const afterStructure = mib > 0 && testBit(structures, mib - 1)
      if (!testBit(used, mib) && length >= mebibyte && !(afterStructure && length <= roomForStructures)) {
        yield {
          severity: 'leak',
          code: 'L_UNREFERENCED',
          structure: 'file',
          position,
          message: `${length} bytes, up to byte ${position + length}, belong to no block and no structure`,
        }
      }
      mib = end
    }
  }

  #entry(index: number): Place {
    return { structure: `BAT entry ${index}`, position: this.#layout.bat.position + index * 8 }
  }

  #mark(bits: Uint8Array | undefined, position: number, length: number): Uint8Array {
    const marked = bits ?? new Uint8Array(this.#claimed.length)
    const first = position / mebibyte
    if (first < this.#mebibytes) setBits(marked, first, Math.min(first + ceilDivide(length, mebibyte), this.#mebibytes))
    return marked
  }

  *#step(entries: number): Work<void> {
    const before = Math.floor(this.#done / entriesPerStep)
    this.#done += entries
    const total = this.#layout.geometry.tableEntries * (this.#shared === undefined ? 1 : 2)
    if (Math.floor(this.#done / entriesPerStep) > before) yield { done: Math.min(this.#done, total), total }
  }
}
