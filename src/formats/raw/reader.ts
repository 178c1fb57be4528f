import { lastAtMost } from '../../binary/search.js'
import { corrupt, printable } from '../../errors.js'
import { ExtentReader } from '../../block/read.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import type { Location } from '../../location/location.js'
import type { DiskImage, FileReference, Finding, OpenContext } from '../driver.js'
import { checkParts } from './check.js'
import { partsBehind } from './parts.js'

interface Part {
  readonly store: ByteStore
  readonly place: Location
  readonly start: number
  readonly length: number
}

/** A raw image of one or more files, one behind the other. */
class RawImage implements DiskImage {
  readonly format = 'raw'
  readonly subformat: string
  readonly notes: Note[] = []
  readonly references: FileReference[]
  readonly sectorSize = 512
  readonly grain = 512
  readonly capacity: number
  readonly #parts: readonly Part[]
  /** Where each part begins. */
  readonly #starts: Float64Array
  readonly #reader = new ExtentReader(this)

  constructor(parts: readonly Part[], missing: readonly Location[]) {
    this.#parts = parts
    this.#starts = Float64Array.from(parts, ({ start }) => start)
    this.references = [...parts.slice(1).map(({ place }) => place), ...missing].map(({ address }) => ({
      role: 'extent',
      path: address,
    }))
    this.subformat = this.references.length > 0 ? 'split' : 'flat'
    this.capacity = parts.reduce((sum, part) => sum + part.length, 0)
    const tail = this.capacity % 512
    if (tail !== 0)
      this.notes.push({
        code: 'W_ODD_LENGTH',
        message: `the image ends with ${tail} of the 512 bytes of a sector; they are kept`,
      })
  }

  extentAt(offset: number, limit: number): Extent {
    const part = this.#parts[lastAtMost(this.#starts, this.#starts.length, offset)]
    if (part === undefined || offset >= this.capacity)
      throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    const position = offset - part.start
    return { kind: 'data', offset, length: Math.min(limit, part.length - position), store: part.store, position }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    if (this.subformat === 'flat') return []
    return [
      {
        title: 'Parts',
        facts: this.#parts.map(({ place, length }, index) => ({
          name: `part${index + 1}`,
          label: partLabel(place),
          value: length,
          unit: 'bytes',
        })),
      },
    ]
  }

  check(): Generator<Finding> {
    return checkParts(this.#parts.map(({ store, place }) => ({ name: partLabel(place), size: store.size })))
  }

  [Symbol.dispose](): void {
    for (const { store } of this.#parts) store[Symbol.dispose]()
  }
}

function partLabel({ name, label }: Location): string {
  return name === undefined ? label : printable(name)
}

/**
 * Opens a raw image; a first part (`.001`, `.000`) brings the parts that lie beside it. @throws ImageError reference
 * E_PART_MISSING.
 */
export function openRaw(store: ByteStore, context: OpenContext): DiskImage {
  const { self } = context
  const following = context.options['parts'] === false ? [] : partsBehind(self)
  const parts: Part[] = [{ store, place: self, start: 0, length: store.size }]
  const missing: Location[] = []
  try {
    for (const place of following) {
      const next = context.openReference({ role: 'extent', path: place.address }, place)
      if (next === undefined) {
        missing.push(place)
        continue
      }
      const last = parts.at(-1)
      const start = last === undefined ? 0 : last.start + last.length
      if (!Number.isSafeInteger(start + next.size))
        throw corrupt('E_TOO_LARGE', `${store.name}: its parts are larger than 2^53 bytes together`)
      parts.push({ store: next, place, start, length: next.size })
    }
  } catch (error) {
    // The first store stays the caller's until the image exists.
    for (const part of parts.slice(1)) part.store[Symbol.dispose]()
    throw error
  }
  return new RawImage(parts, missing)
}
