import { BitSet } from '../../../binary/bit-set.js'

/** Sectors of a file that are marked at once: 64 MiB of memory. */
const windowSectors = 2 ** 29

/** Where grains begin in a file, a window of it at a time. */
export class GrainMarks {
  readonly #bits: BitSet
  readonly #start: number
  readonly #end: number
  /** Grains that begin in the window, each once. */
  count = 0

  /** Windows that a file of so many sectors takes. */
  static windows(sectors: number): { readonly start: number; readonly end: number }[] {
    const windows = []
    for (let start = 0; start < sectors; start += windowSectors)
      windows.push({ start, end: Math.min(sectors, start + windowSectors) })
    return windows
  }

  constructor({ start, end }: { readonly start: number; readonly end: number }) {
    this.#start = start
    this.#end = end
    this.#bits = new BitSet(end - start)
  }

  /** Marks the sector that a grain begins at. Gives false where one does already. */
  add(sector: number): boolean {
    if (sector < this.#start || sector >= this.#end) return true
    if (this.#bits.has(sector - this.#start)) return false
    this.#bits.set(sector - this.#start)
    this.count++
    return true
  }

  /** Whether another grain begins within a grain that begins at a sector. */
  overlapped(sector: number, length: number): boolean {
    if (sector < this.#start || sector >= this.#end) return false
    for (let at = sector + 1; at < Math.min(sector + length, this.#end); at++)
      if (this.#bits.has(at - this.#start)) return true
    return false
  }
}
