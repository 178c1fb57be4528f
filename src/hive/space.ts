import { roundUp, viewOf } from '../binary/integers.js'
import type { HiveBytes } from './bytes.js'
import { baseBlockLength } from './structs.js'
import { stages, type HivePatch } from './patch.js'

/** A cell that is free: where it begins, counted from the end of the base block, and its bytes. */
export interface FreeCell {
  readonly offset: number
  readonly size: number
}

const headLength = 4

/** The free cells of a hive, for values that become longer. The hive's own size stays. */
export class HiveSpace {
  readonly #file: HiveBytes
  readonly #free: FreeCell[]
  /** The heads of cells that change: negative sizes are in use. */
  readonly #heads = new Map<number, number>()
  readonly #content: HivePatch[] = []
  readonly #freed: FreeCell[] = []

  constructor(file: HiveBytes, free: readonly FreeCell[]) {
    this.#file = file
    this.#free = [...free]
  }

  /** Puts data into a cell of its own. @returns its offset; undefined: no free cell is long enough. */
  put(data: Uint8Array): number | undefined {
    const size = roundUp(headLength + data.length, 8)
    const index = this.#free.findIndex((cell) => cell.size >= size)
    const cell = this.#free[index]
    if (cell === undefined) return undefined
    const { offset } = cell
    const rest = cell.size - size
    this.#free.splice(index, 1, ...(rest > 0 ? [{ offset: offset + size, size: rest }] : []))
    this.#heads.set(offset, -size)
    if (rest > 0) this.#heads.set(offset + size, rest)
    this.#content.push(this.#patch(offset + headLength, data, stages.content))
    return offset
  }

  /** Frees a cell that was in use. */
  release(cell: FreeCell): void {
    this.#freed.push(cell)
  }

  /** What is to be written for all of that. */
  patches(): HivePatch[] {
    const heads = [...this.#heads]
      .sort(([one], [other]) => other - one)
      .map(([offset, size], index) => this.#head({ offset, size }, stages.heads + index))
    return [...this.#content, ...heads, ...this.#freed.map((cell) => this.#head(cell, stages.freed))]
  }

  #head({ offset, size }: FreeCell, stage: number): HivePatch {
    const bytes = new Uint8Array(headLength)
    viewOf(bytes).setInt32(0, size, true)
    return this.#patch(offset, bytes, stage)
  }

  #patch(offset: number, bytes: Uint8Array, stage: number): HivePatch {
    const position = baseBlockLength + offset
    const old = new Uint8Array(bytes.length)
    this.#file.read(position, old)
    return { position, old, bytes, stage }
  }
}
