import { roundUp } from '../binary/integers.js'
import type { ByteRun } from './types.js'

/** A run of units (clusters, blocks) in use, counted from the first unit of the map. */
export interface UnitRun {
  readonly first: number
  readonly count: number
}

const pieceLength = 65536

/**
 * The runs of set bits of a bitmap whose bit 0 is the lowest of its first byte (FAT, NTFS, ext).
 * @param read fills a piece with the bitmap's bytes at an offset. @param units how many bits count; those behind are
 * padding.
 */
export function* bitmapRuns(read: (offset: number, target: Uint8Array) => void, units: number): Generator<UnitRun> {
  const piece = new Uint8Array(Math.min(pieceLength, roundUp(Math.ceil(units / 8), 4)))
  const words = new Uint32Array(piece.buffer)
  let start = -1
  for (let offset = 0; offset * 8 < units; offset += piece.length) {
    const bytes = piece.subarray(0, Math.min(piece.length, Math.ceil(units / 8) - offset))
    read(offset, bytes)
    for (let index = 0; index < bytes.length; index++) {
      const same = start < 0 ? 0 : 0xffffffff
      if (index % 4 === 0 && index + 4 <= bytes.length && words[index / 4] === same) {
        // Large volumes are mostly free, or mostly used.
        while (index + 8 <= bytes.length && words[index / 4 + 1] === same) index += 4
        index += 3
        continue
      }
      const byte = bytes[index] ?? 0
      // Most bytes are all free or all used, like the one before.
      if (byte === (start < 0 ? 0 : 0xff)) continue
      const base = (offset + index) * 8
      let rest = byte
      for (let bit = 0; bit < 8; bit++) {
        const used = rest % 2 === 1
        rest = (rest - (rest % 2)) / 2
        if (used && start < 0) start = base + bit
        else if (!used && start >= 0) {
          if (start < units) yield { first: start, count: Math.min(base + bit, units) - start }
          start = -1
        }
      }
    }
  }
  if (start >= 0 && start < units) yield { first: start, count: units - start }
}

/**
 * Runs of units as bytes of the volume, between a head and a tail that are always in use; touching runs are joined.
 * @param start byte of unit 0: everything before is in use. @param end first byte behind the last unit: all from there
 * to `volumeEnd` is in use.
 */
export function* volumeRuns(
  units: Iterable<UnitRun>,
  unitSize: number,
  start: number,
  end: number,
  volumeEnd: number,
): Generator<ByteRun> {
  let runStart = 0
  let runEnd = start
  for (const { first, count } of units) {
    const offset = start + first * unitSize
    if (offset > runEnd) {
      if (runEnd > runStart) yield { offset: runStart, length: runEnd - runStart }
      runStart = offset
    }
    runEnd = offset + count * unitSize
  }
  if (end > runEnd) {
    if (runEnd > runStart) yield { offset: runStart, length: runEnd - runStart }
    runStart = end
  }
  if (volumeEnd > runStart) yield { offset: runStart, length: volumeEnd - runStart }
}

/** How many units are in use. */
export function countUnits(runs: Iterable<UnitRun>): number {
  let sum = 0
  for (const { count } of runs) sum += count
  return sum
}
