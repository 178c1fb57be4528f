import { memoryLocation } from './locations.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { BlockSource, ByteStore } from '../../src/block/types.js'
import { derivedUuid } from '../../src/binary/guid.js'
import { isImageError } from '../../src/errors.js'
import assert from 'node:assert/strict'
import type { Certainty, DiskImage, DiskShape, OptionValues, ParentShape } from '../../src/formats/driver.js'
import { vhd } from '../../src/formats/vhd/index.js'
import { createContext, openContext } from './drivers.js'

/** A run of content in sectors; `fill` undefined: zeros that hide the parent. */
export interface Run {
  readonly sector: number
  readonly count: number
  readonly fill?: number
}

export function shapeOf(capacity: number, id = 1, more: Partial<DiskShape> = {}): DiskShape {
  const uuid = `${String(id).padStart(8, '0')}-2222-4333-8444-555555555555`
  return {
    capacity,
    sectorSize: 512,
    identity: { uuid, derive: (name) => derivedUuid(uuid, name), time: 1_700_000_000 },
    ...more,
  }
}

export function parentShape(image: DiskImage, more: Partial<ParentShape> = {}): ParentShape {
  return {
    image,
    path: '/images/parent.vhd',
    relativePath: 'parent.vhd',

    time: 1_600_000_000,
    ...more,
  }
}

/** Makes an image of the runs, which ascend in multiples of the writer's grain. */
export function make<Store extends ByteStore>(
  store: Store,
  shape: DiskShape,
  options: OptionValues,
  runs: readonly Run[] = [],
): Store {
  using writer = vhd.create!(store, shape, options, createContext)
  for (const { sector, count, fill } of runs) {
    const offset = sector * 512
    const length = Math.min(count * 512, writer.capacity - offset)
    if (fill === undefined) {
      writer.zero(offset, length)
      continue
    }
    for (let done = 0; done < length;) {
      const place = writer.place(offset + done, length - done)
      assert.ok(place.length > 0 && place.length <= length - done)
      place.store.write(place.position, new Uint8Array(place.length).fill(fill))
      done += place.length
    }
  }
  writer.finish()
  return store
}

export function makeMemory(
  shape: DiskShape,
  options: OptionValues = {},
  runs: readonly Run[] = [],
  name = 'made.vhd',
): MemoryStore {
  return make(new MemoryStore(undefined, name), shape, options, runs)
}

/** What a disk holds when the runs are laid over what is below. */
export function expected(below: Uint8Array | undefined, capacity: number, runs: readonly Run[]): Uint8Array {
  const bytes = new Uint8Array(capacity)
  if (below !== undefined) bytes.set(below)
  for (const { sector, count, fill } of runs) bytes.fill(fill ?? 0, sector * 512, (sector + count) * 512)
  return bytes
}

export function open(store: ByteStore, options: OptionValues = {}, siblings: readonly string[] = []): DiskImage {
  const beside = Object.fromEntries(siblings.map((name) => [name, new Uint8Array()]))
  return vhd.open(store, { ...openContext, options, self: memoryLocation(store.name.replace(/^.*[/\\]/, ''), beside) })
}

export function probe(store: ByteStore): Certainty {
  const length = Math.min(65536, store.size)
  const head = new Uint8Array(length)
  const tail = new Uint8Array(length)
  store.read(0, head)
  store.read(store.size - length, tail)
  return vhd.probe(head, tail, store.size)
}

export const codes = (image: DiskImage): string[] => image.notes.map(({ code }) => code)

/** The call throws an ImageError of this code, whose message holds the words. */
export function throwsCode(code: string, call: () => unknown, ...words: string[]): void {
  assert.throws(call, (error) => {
    assert.ok(isImageError(error), String(error))
    assert.equal(error.code, code, error.message)
    for (const word of words) assert.ok(error.message.includes(word), `"${error.message}" does not say "${word}"`)
    return true
  })
}

/**
 * Walks the extents with a limit; they must tile the disk and lie inside their stores. Gives the guest bytes they stand
 * for.
 */
export function tiled(source: BlockSource, limit = Infinity): Uint8Array {
  const bytes = new Uint8Array(source.capacity)
  for (let offset = 0; offset < source.capacity;) {
    const extent = source.extentAt(offset, limit)
    assert.equal(extent.offset, offset)
    assert.ok(extent.length > 0 && extent.length <= limit && offset + extent.length <= source.capacity)
    if (extent.kind === 'data') {
      assert.ok(extent.position >= 0 && extent.position + extent.length <= extent.store.size)
      extent.store.read(extent.position, bytes.subarray(offset, offset + extent.length))
    }
    offset += extent.length
  }
  return bytes
}
