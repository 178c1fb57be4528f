import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverlaySource } from '../../src/block/overlay.js'
import type { BlockSource, ByteStore } from '../../src/block/types.js'
import type { FormatDriver, WritableImage } from '../../src/formats/driver.js'
import { openContext } from './drivers.js'
import { contentsOf, CutStore, DiskModel, randomOf, type Random } from './power-cut.js'

export interface WritableStart {
  readonly bytes: Uint8Array
  readonly parent?: BlockSource
}

export interface WritableSuite {
  readonly title: string
  readonly driver: FormatDriver
  /** The format's block: discards of whole blocks are tried. */
  readonly blockSize: number
  readonly start: () => WritableStart
  /** Notes and findings that a cut may leave. */
  readonly allowed?: readonly string[]
  /** Whether a footer stands where the disk's bytes do while the disk is resized: one sector at the smaller end. */
  readonly footerInDisk?: boolean
  /** Findings that a cut may leave while the disk is resized. */
  readonly allowedInResize?: readonly string[]
  /** The file as another program takes it, which believes another copy of what is there twice. */
  readonly otherReader?: (file: Uint8Array) => Uint8Array
}

function openWritable(driver: FormatDriver, store: ByteStore, parent: BlockSource | undefined): WritableImage {
  if (driver.openWritable === undefined) throw new Error(`${driver.id} cannot be changed`)
  const image = driver.openWritable(store, openContext, parent)
  return image
}

const whole = (layer: BlockSource, parent: BlockSource | undefined): BlockSource =>
  parent === undefined ? layer : new OverlaySource(layer, parent)

function readAll(source: BlockSource): Buffer {
  const bytes = Buffer.alloc(source.capacity)
  source.read(0, bytes)
  return bytes
}

/** One change at random, of the model first: a cut may come while it is made. */
function step(image: WritableImage, model: DiskModel, random: Random, blockSize: number): void {
  const { capacity } = image
  const kind = random(11)
  const most = [600, 600, 5000, 5000, 70000, 2 * blockSize + 5000, blockSize][random(7)] ?? 600
  let offset = random(capacity)
  let length = 1 + random(Math.min(most, capacity - offset))
  if (kind < 5) {
    offset -= offset % 512
    length = Math.min(capacity - offset, Math.ceil(length / 512) * 512)
  }
  if (kind === 8 || kind === 10) {
    offset -= offset % blockSize
    length = Math.min(capacity - offset, blockSize * (1 + random(2)))
  }
  if (kind < 7) {
    const bytes = Buffer.alloc(length, 1 + random(255))
    model.change(offset, bytes)
    image.write(offset, bytes)
  } else if (kind === 9) {
    image.flush()
    model.flushed()
  } else {
    model.change(offset, new Uint8Array(length))
    image.discard(offset, length)
  }
}

/** What every writable format must do, whatever it looks like inside. */
// eslint-disable-next-line max-lines-per-function -- a list of tests
export function writableSuite(suite: WritableSuite): void {
  const { title, driver, blockSize, start, allowed = [], footerInDisk = false } = suite
  /** Opens what a cut left: no error, and nothing that was flushed is lost. */
  const judge = (left: ByteStore, parent: BlockSource | undefined, model: DiskModel, what: string): void => {
    const image = driver.open(left, openContext)
    assert.equal(model.fault(readAll(whole(image, parent))), -1, `${what}: what is read`)
    for (const found of image.check?.() ?? []) {
      if ('severity' in found && found.severity === 'error' && !allowed.includes(found.code))
        assert.fail(`${what}: ${found.code} ${found.structure}: ${found.message}`)
    }
  }

  test(`${title}: what is written is read, now and after it is closed`, () => {
    for (let seed = 1; seed <= 3; seed++) {
      const random = randomOf(seed)
      const { bytes, parent } = start()
      let store = new CutStore(bytes)
      const model = new DiskModel(readAll(whole(driver.open(store, openContext), parent)))
      for (let session = 0; session < 3; session++) {
        const image = openWritable(driver, store, parent)
        for (let count = 0; count < 25; count++) {
          step(image, model, random, blockSize)
          if (count % 8 === 0)
            assert.ok(
              readAll(whole(image, parent)).equals(model.now),
              `seed ${seed}, session ${session}, step ${count}`,
            )
        }
        image[Symbol.dispose]()
        store = new CutStore(store.contents())
        const closed = driver.open(store, openContext)
        assert.ok(readAll(whole(closed, parent)).equals(model.now), `seed ${seed}, session ${session}: closed`)
        assert.deepEqual(
          [...(closed.check?.() ?? [])].filter((found) => 'severity' in found && found.severity === 'error'),
          [],
        )
      }
    }
  })

  test(`${title}: the power is cut after every write`, () => {
    for (let seed = 1; seed <= 2; seed++) {
      const { bytes, parent } = start()
      const random = randomOf(seed * 77)
      const chance = randomOf(seed * 99)
      const store = new CutStore(bytes)
      const model = new DiskModel(readAll(whole(driver.open(store, openContext), parent)))
      let count = 0
      store.onChange = () => {
        count++
        if (count > 60 && chance(8) > 0) return
        judge(store.cut(chance), parent, model, `seed ${seed}, cut ${count}`)
      }
      const image = openWritable(driver, store, parent)
      for (let index = 0; index < 30; index++) step(image, model, random, blockSize)
      image.flush()
      model.flushed()
      image[Symbol.dispose]()
      assert.ok(count > 20, `${count} writes`)
      assert.ok(readAll(whole(driver.open(store, openContext), parent)).equals(model.now))
    }
  })

  test(`${title}: opening and closing changes nothing`, () => {
    const { bytes, parent } = start()
    const store = new CutStore(bytes)
    openWritable(driver, store, parent)[Symbol.dispose]()
    assert.ok(Buffer.from(store.contents()).equals(bytes))
  })

  test(`${title}: another capacity, larger and smaller, with the power cut in between`, () => {
    const { bytes, parent } = start()
    const chance = randomOf(5)
    const store = new CutStore(bytes)
    const before = readAll(whole(driver.open(store, openContext), parent))
    for (const capacity of [
      before.length + 3 * blockSize + 512,
      before.length * 40,
      before.length,
      before.length - blockSize - 512,
      before.length - 2 * blockSize,
      // What was cut off does not come back.
      before.length,
    ]) {
      const image = openWritable(driver, store, parent)
      if (image.resize === undefined) return
      const had = readAll(whole(image, parent))
      const inResize = [...allowed, ...(suite.allowedInResize ?? [])]
      const look = (file: ByteStore): void => {
        const left = driver.open(file, openContext)
        assert.ok([had.length, capacity].includes(left.capacity), `a cut leaves ${left.capacity} bytes`)
        const found = readAll(whole(left, parent))
        // The old disk with all it held, or the new one; what is added reads as zero.
        const expected = Buffer.alloc(left.capacity)
        had.copy(expected, 0, 0, Math.min(had.length, left.capacity))
        const end = Math.min(had.length, capacity)
        if (footerInDisk) found.copy(expected, end, end, end + 512)
        const at = found.equals(expected) ? -1 : found.findIndex((byte, index) => byte !== expected[index])
        assert.equal(at, -1, `${had.length} → ${capacity}: a cut leaves ${left.capacity} bytes, another one at ${at}`)
        for (const finding of left.check?.() ?? []) {
          if ('severity' in finding && finding.severity === 'error' && !inResize.includes(finding.code))
            assert.fail(`${had.length} → ${capacity}: ${finding.code}: ${finding.message}`)
        }
      }
      store.onChange = () => {
        const left = store.cut(chance)
        look(left)
        if (suite.otherReader !== undefined) look(new CutStore(suite.otherReader(contentsOf(left))))
      }
      image.resize(capacity)
      image.flush()
      store.onChange = () => undefined
      image[Symbol.dispose]()
      const disk = whole(driver.open(store, openContext), parent)
      assert.equal(disk.capacity, capacity)
      const found = readAll(disk)
      const expected = Buffer.alloc(capacity)
      had.copy(expected, 0, 0, Math.min(had.length, capacity))
      assert.ok(found.equals(expected), `resized to ${capacity}`)
    }
  })
}
