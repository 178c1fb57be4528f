import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { BlockSource } from '../../src/block/types.js'
import { copy, stream } from '../../src/engine/index.js'
import { isImageError } from '../../src/errors.js'
import { builtinDrivers } from '../../src/formats/registry.js'
import { diskLike, readAll } from '../support/content.js'
import { createContext, createIn, creatable, filesBeside, openContext, openWith, shape } from '../support/drivers.js'
import { FaultStore } from '../support/fault-store.js'
import { ToyImage } from '../support/toy-image.js'

const mebibyte = 1024 * 1024
const headLength = 65536

function disk(content: Uint8Array): BlockSource {
  const store = new MemoryStore()
  const image = new ToyImage(store, content.length, { grain: 512 })
  store.write(image.place(0, content.length).position, content)
  return image
}

function ends(store: MemoryStore): [Uint8Array, Uint8Array] {
  const length = Math.min(headLength, store.size)
  const head = new Uint8Array(length)
  const tail = new Uint8Array(length)
  store.read(0, head)
  store.read(store.size - length, tail)
  return [head, tail]
}

const content = diskLike(5 * mebibyte + 1536, 17)

for (const { title, driver, options } of creatable()) {
  const make = async (store: MemoryStore): Promise<void> => {
    using writer = driver.create!(store, shape(content.length), options, createIn(store))
    await copy({ source: disk(content), target: writer })
    writer.finish()
  }

  test(`${title}: what was written is read, and recognised`, async () => {
    const store = new MemoryStore(undefined, `disk.${driver.extensions[0] ?? ''}`)
    await make(store)
    using image = openWith(driver.id, store)
    assert.equal(image.capacity, content.length)
    assert.equal(Buffer.compare(readAll(image), content), 0)
    assert.deepEqual(image.notes, [])
    assert.equal(driver.probe(...ends(store), store.size), driver.id === 'raw' ? 'possible' : 'certain')
  })

  test(`${title}: a check of what was written finds nothing`, async () => {
    const store = new MemoryStore()
    await make(store)
    using image = openWith(driver.id, store)
    const found = [...(image.check?.({ deep: true }) ?? [])].filter((item) => 'severity' in item)
    assert.deepEqual(found, [])
  })

  test(`${title}: extents tile the disk, for any limit, and agree with reads`, async () => {
    const store = new MemoryStore()
    await make(store)
    using image = openWith(driver.id, store)
    for (const limit of [512, 70_000, Infinity]) {
      const bytes = new Uint8Array(image.capacity)
      for (let offset = 0; offset < image.capacity;) {
        const extent = image.extentAt(offset, limit)
        assert.equal(extent.offset, offset)
        assert.ok(
          extent.length > 0 && extent.length <= limit && offset + extent.length <= image.capacity,
          `length ${extent.length} at ${offset}`,
        )
        if (extent.kind === 'data') {
          assert.ok(extent.position >= 0 && extent.position + extent.length <= extent.store.size)
          extent.store.read(extent.position, bytes.subarray(offset, offset + extent.length))
        } else if (extent.kind === 'packed') image.read(offset, bytes.subarray(offset, offset + extent.length))
        offset += extent.length
      }
      assert.equal(Buffer.compare(bytes, content), 0, `limit ${limit}`)
    }
  })

  test(`${title}: the same identity gives the same bytes, in a file and in a stream`, async () => {
    const [first, second] = [new MemoryStore(), new MemoryStore()]
    await make(first)
    await make(second)
    assert.equal(Buffer.compare(first.contents(), second.contents()), 0)
    const others = [...filesBeside(second)]
    for (const [name, file] of filesBeside(first))
      assert.equal(Buffer.compare(file.contents(), filesBeside(second).get(name)?.contents() ?? new Uint8Array()), 0)
    if (others.length > 0) return
    const pieces: Uint8Array[] = []
    await stream({
      source: disk(content),
      layout: (store) =>
        driver.create!(store, shape(content.length), options, {
          ...createContext,
          name: createIn(store).name,
          onePass: true,
        }),
      output: async (bytes) => {
        pieces.push(await Promise.resolve(Uint8Array.from(bytes)))
      },
    })
    assert.equal(Buffer.compare(Buffer.concat(pieces), first.contents()), 0)
  })

  test(`${title}: an empty disk and the smallest ones`, () => {
    for (const capacity of [0, 512, 4096, 65536 + 512]) {
      const store = new MemoryStore()
      // A format that cannot be empty says so before anything is written.
      if (capacity === 0 && refusesEmpty(() => driver.create!(store, shape(0), options, createContext))) {
        assert.equal(store.size, 0)
        continue
      }
      using writer = driver.create!(store, shape(capacity), options, createIn(store))
      writer.finish()
      using image = openWith(driver.id, store)
      assert.equal(image.capacity, writer.capacity)
      assert.ok(readAll(image).every((byte) => byte === 0))
    }
  })

  if (driver.id !== 'raw') {
    test(`${title}: cut off at any write, what is left is no image, or a whole one`, async () => {
      let finished = false
      for (let operations = 0; !finished; operations++) {
        assert.ok(operations < 2000, 'the writer never finishes')
        const store = new FaultStore(operations)
        try {
          await make(store)
          finished = true
        } catch (error) {
          assert.ok(isImageError(error), String(error))
          // Only the very last flush may fail after the identifying bytes are there, and then nothing else may be
          // missing.
          if (driver.probe(...ends(store), store.size) !== 'no') {
            using image = openWith(driver.id, store)
            assert.equal(
              Buffer.compare(readAll(image), content),
              0,
              `recognised and not whole after ${operations} operations`,
            )
          }
        }
      }
    })
  }
}

test("probing is total: any bytes, any length, no exception, and noise is nobody's image", () => {
  const samples: Uint8Array[] = [new Uint8Array(0), new Uint8Array(1), new Uint8Array(511), new Uint8Array(65536)]
  for (let seed = 1; seed < 60; seed++) samples.push(diskLike(seed * 97, seed))
  for (const text of ['QFI\u00fb', 'vhdxfile', 'conectix', 'cxsparse']) {
    for (const length of [4, 8, 104, 511, 512, 1024, 65536]) {
      const bytes = new Uint8Array(length)
      Buffer.from(text, 'latin1').copy(bytes)
      samples.push(bytes, bytes.slice().reverse())
    }
  }
  for (const driver of builtinDrivers) {
    for (const sample of samples) {
      for (const size of [sample.length, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
        assert.ok(['certain', 'possible', 'no'].includes(driver.probe(sample, sample, size)))
      }
    }
    const noise = diskLike(65536, 99)
    assert.notEqual(driver.probe(noise, noise, 2 ** 30), 'certain', driver.id)
  }
})

test('every driver says what it is', () => {
  const ids = builtinDrivers.map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  for (const driver of builtinDrivers) {
    assert.equal(driver.apiVersion, 1)
    assert.match(driver.id, /^[a-z][a-z0-9]*$/)
    for (const { name, type, choices, default: standard } of [...driver.options, ...(driver.openOptions ?? [])]) {
      assert.match(name, /^[a-z][a-z0-9-]*$/)
      assert.equal(type === 'choice', choices !== undefined, name)
      if (choices !== undefined && standard !== undefined) assert.ok(choices.includes(String(standard)), name)
    }
    if (driver.create === undefined) assert.deepEqual(driver.options, [], driver.id)
    assert.doesNotThrow(() => {
      try {
        driver.open(new MemoryStore(diskLike(70_000, 5), 'noise'), openContext)[Symbol.dispose]()
      } catch (error) {
        if (!isImageError(error)) throw error
      }
    })
  }
})

function refusesEmpty(create: () => Disposable): boolean {
  try {
    create()[Symbol.dispose]()
    return false
  } catch (error) {
    assert.ok(isImageError(error) && error.kind === 'usage' && error.code === 'E_SIZE', String(error))
    return true
  }
}
