import { isZero } from '../binary/zero.js'

/**
 * One piece of a chunk, as plain data that can be sent to a thread. `at` is where its bytes go in the chunk's buffer.
 * Space that no piece covers is zero.
 */
export type ChunkPiece =
  | {
      readonly kind: 'data'
      readonly at: number
      readonly length: number
      readonly descriptor: number
      readonly position: number
      readonly name: string
    }
  | {
      readonly kind: 'packed'
      readonly at: number
      readonly length: number
      readonly descriptor: number
      readonly position: number
      readonly storedLength: number
      readonly codec: string
      /** The guest offset of the unit, and how far into the unit the piece begins. */
      readonly unitOffset: number
      readonly unitLength: number
      readonly within: number
      readonly name: string
    }

/** What a chunk's bytes turned out to be. `at` and `length` are within the chunk. */
export type ScannedRun =
  | { readonly kind: 'data'; readonly at: number; readonly length: number }
  /** Zero here, but something else in the parent. */
  | { readonly kind: 'zero'; readonly at: number; readonly length: number }
  /** One compressed unit, whose `storedLength` bytes stand at `storedAt` in the buffer. */
  | {
      readonly kind: 'packed'
      readonly at: number
      readonly length: number
      readonly storedAt: number
      readonly storedLength: number
    }

/**
 * The runs of a chunk worth writing, scanned in units of `unit` bytes (the last may be shorter). Without `base`, zero
 * units are left
 * out; with it, units equal to the base are left out and zeros that hide something are reported. `unit` 0: everything
 * is data.
 */
export function scanChunk(bytes: Uint8Array, length: number, unit: number, base?: Uint8Array): ScannedRun[] {
  if (unit === 0) return [{ kind: 'data', at: 0, length }]
  const runs: ScannedRun[] = []
  let start = 0
  let current: 'data' | 'zero' | 'same' = 'same'
  const close = (end: number): void => {
    if (current !== 'same' && end > start) runs.push({ kind: current, at: start, length: end - start })
    start = end
  }
  for (let at = 0; at < length; at += unit) {
    const piece = Math.min(unit, length - at)
    const status = unitStatus(bytes, at, piece, base)
    if (status !== current) {
      close(at)
      current = status
    }
  }
  close(length)
  return runs
}

/**
 * The runs of a chunk within the ranges given, which begin at multiples of `unit` bytes: all of them count, zeros too,
 * since something else may be below. `unit` 0: everything is data.
 */
export function scanRanges(
  bytes: Uint8Array,
  unit: number,
  ranges: readonly { readonly at: number; readonly length: number }[],
): ScannedRun[] {
  if (unit === 0) return ranges.map(({ at, length }) => ({ kind: 'data', at, length }))
  const runs: ScannedRun[] = []
  for (const { at: start, length } of ranges) {
    for (let at = start; at < start + length; at += unit) {
      const piece = Math.min(unit, start + length - at)
      const kind = isZero(bytes, at, piece) ? 'zero' : 'data'
      const last = runs.at(-1)
      if (last?.kind === kind && last.at + last.length === at)
        runs[runs.length - 1] = { kind, at: last.at, length: last.length + piece }
      else runs.push({ kind, at, length: piece })
    }
  }
  return runs
}

function unitStatus(
  bytes: Uint8Array,
  at: number,
  length: number,
  base: Uint8Array | undefined,
): 'data' | 'zero' | 'same' {
  if (base === undefined) return isZero(bytes, at, length) ? 'same' : 'data'
  if (Buffer.compare(bytes.subarray(at, at + length), base.subarray(at, at + length)) === 0) return 'same'
  return isZero(bytes, at, length) ? 'zero' : 'data'
}

/** The first place at which two buffers differ within `length` bytes; undefined when they are equal. */
export function firstDifference(a: Uint8Array, b: Uint8Array, length: number): number | undefined {
  if (Buffer.compare(a.subarray(0, length), b.subarray(0, length)) === 0) return undefined
  let low = 0
  let high = length
  // Halves the range that holds the first difference; compare is memcmp and costs next to nothing.
  while (high - low > 1) {
    const middle = low + Math.floor((high - low) / 2)
    if (Buffer.compare(a.subarray(low, middle), b.subarray(low, middle)) === 0) low = middle
    else high = middle
  }
  return low
}

/** How much is compared at once before single units are. */
const coarseUnit = 65536

/** The runs of units that differ between two buffers, from the unit of `from` on. */
export function differingRuns(a: Uint8Array, b: Uint8Array, length: number, unit: number, from: number): ScannedRun[] {
  const runs: ScannedRun[] = []
  const equal = (at: number, end: number): boolean => Buffer.compare(a.subarray(at, end), b.subarray(at, end)) === 0
  for (let coarse = from - (from % unit); coarse < length; coarse += coarseUnit) {
    const coarseEnd = Math.min(length, coarse + coarseUnit)
    if (equal(coarse, coarseEnd)) continue
    for (let at = coarse; at < coarseEnd; at += unit) {
      const end = Math.min(coarseEnd, at + unit)
      if (equal(at, end)) continue
      const last = runs.at(-1)
      if (last !== undefined && last.at + last.length === at)
        runs[runs.length - 1] = { kind: 'data', at: last.at, length: end - last.at }
      else runs.push({ kind: 'data', at, length: end - at })
    }
  }
  return runs
}
