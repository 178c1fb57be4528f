import type { VolumeWrite } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { fat12Pair, fat32Mask } from './entries.js'
import type { FatLayout } from './layout.js'

/** Entries of a table that are to be changed, in all of its copies that are kept alike. */
export class FatDraft {
  readonly #reader: VolumeReader
  readonly #layout: FatLayout
  /** Bytes of the table by their place in it: all that were changed, and those since they were last taken. */
  readonly #bytes = new Map<number, number>()
  readonly #changed = new Set<number>()

  constructor(reader: VolumeReader, layout: FatLayout) {
    this.#reader = reader
    this.#layout = layout
  }

  set(cluster: number, value: number): void {
    const { bits } = this.#layout
    if (bits === 12) {
      const at = Math.floor((cluster * 3) / 2)
      this.#put(at, fat12Pair(this.#get(at) + this.#get(at + 1) * 256, cluster, value), 2)
    } else if (bits === 16) this.#put(cluster * 2, value, 2)
    else {
      // The upper four bits are not part of the entry.
      const kept = Math.floor(this.#get(cluster * 4 + 3) / 16) * (fat32Mask + 1)
      this.#put(cluster * 4, value + kept, 4)
    }
  }

  /** What is to be written since this was last asked. */
  take(): VolumeWrite[] {
    const runs: { readonly start: number; readonly bytes: number[] }[] = []
    for (const at of [...this.#changed].sort((one, other) => one - other)) {
      const last = runs.at(-1)
      if (last !== undefined && last.start + last.bytes.length === at) last.bytes.push(this.#get(at))
      else runs.push({ start: at, bytes: [this.#get(at)] })
    }
    this.#changed.clear()
    return this.#layout.tableCopies.flatMap((copy) =>
      runs.map(({ start, bytes }) => ({ position: copy + start, bytes: Uint8Array.from(bytes) })),
    )
  }

  #get(at: number): number {
    return this.#bytes.get(at) ?? this.#reader.u8(this.#layout.tableStart + at)
  }

  #put(at: number, value: number, length: number): void {
    for (let index = 0, rest = value; index < length; index++, rest = Math.floor(rest / 256)) {
      this.#bytes.set(at + index, rest % 256)
      this.#changed.add(at + index)
    }
  }
}
