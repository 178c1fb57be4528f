import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MemoryStore } from '../../src/block/memory-store.js'
import { PatchedStore } from '../../src/block/patched-store.js'
import { isImageError } from '../../src/errors.js'
import type { FormatDriver } from '../../src/formats/driver.js'
import { vhd } from '../../src/formats/vhd/index.js'
import { vhdx } from '../../src/formats/vhdx/index.js'
import { readAll } from '../support/content.js'
import { findingsOf } from '../support/damaged.js'
import { openContext } from '../support/drivers.js'
import { block512K, dynamicVhd } from '../support/vhd-bytes.js'
import { batEntry, imageBytes, mib, places } from '../support/vhdx-bytes.js'

/** Images close their store; this one is used again. */
class KeptStore extends MemoryStore {
  override [Symbol.dispose](): void {
    // Kept.
  }
}

type Range = readonly [from: number, to: number]

/**
 * Whatever bytes of its structures are changed, an image is refused, or something is found, or the disk reads as it
 * did.
 */
function testChanges(
  driver: FormatDriver,
  whole: Uint8Array,
  structures: readonly Range[],
  isChange: (position: number, byte: number) => boolean = () => true,
): void {
  const base = new KeptStore(whole, 'changed')
  const changed = (list: readonly (readonly [position: number, byte: number])[]): PatchedStore =>
    new PatchedStore(
      base,
      list.map(([position, byte]) => ({ position, length: 1, bytes: Uint8Array.of(byte) })),
      whole.length,
    )
  const content = Buffer.from(readAll(driver.open(changed([]), openContext)))
  const place = fc.oneof(...structures.map(([from, to]) => fc.integer({ min: from, max: to - 1 })))
  const changes = fc.array(
    fc.tuple(place, fc.oneof(fc.constantFrom(0, 1, 4, 6, 0x40, 0x50, 0x60, 0xff), fc.integer({ min: 0, max: 255 }))),
    { minLength: 1, maxLength: 3 },
  )
  test(`${driver.id}: no change of a structure goes unnoticed`, () => {
    assert.deepEqual(findingsOf(driver, changed([]), {}, true), [])
    fc.assert(
      fc.property(changes, (list) => {
        const kept = list.filter(([position, byte]) => isChange(position, byte))
        try {
          if (findingsOf(driver, changed(kept), {}, true).length > 0) return
        } catch (error) {
          assert.ok(isImageError(error), String(error))
          return
        }
        const after = readAll(driver.open(changed(kept), openContext))
        const length = Math.min(after.length, content.length)
        assert.equal(content.compare(after, 0, length, 0, length), 0)
      }),
      { numRuns: 300, seed: 3 },
    )
  })
}

const full = block512K(() => true)
const half = block512K((sector) => sector % 3 > 0)
// What was never written is zero.
for (let sector = 0; sector < 1024; sector += 3) half.fill(0, 512 + sector * 512, 1024 + sector * 512)
const [first, second] = [2048, 2048 + full.length]
const footerAt = second + half.length
testChanges(
  vhd,
  dynamicVhd({
    footer: { currentSize: 1572864n, chs: [45, 4, 17] },
    header: { blockSize: 524288 },
    words: [second / 512, 0xffffffff, first / 512],
    blocks: [
      [first, full],
      [second, half],
    ],
  }).contents(),
  [
    [0, 512],
    [512, 1536],
    [1536, 1548],
    [1536, 2048],
    [first, first + 128],
    [second, second + 128],
    [footerAt, footerAt + 512],
  ],
)

const { payload } = places
const bat = (position: number): boolean => position >= places.bat && position < places.bat + 24
testChanges(
  vhdx,
  imageBytes({
    capacity: BigInt(3 * mib),
    size: 6 * mib,
    bat: { 0: batEntry(6, payload + mib), 2: batEntry(6, payload) },
    bytes: { [payload]: Buffer.alloc(mib, 'first '), [payload + mib]: Buffer.alloc(mib, 'second ') },
  }),
  [
    [0, 1024],
    [65536, 65536 + 100],
    [131072, 131072 + 100],
    [196608, 196608 + 100],
    [262144, 262144 + 100],
    [places.bat, places.bat + 3],
    [places.bat + 16, places.bat + 19],
    [places.bat, places.bat + 24],
    [places.bat, places.bat + 100],
    [places.metadata, places.metadata + 200],
    [places.metadata + 65536, places.metadata + 65600],
  ],
  // A block may be given back (states 1 and 3) and keep its place: nothing reports that from damage. So does a block
  // that never was anything.
  (position, byte) => !bat(position) || position % 8 > 0 || (byte % 8) % 2 === 0,
)
