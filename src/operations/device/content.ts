import { roundUp } from '../../binary/integers.js'
import { patchedSource } from '../../block/concatenated.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, Note } from '../../block/types.js'
import { isImageError, refused } from '../../errors.js'
import {
  planMendFor,
  readGpt,
  readPartitionTable,
  type IdChange,
  type Mend,
  type PartitionTable,
  type TableWrite,
} from '../../partition/index.js'
import { firstContent } from '../change/content-search.js'
import type { DeviceTarget } from './argument.js'
import { judgeFit, shrinkFirst, type Fitting } from './fit.js'
import { grownContent, nameOf, type GrownPartition } from './growth.js'
import { resizedVolume, type ResizedVolume } from '../partition/resized-volume.js'
import { movedNotes, sectorNotes, slackNotes, slackOf } from '../partition/notes.js'

export interface FittingOptions {
  /** Gives the disk and its partitions new ids: a UUID for a name (`disk`, `partition 2`). */
  readonly newId?: (name: string) => string
  /** Enlarges what lies last to the end of the target. */
  readonly grow?: boolean
  readonly signal?: AbortSignal
}

/** What a target is to hold. Bytes. */
export interface DeviceContent {
  /** The target as it is to read, all of it. */
  readonly source: BlockSource
  /** Where what is written ends; behind it the target keeps what it has, but for its last mebibyte. */
  readonly end: number
  /** What of `source` differs from the image, in bytes. */
  readonly changed: readonly { readonly position: number; readonly length: number }[]
  /** The table of `source`. */
  readonly table: PartitionTable
  readonly mends: readonly Mend[]
  readonly ids: readonly IdChange[]
  /** Bytes at the source's end that have no place, and where content begins in them. */
  readonly cut?: { readonly length: number; readonly content?: number }
  readonly grown?: GrownPartition
  readonly notes: readonly Note[]
}

/** What of a target decides what it is to hold. */
export type FittingTarget = Pick<DeviceTarget, 'disk' | 'partition' | 'size'>

/**
 * A disk, or a partition of one, that goes to a target of another size: what the target is to hold so that it is a
 * sound disk there.
 */
export class FittedDisk {
  readonly source: BlockSource
  readonly #target: FittingTarget
  readonly #table: PartitionTable
  readonly #resized: ResizedVolume
  readonly #notes: Note[] = []

  constructor(source: BlockSource, target: FittingTarget) {
    this.source = source
    this.#target = target
    this.#table = readPartitionTable(source)
    this.#resized = resizedVolume(source, target.size)
    this.#notes.push(...this.#resized.notes)
  }

  /** The partition table of the source as it is. */
  get table(): PartitionTable {
    return this.#table
  }

  /** What it is no more at the size of the target: a member whose metadata lies at its end. */
  get lost(): readonly string[] {
    return this.#resized.lost
  }

  /** Whether the target can do without the source's end; undefined where all of it has a place. */
  get fitting(): Fitting | undefined {
    const { size } = this.#target
    return this.source.capacity > size && size > 0 ? judgeFit(this.source, size) : undefined
  }

  /**
   * What the target is to hold: the backup of a GPT at its end, new ids, the last partition enlarged; of a smaller
   * target what has a place on it.
   * @throws ImageError refused E_DOES_NOT_FIT, E_SECTOR_MISFIT; usage E_NO_TABLE; corrupt E_GPT_CORRUPT; aborted
   * E_ABORTED.
   */
  async content(options: FittingOptions = {}): Promise<DeviceContent> {
    const { source } = this
    const { size, partition } = this.#target
    const sectorSize = sectorSizeOf(this.#target)
    const cut = source.capacity > size ? await this.#cutOff(options.signal) : undefined
    const adapted = this.#adapted(options)
    const table = readPartitionTable(this.#laid(adapted.writes))
    const { writes, grown } = options.grow === true ? this.#grown(adapted, table, sectorSize) : { writes: [] }
    const content = this.#laid([...adapted.writes, ...writes])
    if (partition !== undefined) {
      const { start, number } = partition
      this.#notes.push(...movedNotes(source, { start, sectorSize, number }))
      if (grown === undefined) this.#notes.push(...slackNotes(slackOf(source, { length: size }), number))
    } else this.#notes.push(...this.#sectorNotes(sectorSize))
    return {
      source: content,
      end: Math.min(roundUp(source.capacity, sectorSize), size),
      changed: [...adapted.writes, ...writes].map(({ position, bytes }) => ({ position, length: bytes.length })),
      table: writes.length === 0 ? table : readPartitionTable(content),
      mends: adapted.mends,
      ids: adapted.ids,
      notes: this.#notes,
      cut,
      grown,
    }
  }

  /** Of a whole disk: what no system mounts on one with such sectors. */
  #sectorNotes(sectorSize: number): Note[] {
    const { scheme, partitions, sectorSize: counted } = this.#table
    if (scheme === 'none') return sectorNotes(this.source, { sectorSize })
    // Filesystems in a table of such sectors were made for them.
    if (counted >= sectorSize) return []
    return partitions
      .filter(({ role, start, length }) => role !== 'extended' && start + length <= this.source.capacity)
      .flatMap(({ number, start, length }) =>
        sectorNotes(new SliceSource(this.source, start, length), { sectorSize, number }),
      )
  }

  /** The source with the target's size, and some bytes changed. */
  #laid(writes: readonly TableWrite[]): BlockSource {
    const { source } = this
    return patchedSource(source, writes, { capacity: this.#target.size, sectorSize: source.sectorSize })
  }

  /** A disk that keeps its size keeps its table as it is, byte for byte. */
  #adapted({ newId, grow }: FittingOptions): Adapted {
    const { source } = this
    const { size, partition } = this.#target
    const keeps = this.#table.scheme !== 'gpt' || (size === source.capacity && grow !== true)
    if (partition !== undefined || (newId === undefined && keeps)) return untouched
    try {
      const { writes, mends, ids } = planMendFor(source, size, newId === undefined ? {} : { newId })
      return { writes: [...this.#staleBackup(), ...writes.flat()], mends, ids }
    } catch (error) {
      // A table that cannot be mended is written as it is, like everything else; what was asked for must be possible.
      if (!isImageError(error) || newId !== undefined || size < source.capacity) throw error
      this.#notes.push({
        code: 'W_TABLE_AS_IT_IS',
        message: `the partition table was not fitted to the size of the target: ${error.message}`,
      })
      return untouched
    }
  }

  #grown(adapted: Adapted, table: PartitionTable, sectorSize: 512 | 4096): ReturnType<typeof grownContent> {
    const { size, partition } = this.#target
    const shape = { capacity: size, sectorSize, partition }
    return grownContent(this.#laid(adapted.writes), table, {
      shape,
      before: this.source.capacity,
      notes: this.#notes,
    })
  }

  /** The backup of a GPT where the disk ended before: other tools may take it for real. */
  #staleBackup(): TableWrite[] {
    if (this.#target.size <= this.source.capacity) return []
    return this.#backupPlaces()
      .filter(
        ({ position, length }) =>
          !this.#table.partitions.some(
            (other) => position < other.start + other.length && position + length > other.start,
          ),
      )
      .map(({ position, length }) => ({ position, bytes: new Uint8Array(length) }))
  }

  /** Where the backup of the source's GPT lies, in whole sectors; empty without one. */
  #backupPlaces(): { readonly position: number; readonly length: number }[] {
    const { scheme, sectorSize } = this.#table
    const copy = scheme === 'gpt' ? readGpt(this.source, sectorSize)?.backup.copy : undefined
    if (copy === undefined) return []
    return [
      { position: copy.lba * sectorSize, length: sectorSize },
      { position: Number(copy.header.entriesLba) * sectorSize, length: roundUp(copy.entries.length, sectorSize) },
    ]
  }

  /** What the target has no place for, where it can do without that. */
  async #cutOff(signal: AbortSignal | undefined): Promise<DeviceContent['cut']> {
    const { source } = this
    const { size } = this.#target
    const fitting = judgeFit(source, size)
    if (!fitting.fits)
      throw refused('E_DOES_NOT_FIT', `${source.capacity} bytes do not fit on ${size}: ${fitting.why}`, {
        hint: fitting.hint ?? shrinkFirst,
      })
    const length = source.capacity - size
    // The backup of the GPT is made anew: it is no content.
    const wiped = this.#backupPlaces().map((place) => ({
      position: place.position,
      bytes: new Uint8Array(Math.min(place.length, source.capacity - place.position)),
    }))
    const content = await firstContent(
      patchedSource(source, wiped, { capacity: source.capacity, sectorSize: source.sectorSize }),
      size,
      { signal },
    )
    const { scheme } = this.#table
    this.#notes.push({
      code: 'W_CUT',
      message:
        `the last ${length} bytes of the source have no place on the target and are left out: ` +
        (scheme === 'none' ? 'its filesystem ends before them' : 'no partition lies there') +
        (content === undefined ? ', and they hold nothing' : `, but they are not empty (from offset ${content} on)`),
    })
    return { length, content }
  }
}

/** @throws ImageError refused E_SECTOR_MISFIT for sectors of a size that is not written. */
function sectorSizeOf({ disk: { path, logicalSectorSize } }: FittingTarget): 512 | 4096 {
  if (logicalSectorSize === 512 || logicalSectorSize === 4096) return logicalSectorSize
  throw refused('E_SECTOR_MISFIT', `${path} has sectors of ${logicalSectorSize} bytes: only 512 and 4096 are written`, {
    hint: 'No flag overrides this.',
  })
}

interface Adapted {
  readonly writes: readonly TableWrite[]
  readonly mends: readonly Mend[]
  readonly ids: readonly IdChange[]
}
const untouched: Adapted = { writes: [], mends: [], ids: [] }

/** What is changed of the source where the ends of the target are written. */
export function contentChanges({ mends, ids, grown }: DeviceContent): string[] {
  return [
    ...mends.map(({ message }) => message),
    ...(ids.length === 0 || mends.some(({ code }) => code === 'NEW_IDS') ? [] : ['give new ids']),
    ...(grown === undefined
      ? []
      : [
          `enlarge ${nameOf(grown)} from ${grown.before} to ${grown.after} bytes` +
            (grown.content === 'done' ? `, and the head of its ${grown.filesystem ?? 'content'}` : ''),
        ]),
  ]
}
