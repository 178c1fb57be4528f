import { SparseBits } from '../../../binary/sparse-bits.js'
import { MappedUnits } from '../../../block/mapped-units.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints } from '../../../errors.js'
import { sectorLength } from '../format/structs.js'

/** Tables that may be used again before that counts as damage. */
const toleratedTables = 64

/** What the grain tables of a file that is only read lead to: each table is counted when it is first read. */
export class MappedTables {
  readonly #store: ByteStore
  readonly #tables: MappedUnits
  readonly #grains: MappedUnits
  readonly #counted = new SparseBits()
  #isOverfull = false

  /** @param tableLength bytes of a grain table. @param unit bytes that two grains are apart at least. */
  constructor(store: ByteStore, tableLength: number, unit: number) {
    this.#store = store
    this.#tables = new MappedUnits(tableLength, toleratedTables)
    this.#grains = new MappedUnits(unit)
  }

  /** Whether the tables lead to more than the file can hold: a walk over them has no end worth waiting for. */
  get isOverfull(): boolean {
    return this.#isOverfull
  }

  /** Whether the table of an entry was counted: nothing more is to be done where it is read again. */
  has(index: number): boolean {
    return this.#counted.has(index)
  }

  /**
   * Counts the table that an entry of the grain directory leads to, when it is read first.
   * @param directoryPlace where that entry stands in the file.
   * @param grains where the grains lie that the table leads to, in sectors; 0 for none.
   * @throws ImageError corrupt E_OVERLAP when most of what the tables lead to was led to before.
   */
  count(index: number, position: number, directoryPlace: number, grains: Iterable<number>): void {
    if (!this.#isOverfull) this.#isOverfull = !this.#add(position, grains)
    if (this.#isOverfull)
      throw corrupt(
        'E_OVERLAP',
        `${this.#store.name}: entry ${index} of the grain directory leads where others do: the tables map the same ` +
          'grains again and again, more than the file can hold',
        { details: { position: directoryPlace }, hint: hints.check },
      )
    this.#counted.set(index)
  }

  #add(position: number, grains: Iterable<number>): boolean {
    if (!this.#tables.add(position)) return false
    for (const sector of grains) if (sector !== 0 && !this.#grains.add(sector * sectorLength)) return false
    return true
  }
}
