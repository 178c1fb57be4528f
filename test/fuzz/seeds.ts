import { readFileSync, statSync } from 'node:fs'
import { openContext, driver } from '../support/drivers.js'
import { fixture, fixtures } from '../support/fixtures.js'
import { BufferStore } from './buffer-store.js'

/** A word of a structure, to be changed. */
export interface Word {
  readonly position: number
  readonly length: number
}

/** An image that cases are made from, and where its structures lie. */
export interface SeedImage {
  readonly path: string
  readonly store: BufferStore
  readonly words: readonly Word[]
}

const largest = 24 * 1024 * 1024

/** The fixtures of a format, but the huge ones. */
export function seedImages(format: string): SeedImage[] {
  return fixtures
    .filter((record) => record.format === format)
    .flatMap(({ path }) => {
      const file = fixture(path)
      if (statSync(file).size > largest) return []
      const store = new BufferStore(path, readFileSync(file))
      return [{ path, store, words: wordsOf(format, store) }]
    })
}

/**
 * Every field the format shows, and the words of what those fields point to, three steps down: tables, entries, blocks'
 * heads.
 */
function wordsOf(format: string, store: BufferStore): Word[] {
  const words = new Map<string, Word>()
  const add = (position: number, length: number): void => {
    if (position >= 0 && position + length <= store.size) words.set(`${position} ${length}`, { position, length })
  }
  const looked = new Set<number>()
  let found: number[] = [0, 512, store.size - 512]
  try {
    for (const { fields = [] } of driver(format).open(store, openContext).describe()) {
      for (const { position, length, value } of fields) {
        add(position, length)
        if (typeof value !== 'string') found.push(Number(value))
      }
    }
  } catch {
    // A fixture that is refused is a seed too: its head and tail are known places.
  }
  for (let step = 0; step < 3; step++) {
    const next: number[] = []
    for (const place of found) {
      const start = Math.floor(place / 8) * 8
      if (!(start >= 0 && start < store.size) || looked.has(start) || looked.size > 200) continue
      looked.add(start)
      for (let at = start; at < Math.min(start + 256, store.size - 8); at += 4) {
        add(at, 4)
        if (at % 8 === 0) add(at, 8)
        next.push(...placesIn(store.bytes, at))
      }
    }
    found = next
  }
  return [...words.values()]
}

/**
 * What a table's word may point to, in the ways of the formats: bytes, sectors, mebibytes, with flags above or below.
 */
function placesIn(bytes: Buffer, at: number): number[] {
  const big = bytes.readBigUInt64BE(at)
  const little = bytes.readBigUInt64LE(at)
  return [
    Number(big & 0xfffffffffffe00n),
    Number(little & 0xfffffffff00000n),
    bytes.readUInt32BE(at) * 512,
    bytes.readUInt32LE(at),
    Number(little),
  ].filter((place) => place > 0 && place < bytes.length)
}
