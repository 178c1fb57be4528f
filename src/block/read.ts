import { corrupt } from '../errors.js'
import type { BlockSource, DecodedUnits, Extent } from './types.js'
import { ReusedMemory } from './reused-memory.js'

interface Unit {
  readonly store: object
  readonly position: number
  readonly unitOffset: number
  readonly bytes: Uint8Array
  /** Whether somebody else reads the memory, so that it is not used again. */
  lent: boolean
}

/** How many decoded units a reader keeps: small reads walk through one compressed cluster after another. */
const keptUnits = 8
/** And how many bytes: units of an .xz file can be large. */
const keptBytes = 32 * 1024 * 1024

/** The generic `read` of a source, built on its `extentAt`. Keeps the last decoded compressed units. */
export class ExtentReader implements DecodedUnits {
  readonly #source: Pick<BlockSource, 'capacity' | 'extentAt'>
  readonly #units: Unit[] = []
  #kept = 0
  readonly #stored = new ReusedMemory()

  constructor(source: Pick<BlockSource, 'capacity' | 'extentAt'>) {
    this.#source = source
  }

  /** Fills `target` with the guest bytes at `offset`. @throws RangeError when the range leaves the disk. */
  read(offset: number, target: Uint8Array): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + target.length > this.#source.capacity) {
      throw new RangeError(
        `read of ${target.length} bytes at offset ${offset} leaves the disk of ${this.#source.capacity} bytes`,
      )
    }
    let done = 0
    while (done < target.length) {
      const extent = this.#source.extentAt(offset + done, target.length - done)
      if (extent.length <= 0 || extent.length > target.length - done)
        throw new RangeError(`extent of length ${extent.length} at offset ${offset + done}`)
      this.#fill(extent, target.subarray(done, done + extent.length))
      done += extent.length
    }
  }

  lend(store: object, position: number, length: number): Uint8Array | undefined {
    const found = this.#units.find(
      (unit) => unit.store === store && unit.position === position && unit.bytes.length === length,
    )
    if (found !== undefined) found.lent = true
    return found?.bytes
  }

  /** Takes a unit that somebody else decoded. */
  keep({ store, position, unitOffset }: Extract<Extent, { kind: 'packed' }>, bytes: Uint8Array): void {
    this.#makeRoom(bytes.length)
    this.#units.unshift({ store, position, unitOffset, bytes, lent: false })
    this.#kept += bytes.length
  }

  /** Forgets units until there is room for another. @returns the last of them. */
  #makeRoom(length: number): Unit | undefined {
    let freed: Unit | undefined
    while (this.#units.length >= keptUnits || (this.#units.length > 0 && this.#kept + length > keptBytes)) {
      freed = this.#units.pop()
      this.#kept -= freed?.bytes.length ?? 0
    }
    return freed
  }

  #fill(extent: Extent, target: Uint8Array): void {
    switch (extent.kind) {
      case 'zero':
      case 'absent':
        target.fill(0)
        return
      case 'data':
        extent.store.read(extent.position, target)
        return
      case 'packed': {
        const within = extent.offset - extent.unitOffset
        target.set(this.#unit(extent).subarray(within, within + target.length))
      }
    }
  }

  #unit(extent: Extract<Extent, { kind: 'packed' }>): Uint8Array {
    const found = this.#units.findIndex(
      (unit) =>
        unit.store === extent.store && unit.position === extent.position && unit.unitOffset === extent.unitOffset,
    )
    const kept = this.#units[found]
    if (kept !== undefined) {
      if (found > 0) {
        this.#units.splice(found, 1)
        this.#units.unshift(kept)
      }
      return kept.bytes
    }
    // Memory of the unit that goes is used again: fresh pages cost as much as decoding.
    const freed = this.#makeRoom(extent.unitLength)
    const bytes = decodeUnit(
      extent,
      freed?.lent === false && freed.bytes.length === extent.unitLength ? freed.bytes : undefined,
      this.#stored.take(extent.storedLength),
    )
    this.keep(extent, bytes)
    return bytes
  }
}

/**
 * The guest bytes of a whole compressed unit. @throws ImageError corrupt E_COMPRESSED, naming the file and the
 * position.
 * @param bytes memory for them, and `stored` for what is stored, exactly as long as each.
 */
export function decodeUnit(
  extent: Extract<Extent, { kind: 'packed' }>,
  bytes: Uint8Array = new Uint8Array(extent.unitLength),
  stored: Uint8Array = new Uint8Array(extent.storedLength),
): Uint8Array {
  extent.store.read(extent.position, stored)
  try {
    extent.codec.decode(stored, bytes)
  } catch (cause) {
    throw compressedError(extent.store.name, extent.position, extent.unitOffset, cause)
  }
  return bytes
}

/** The error for a unit that does not decode, wherever it was tried. */
export function compressedError(name: string, position: number, unitOffset: number, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause)
  return corrupt(
    'E_COMPRESSED',
    `${name}: the compressed data at byte ${position} (guest offset ${unitOffset}) does not decode: ${why}`,
    {
      cause,
      details: { position, offset: unitOffset },
    },
  )
}
