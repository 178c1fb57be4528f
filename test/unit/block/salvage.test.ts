import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { SalvagingSource } from '../../../src/block/salvage.js'
import { copy } from '../../../src/engine/index.js'
import { BadSectorStore } from '../../support/bad-sectors.js'
import { diskLike, readAll } from '../../support/content.js'
import { openWith } from '../../support/drivers.js'
import { ToyImage } from '../../support/toy-image.js'

const mebibyte = 1048576
const bad = [{ position: mebibyte + 4096, length: 4096 }, { position: 5 * mebibyte - 512, length: 1024 }]

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
  assert.deepEqual(source.bad, [{ offset: mebibyte + 4096, length: 4096 }, { offset: 5 * mebibyte - 512, length: 1024 }])
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
  assert.deepEqual(salvage.bad.map(({ length }) => length), [4096, 1024])
  using second = new ToyImage(new MemoryStore(), content.length, { grain: 65536 })
  await assert.rejects(copy({ source: image, target: second, threads: 0 }), { code: 'E_READ' })
})
