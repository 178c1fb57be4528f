import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { SalvagingSource } from '../../../src/block/salvage.js'
import { copy } from '../../../src/engine/index.js'
import { corrupt } from '../../../src/errors.js'
import { BadSectorStore } from '../../support/bad-sectors.js'
import { diskLike, readAll } from '../../support/content.js'
import { openWith } from '../../support/drivers.js'
import { ToyImage } from '../../support/toy-image.js'

const mebibyte = 1048576
const bad = [
  { position: mebibyte + 4096, length: 4096 },
  { position: 5 * mebibyte - 512, length: 1024 },
]

function expected(content: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(content)
  for (const { position, length } of bad) bytes.fill(0, position, position + length)
  return bytes
}

test('everything around bad sectors is read, they are zero and listed', () => {
  const content = diskLike(8 * mebibyte + 512, 3)
  const store = new BadSectorStore(content, bad)
  using source = new SalvagingSource(openWith('raw', store))
  const target = new Uint8Array(content.length)
  source.read(0, target)
  assert.ok(Buffer.from(target).equals(expected(content)))
  assert.deepEqual(source.bad, [
    { offset: mebibyte + 4096, length: 4096 },
    { offset: 5 * mebibyte - 512, length: 1024 },
  ])
  assert.ok(store.reads < 120, `${store.reads} reads`)
  // Not from the start of a sector.
  const part = new Uint8Array(3000)
  source.read(mebibyte + 3000, part)
  assert.deepEqual(part, expected(content).slice(mebibyte + 3000, mebibyte + 6000))
})

test('the engine takes chunks that cannot be read from the salvaging source, and only those', async () => {
  const content = diskLike(8 * mebibyte, 4)
  const image = openWith('raw', new BadSectorStore(content, bad))
  using salvage = new SalvagingSource(image)
  using target = new ToyImage(new MemoryStore(), content.length, { grain: 65536 })
  await copy({ source: image, target, salvage, threads: 0 })
  assert.ok(Buffer.from(readAll(target)).equals(expected(content)))
  assert.deepEqual(
    salvage.bad.map(({ length }) => length),
    [4096, 1024],
  )
  using second = new ToyImage(new MemoryStore(), content.length, { grain: 65536 })
  await assert.rejects(copy({ source: image, target: second, threads: 0 }), { code: 'E_READ' })
})

test('a disk that is gone is an error, and no disk full of bad sectors', () => {
  class GoneStore extends BadSectorStore {
    override read(position: number, target: Uint8Array): void {
      this.reads++
      throw corrupt('E_READ', `gone: cannot read ${target.length} bytes at byte ${position}`, {
        cause: Object.assign(new Error('gone'), { code: this.code }),
      })
    }

    constructor(readonly code: string) {
      super(new Uint8Array(mebibyte), [])
    }
  }
  for (const [code, there] of [
    ['ENXIO', true],
    ['ENODEV', true],
    ['EIO', false],
  ] as const) {
    const store = new GoneStore(code)
    using source = new SalvagingSource(openWith('raw', store), () => there)
    assert.throws(() => source.read(0, new Uint8Array(mebibyte)), { code: 'E_READ' }, code)
    assert.deepEqual([source.bad, store.reads], [[], 1])
  }
})

test('salvaging lets an interruption through', async () => {
  const store = new BadSectorStore(new Uint8Array(mebibyte), [{ position: 0, length: mebibyte }])
  using source = new SalvagingSource(openWith('raw', store))
  const stop = new AbortController()
  const running = source.salvage(0, new Uint8Array(mebibyte), stop.signal)
  setImmediate(() => stop.abort())
  await assert.rejects(running, { code: 'E_ABORTED' })
  assert.ok(store.reads < 100, `${store.reads} reads`)
})

test('bad sectors that are met in any order are listed in order, neighbours joined', () => {
  const sectors = [5, 1, 2, 9, 4, 3, 12, 2]
  const store = new BadSectorStore(
    new Uint8Array(16 * 512),
    sectors.map((sector) => ({ position: sector * 512, length: 512 })),
  )
  using source = new SalvagingSource(openWith('raw', store))
  for (const sector of sectors) source.read(sector * 512, new Uint8Array(512))
  assert.deepEqual(source.bad, [
    { offset: 512, length: 5 * 512 },
    { offset: 9 * 512, length: 512 },
    { offset: 12 * 512, length: 512 },
  ])
})
