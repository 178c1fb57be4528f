import { roundUp } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { grainDataAt, marker, markerType, sectorLength } from './structs.js'

/** Where the grains of a stream are, found by its markers alone. */
export class FoundGrains {
  readonly #places = new Map<number, number>()

  /** The marker of a grain, in bytes; undefined where there is none. */
  place(grain: number): number | undefined {
    return this.#places.get(grain)
  }

  get count(): number {
    return this.#places.size
  }

  /** Of a grain that comes twice the last counts. */
  add(grain: number, position: number): void {
    this.#places.set(grain, position)
  }
}

/** Bytes read at once. */
const windowLength = 1024 * 1024

/**
 * Follows the markers of a stream-optimised extent from its first grain on, until the stream ends, is cut off, or is no
 * stream any more.
 * @param grainSize bytes. @param grains of the disk.
 */
export function scanStream(
  store: ByteStore,
  { start, grainSize, grains }: { readonly start: number; readonly grainSize: number; readonly grains: number },
): FoundGrains {
  const found = new FoundGrains()
  const sectors = grainSize / sectorLength
  let window = new Uint8Array(0)
  let windowStart = 0
  for (let position = start; position + sectorLength <= store.size;) {
    if (position < windowStart || position + marker.size > windowStart + window.length) {
      windowStart = position
      window = new Uint8Array(Math.min(windowLength, store.size - position))
      store.read(position, window)
    }
    const { value, size, type } = marker.read(window, position - windowStart)
    if (size > 0) {
      const grain = Number(value) / sectors
      const end = position + grainDataAt + size
      if (!Number.isInteger(grain) || grain >= grains || size > 2 * grainSize + 4096 || end > store.size) return found
      found.add(grain, position)
      position = roundUp(end, sectorLength)
      continue
    }
    if (value === 0n && type === markerType.endOfStream) return found
    const skipped = (1 + Number(value)) * sectorLength
    if (!Number.isSafeInteger(position + skipped)) return found
    position += skipped
  }
  return found
}
