import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError } from '../../src/errors.js'
import type { FormatDriver, OptionValues } from '../../src/formats/driver.js'
import { readAll } from './content.js'
import { findingsOf } from './damaged.js'
import { openContext } from './drivers.js'
import { StoppingStore } from './stopping-store.js'

/** A damaged image, the codes of what mends it, and of what is left to be found. */
export interface Repair {
  readonly what: string
  readonly make: () => MemoryStore
  readonly mends: readonly string[]
  readonly left?: readonly string[]
  /** The disk afterwards, where the damaged image could not be opened. */
  readonly content?: Uint8Array
  readonly options?: OptionValues
}

function repair(driver: FormatDriver, store: MemoryStore, options: OptionValues = {}): string[] {
  const codes: string[] = []
  for (const item of driver.repair!(store, { ...openContext, options })) {
    if (!('code' in item)) continue
    assert.ok(item.message.length > 10 && item.structure !== '')
    codes.push(item.code)
  }
  return codes
}

/** What the disk holds, and the error that reading it meets; undefined when it does not open. */
function disk(driver: FormatDriver, store: MemoryStore, options: OptionValues = {}): Uint8Array | undefined {
  try {
    using image = driver.open(new MemoryStore(store.contents(), store.name), { ...openContext, options })
    return readAll(image)
  } catch (error) {
    assert.ok(isImageError(error), String(error))
    return undefined
  }
}

function codesOf(driver: FormatDriver, store: MemoryStore, options?: OptionValues): string[] {
  return findingsOf(driver, new MemoryStore(store.contents(), store.name), options, true)
    .map(({ code }) => code)
    .sort()
}

/**
 * Repairs each image: whole, once more (nothing is left to do), and stopped after every single write, from where it
 * goes on.
 */
export function testRepairs(driver: FormatDriver, repairs: readonly Repair[]): void {
  for (const { what, make, mends, left = [], content, options } of repairs) {
    test(`${driver.id} repair: ${what}`, () => {
      const damaged = make().contents()
      const fresh = (allowed?: number): StoppingStore => new StoppingStore(damaged, 'damaged', allowed)
      const before = content ?? disk(driver, fresh(), options)
      const store = fresh()
      assert.deepEqual(repair(driver, store, options), mends)
      const { changes } = store
      assert.equal(changes > 0, mends.length > 0)
      if (before !== undefined)
        assert.equal(Buffer.compare(disk(driver, store) ?? new Uint8Array(), before), 0, 'the disk is another one')
      assert.deepEqual(codesOf(driver, store), [...left].sort())
      assert.deepEqual(repair(driver, store), [], 'the second time there is nothing to do')

      for (let allowed = 0; allowed < changes; allowed++) {
        const stopped = fresh(allowed)
        assert.throws(
          () => repair(driver, stopped, options),
          (error) => isImageError(error) && error.code === 'E_WRITE',
        )
        if (content === undefined && before !== undefined)
          assert.equal(
            Buffer.compare(disk(driver, stopped, options) ?? new Uint8Array(), before),
            0,
            `after ${allowed} writes the disk is another one`,
          )
        const again = new StoppingStore(stopped.contents(), 'damaged')
        repair(driver, again, options)
        if (before !== undefined)
          assert.equal(
            Buffer.compare(disk(driver, again) ?? new Uint8Array(), before),
            0,
            `repaired after ${allowed} writes`,
          )
        assert.deepEqual(codesOf(driver, again), [...left].sort(), `repaired after ${allowed} writes`)
      }
    })
  }
}
