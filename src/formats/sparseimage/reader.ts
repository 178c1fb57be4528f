import { extentFaults } from '../../block/extent-faults.js'
import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, hints } from '../../errors.js'
import type { CheckOptions, DiskImage, Finding } from '../driver.js'
import { readBands, type Bands } from './bands.js'

/** Bands that one extent covers at most. */
const longestRun = 4096

/** An Apple sparse image: bands of the disk in the order in which they were first written. */
export class AppleSparseImage extends ExtentSource implements DiskImage {
  readonly format = 'sparseimage'
  readonly subformat = 'sparse'
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[] = []
  readonly #bands: Bands

  constructor(store: ByteStore) {
    super(store)
    this.#bands = readBands(store)
    this.capacity = this.#bands.capacity
    // Bands need not be powers of two.
    this.grain = 512
  }

  protected runAt(offset: number, end: number): Extent {
    const { bandSize } = this.#bands
    const band = Math.floor(offset / bandSize)
    const place = this.#bands.positionOf(band)
    let next = band + 1
    if (place === undefined) {
      while (next * bandSize < end && next - band < longestRun && this.#bands.positionOf(next) === undefined) next++
      return { kind: 'zero', offset, length: Math.min(end, next * bandSize) - offset }
    }
    if (place < 0)
      throw corrupt(
        'E_OVERLAP',
        `${this.store.name}: two places of the file hold band ${band}: which of them counts is not known`,
        { details: { offset } },
      )
    while (next * bandSize < end && next - band < longestRun) {
      if (this.#bands.positionOf(next) !== place + (next - band) * bandSize) break
      next++
    }
    const position = place + (offset - band * bandSize)
    const length = Math.min(end, next * bandSize) - offset
    const available = this.store.size - position
    if (available > 0) return { kind: 'data', offset, length: Math.min(length, available), store: this.store, position }
    throw corrupt(
      'E_TRUNCATED',
      `${this.store.name}: band ${band} takes bytes ${place} to ${place + bandSize}, but the file ends at byte ` +
        `${this.store.size}`,
      { details: { position, size: this.store.size }, hint: hints.incomplete },
    )
  }

  describe(): Section[] {
    const { bandSize, used, nodes, rows } = this.#bands
    return [
      {
        title: 'Apple sparse image',
        facts: [
          { name: 'bandSize', value: bandSize, unit: 'bytes' },
          { name: 'bands', label: 'bands stored', value: used, unit: 'count' },
          { name: 'nodes', value: nodes, unit: 'count' },
        ],
        fields: rows,
      },
    ]
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    const { bandSize } = this.#bands
    for (const item of extentFaults(this, bandSize, deep))
      if ('error' in item)
        yield {
          severity: 'error',
          code: item.error.code,
          structure: `band ${Math.floor(item.offset / bandSize)}`,
          message: item.error.message,
        }
      else yield item
  }
}
