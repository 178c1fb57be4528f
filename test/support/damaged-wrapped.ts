import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { finish } from '../../src/block/work.js'
import { isImageError } from '../../src/errors.js'
import type { WrapperContext, WrapperDriver } from '../../src/formats/driver.js'
import { Random } from '../fuzz/random.js'
import { ProcessorTime } from './processor-time.js'

/** A damaged archive, and the right answer. */
export interface DamagedArchive {
  readonly what: string
  readonly make: () => Buffer
  /** `refused CODE`: it does not open; `read CODE`: its first disk cannot be read whole; `same`: the disk is whole. */
  readonly answer: 'same' | `refused ${string}` | `read ${string}`
  readonly notes?: readonly string[]
}

const context: WrapperContext = {
  name: undefined,
  openNamed: () => {
    throw new Error('nothing else is named')
  },
  openBeside: () => undefined,
}

/** What comes of it; its content is never anything but what was put in. */
function outcome(driver: WrapperDriver, bytes: Buffer, content: Buffer): { answer: string; notes: readonly string[] } {
  let notes: readonly string[] = []
  let step = 'refused'
  try {
    const store = new MemoryStore(bytes, 'damaged')
    const wrapped = finish(driver.open(store, context))
    notes = (wrapped.notes ?? []).map(({ code }) => code)
    const [first] = wrapped.members
    assert.ok(first?.source !== undefined)
    assert.equal(first.plain, true)
    step = 'read'
    assert.equal(first.source.capacity, content.length)
    // Piece by piece, so that what is not damaged is looked at too.
    let failed: string | undefined
    for (let offset = 0; offset < content.length; offset += 65536) {
      const piece = Buffer.alloc(Math.min(65536, content.length - offset))
      try {
        first.source.read(offset, piece)
      } catch (error) {
        if (!isImageError(error)) throw error
        failed ??= error.code
        continue
      }
      assert.ok(piece.equals(content.subarray(offset, offset + piece.length)), `other content at ${offset}`)
    }
    return { answer: failed === undefined ? 'same' : `read ${failed}`, notes }
  } catch (error) {
    if (!isImageError(error)) throw error
    assert.ok(['corrupt', 'unsupported', 'reference'].includes(error.kind), error.code)
    return { answer: `${step} ${error.code}`, notes }
  }
}

/** @param content of the first disk of every archive. */
export function testDamagedArchives(driver: WrapperDriver, content: Buffer, archives: readonly DamagedArchive[]): void {
  for (const { what, make, answer, notes = [] } of archives)
    test(`${driver.id}: ${what}`, () => {
      const begun = new ProcessorTime()
      assert.deepEqual(outcome(driver, make(), content), { answer, notes })
      begun.atMost(2000)
    })
  test(`${driver.id}: ${archives.length} damaged archives`, () => {
    assert.ok(archives.length >= 40)
    assert.ok(process.resourceUsage().maxRSS < 384 * 1024, `${process.resourceUsage().maxRSS} KiB`)
  })
}

/** Changes single bytes of structures at random: it is refused, or what is read is what was put in. */
export function testRandomArchives(
  driver: WrapperDriver,
  content: Buffer,
  whole: Buffer,
  places: readonly (readonly [start: number, end: number])[],
  count = 150,
): void {
  test(`${driver.id}: ${count} archives with bytes changed at random`, () => {
    const random = new Random(7, 0)
    for (let round = 0; round < count; round++) {
      const bytes = Buffer.from(whole)
      for (let change = 0; change < 1 + (round % 3); change++) {
        const [start, end] = places[random.below(places.length)] ?? [0, 1]
        bytes.writeUInt8(random.below(256), start + random.below(end - start))
      }
      outcome(driver, round % 10 === 9 ? bytes.subarray(0, random.below(bytes.length)) : bytes, content)
    }
  })
}
