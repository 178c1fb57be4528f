import type { BlockSource, ByteStore } from '../../src/block/types.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { derivedUuid } from '../../src/binary/guid.js'
import type { DiskImage, DiskShape, ImageWriter, OptionValues, ParentShape } from '../../src/formats/driver.js'
import { vhdx } from '../../src/formats/vhdx/index.js'

/** A run of content at an offset; `bytes` undefined: zeros that hide the parent. */
export interface Run {
  readonly offset: number
  readonly length: number
  readonly bytes?: Uint8Array
}

export function shapeOf(capacity: number, more: Partial<DiskShape> = {}): DiskShape {
  const uuid = '11111111-2222-4333-8444-555555555555'
  return {
    capacity,
    sectorSize: 512,
    identity: { uuid, derive: (name) => derivedUuid(uuid, name), time: 1_700_000_000 },
    ...more,
  }
}

export function parentShape(image: DiskImage, path = '/images/parent.vhdx', relativePath = 'parent.vhdx'): ParentShape {
  return { image, path, relativePath, time: 1_700_000_000 }
}

export function writerOf(store: ByteStore, shape: DiskShape, options: OptionValues = {}): ImageWriter {
  return vhdx.create!(store, shape, options, {
    createFile: () => {
      throw new Error('no further file expected')
    },
  })
}

/** Makes an image of the runs (ascending, multiples of the writer's grain) and gives its store. */
export function make(
  shape: DiskShape,
  options: OptionValues,
  runs: readonly Run[],
  store: ByteStore = new MemoryStore(undefined, 'made.vhdx'),
): ByteStore {
  const writer = writerOf(store, shape, options)
  for (const { offset, length, bytes } of runs) {
    if (bytes === undefined) {
      writer.zero(offset, length)
      continue
    }
    for (let done = 0; done < length;) {
      const place = writer.place(offset + done, length - done)
      place.store.write(place.position, bytes.subarray(done, done + place.length))
      done += place.length
    }
  }
  writer.finish()
  writer[Symbol.dispose]()
  return store
}

/** What a disk of this capacity holds when the runs are laid over what is below. */
export function expected(below: BlockSource | undefined, capacity: number, runs: readonly Run[]): Buffer {
  const bytes = Buffer.alloc(capacity)
  if (below !== undefined) below.read(0, bytes.subarray(0, Math.min(capacity, below.capacity)))
  for (const run of runs)
    bytes.fill(0, run.offset, run.offset + run.length).set(run.bytes ?? new Uint8Array(0), run.offset)
  return bytes
}
