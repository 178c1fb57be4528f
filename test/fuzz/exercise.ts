import assert from 'node:assert/strict'
import type { DiskImage, FormatDriver } from '../../src/formats/driver.js'
import { isImageError } from '../../src/errors.js'
import { openContext } from '../support/drivers.js'
import { NoRoom, type BufferStore } from './buffer-store.js'
import type { Random } from './random.js'

/** How a case ended: `open`, or the code of the error that refused it. */
export type Outcome = string

/**
 * All that a user can do with an image: look at it, walk it, read it, check it, repair it, write to it. Any error must
 * be an
 * ImageError that is no bug of ours.
 * @throws AssertionError, or the foreign error.
 */
export function exercise(driver: FormatDriver, store: BufferStore, random: Random): Outcome {
  const head = store.bytes.subarray(0, 65536)
  driver.probe(head, store.bytes.subarray(Math.max(0, store.size - 65536)), store.size)
  const outcome = refusal(() => {
    const image = driver.open(store, openContext)
    image.describe()
    walk(image, store, random)
    look(image, random)
  })
  if (random.chance(0.15)) tolerant(ignored, () => mend(driver, store))
  if (random.chance(0.15)) tolerant(ignored, () => change(driver, store, random))
  return outcome ?? 'open'
}

/** The code of the error that an act ends with; undefined: it ends well. @throws whatever is no error of an image. */
export function refusal(act: () => void): Outcome | undefined {
  let outcome: Outcome | undefined
  tolerant((code) => {
    outcome = code
  }, act)
  return outcome
}

const ignored = (): void => undefined

/** Errors that are right are answers. @throws what is a bug. */
export function tolerant(refused: (code: string) => void, act: () => void): void {
  try {
    act()
  } catch (error) {
    if (error instanceof NoRoom) return
    if (!isImageError(error)) throw error
    assert.notEqual(error.kind, 'internal', error.message)
    refused(error.code)
  }
}

/** Extents tile the disk, and lie inside their store. */
function walk(image: DiskImage, store: BufferStore, random: Random): void {
  const sector = Buffer.alloc(512)
  for (let offset = 0, steps = 0; offset < image.capacity && steps < 300; steps++) {
    let next = offset + 1048576
    tolerant(ignored, () => {
      const limit = random.chance(0.5)
        ? image.capacity - offset
        : Math.min(image.capacity - offset, 1 + random.below(1048576))
      const extent = image.extentAt(offset, limit)
      assert.equal(extent.offset, offset)
      assert.ok(extent.length > 0 && extent.length <= limit, `extent of ${extent.length}, limit ${limit}`)
      if (extent.kind === 'data')
        assert.ok(
          extent.position >= 0 && extent.position + extent.length <= extent.store.size,
          'an extent lies outside its store',
        )
      if (extent.kind === 'packed')
        assert.ok(
          extent.position >= 0 && extent.position + extent.storedLength <= store.size,
          'a packed extent lies outside its store',
        )
      next = offset + extent.length
      image.read(offset, sector.subarray(0, Math.min(512, image.capacity - offset)))
    })
    // Now and then a leap, so that the far end of a huge disk is seen too.
    offset = random.chance(0.1) ? Math.max(next, Math.floor((random.word() / 4294967296) * image.capacity)) : next
  }
}

function look(image: DiskImage, random: Random): void {
  let count = 0
  for (const found of image.check?.({ deep: random.chance(0.3) }) ?? []) {
    if ('message' in found) assert.ok(found.message.length > 0 && found.code.length > 0, 'a finding says nothing')
    if (++count > 5000) break
  }
}

function mend(driver: FormatDriver, store: BufferStore): void {
  let count = 0
  for (const action of driver.repair?.(store, openContext) ?? []) {
    if ('message' in action) assert.ok(action.message.length > 0, 'an action says nothing')
    if (++count > 5000) break
  }
}

function change(driver: FormatDriver, store: BufferStore, random: Random): void {
  const image = driver.openWritable?.(store, openContext)
  if (image === undefined) return
  const bytes = Buffer.alloc(512, 0xa5)
  for (let step = 0; step < 4; step++) {
    const offset = Math.floor((random.word() / 4294967296) * (image.capacity / 512 - 1)) * 512
    if (!(offset >= 0 && offset + 512 <= image.capacity)) return
    tolerant(ignored, () => {
      image.write(offset, bytes)
      const back = Buffer.alloc(512)
      image.read(offset, back)
      assert.ok(back.equals(bytes), 'what was written is not what is read')
    })
  }
  tolerant(ignored, () => image.flush())
}
