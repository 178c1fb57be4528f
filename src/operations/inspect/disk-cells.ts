import { aborted, grouped, isImageError } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import { DiskMap } from './map.js'
import type { Volume } from '../files/volume-files.js'
import { nextTurn } from '../../sys/next-turn.js'

/** Cells a row has at most. */
export const mostCells = 600

/**
 * A stretch of the disk in cells of equal length, the last may be shorter. Of each cell: how much of it is stored in
 * the image's files,
 * and how much its filesystem uses, in 255ths, rounded up, so that the least use is seen.
 */
export interface CellRow {
  /** Undefined: the whole disk. */
  readonly partition?: number
  readonly offset: number
  readonly length: number
  /** Bytes of a cell. */
  readonly cellLength: number
  readonly stored: Uint8Array
  /** Bytes stored: the rest is zero by the image's tables or holes. */
  readonly storedBytes: number
  /** Absent where no filesystem says what it uses. */
  readonly used?: Uint8Array
  readonly usedBytes?: number
  /** Why what is shown may not be true or whole. */
  readonly remarks: readonly string[]
}

/** Runs looked at, of the disk and of each filesystem: more are not drawn, and it is said. */
const mostRuns = 1_000_000
/** Partitions that have a row. */
const mostRows = 64

/** Bytes of a stretch summed up in cells. */
class Cells {
  readonly cellLength: number
  total = 0
  readonly #sums: Float64Array
  readonly #start: number
  readonly #length: number

  constructor(start: number, length: number) {
    this.#start = start
    this.#length = length
    this.cellLength = Math.max(1, Math.ceil(length / mostCells))
    this.#sums = new Float64Array(Math.max(1, Math.ceil(length / this.cellLength)))
  }

  /** Takes the part of a run of the disk that lies in the stretch. */
  add(offset: number, length: number): void {
    const end = Math.min(offset + length, this.#start + this.#length) - this.#start
    let at = Math.max(offset, this.#start) - this.#start
    if (at < end) this.total += end - at
    while (at < end) {
      const cell = Math.floor(at / this.cellLength)
      const next = Math.min(end, (cell + 1) * this.cellLength)
      this.#sums[cell] = (this.#sums[cell] ?? 0) + (next - at)
      at = next
    }
  }

  get values(): Uint8Array {
    return Uint8Array.from(this.#sums, (sum, cell) =>
      Math.min(255, Math.ceil((sum / Math.min(this.cellLength, this.#length - cell * this.cellLength)) * 255)),
    )
  }
}

/**
 * Where a disk is stored and used, as a picture needs it: a row of the whole disk, and one of each partition. Reads
 * tables and maps, none
 * of the content. Bounded in steps and memory.
 * @throws ImageError corrupt where the image's own tables are damaged; aborted.
 */
export async function diskCells(
  opened: OpenedImage,
  volumes: readonly Volume[],
  signal?: AbortSignal,
): Promise<CellRow[]> {
  const drawn = volumes.filter(({ partition }) => partition !== undefined).slice(0, mostRows)
  const stretches = [
    { volume: volumes.find(({ partition }) => partition === undefined), offset: 0, length: opened.capacity },
    ...drawn.map((volume) => ({ volume, offset: volume.partition?.start ?? 0, length: volume.source.capacity })),
  ]
    .filter(({ length }) => length > 0)
    .map((stretch) => ({ ...stretch, stored: new Cells(stretch.offset, stretch.length) }))
  const whole = await storedCells(opened, stretches, signal)
  const rows: CellRow[] = []
  for (const { volume, offset, length, stored } of stretches) {
    const remarks =
      whole || rows.length > 0
        ? []
        : [`the image is stored in more than ${grouped(mostRuns)} runs: what lies behind them ` + 'is not drawn']
    const used = volume === undefined ? undefined : await usedCells(volume, length, remarks, signal)
    rows.push({
      partition: volume?.partition === undefined ? undefined : volume.partition.number,
      offset,
      length,
      cellLength: stored.cellLength,
      stored: stored.values,
      storedBytes: stored.total,
      remarks,
      ...(used === undefined ? {} : { used: used.values, usedBytes: used.total }),
    })
  }
  return rows
}

/** Adds what is stored to every stretch. @returns whether all runs were seen. */
async function storedCells(
  opened: OpenedImage,
  stretches: readonly { readonly offset: number; readonly length: number; readonly stored: Cells }[],
  signal: AbortSignal | undefined,
): Promise<boolean> {
  // The map belongs to the caller: it is not closed here.
  const map = new DiskMap(opened.name, opened, { offset: 0, length: opened.capacity })
  const ascending = [...stretches].sort((one, other) => one.offset - other.offset)
  let next = 0
  let open: typeof ascending = []
  let steps = 0
  let runs = 0
  for (const { offset, length, kind } of map.extents()) {
    if (steps > mostRuns) return false
    open = open.filter((stretch) => stretch.offset + stretch.length > offset)
    for (
      let stretch = ascending[next];
      stretch !== undefined && stretch.offset < offset + length;
      stretch = ascending[++next]
    )
      open.push(stretch)
    steps += open.length
    if (kind === 'data' || kind === 'compressed') for (const { stored } of open) stored.add(offset, length)
    await pause(++runs, signal)
  }
  return true
}

/** What the volume's filesystem uses; undefined where it is not known. */
async function usedCells(
  { source, filesystems: [filesystem, second] }: Volume,
  length: number,
  remarks: string[],
  signal: AbortSignal | undefined,
): Promise<Cells | undefined> {
  if (filesystem?.usedRuns === undefined || second !== undefined) return undefined
  const cells = new Cells(0, Math.min(length, source.capacity))
  try {
    let runs = 0
    for (const run of filesystem.usedRuns({ allowDirty: true })) {
      if (++runs > mostRuns) {
        remarks.push(
          `${filesystem.title} is in more than ${grouped(mostRuns)} pieces: what lies behind ` + 'them is not drawn',
        )
        break
      }
      cells.add(run.offset, run.length)
      await pause(runs, signal)
    }
  } catch (error) {
    if (!isImageError(error) || error.kind === 'aborted') throw error
    remarks.push(`what ${filesystem.title} uses is not known: ${error.message}`)
    return undefined
  }
  if (filesystem.state === 'dirty' || filesystem.state === 'hibernated')
    remarks.push(`${filesystem.title} was not left in order: what it uses may differ`)
  return cells
}

/** Lets a signal through now and then: reading is synchronous. */
async function pause(runs: number, signal: AbortSignal | undefined): Promise<void> {
  if (runs % 8192 !== 0) return
  await nextTurn()
  if (signal?.aborted === true) throw aborted()
}
