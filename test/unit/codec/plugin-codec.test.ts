import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FileStore } from '../../../src/block/file-store.js'
import type { BlockSource, Codec, Extent } from '../../../src/block/types.js'
import { addCodec, codecFor, compressorFor, isShared } from '../../../src/codec/registry.js'
import { copy } from '../../../src/engine/index.js'
import type { FormatDriver } from '../../../src/formats/driver.js'
import { builtinDrivers, Registry } from '../../../src/formats/registry.js'
import inverted from '../../support/plugin-codec.js'
import { testFolder } from '../../support/folder.js'
import { ToyImage } from '../../support/toy-image.js'

const unit = 1024 * 1024

/** A disk of eight units, all of the one byte that its file holds. */
function inverses(store: FileStore, codec: Codec): BlockSource {
  return {
    capacity: 8 * unit,
    sectorSize: 512,
    grain: unit,
    extentAt(offset, limit): Extent {
      const unitOffset = offset - (offset % unit)
      const length = Math.min(limit, unitOffset + unit - offset)
      const place = { store, position: 0, storedLength: 1, unitOffset, unitLength: unit }
      return { kind: 'packed', offset, length, codec, ...place }
    },
    read: () => assert.fail('units of a shared codec are not read here'),
    [Symbol.dispose]: () => store[Symbol.dispose](),
  }
}

test("a plug-in's codec comes with its driver, and decodes in the engine's threads", async (t) => {
  const driver: FormatDriver = { ...builtinDrivers[0]!, id: 'with-codec', codecs: [inverted] }
  new Registry().add(driver, 'a plug-in')
  new Registry().add(driver, 'a plug-in')
  assert.equal(codecFor('inverted'), inverted)
  assert.ok(isShared(inverted))
  const folder = testFolder(t)
  fs.writeFileSync(join(folder, 'disk'), Uint8Array.of(0x0f))
  using source = inverses(FileStore.openRead(join(folder, 'disk')), inverted)
  using store = FileStore.create(join(folder, 'copy'))
  const target = new ToyImage(store, source.capacity)
  await copy({ source, target, threads: 2 })
  const bytes = new Uint8Array(unit)
  for (let index = 0; index < 8; index++) {
    target.read(index * unit, bytes)
    assert.ok(bytes.subarray(0, -1).every((byte) => byte === 0xf0))
    assert.ok((bytes.at(-1) ?? 0) > 0, 'decoded in another thread than this')
  }
})

test("codecs of plug-ins that are no codecs, or take another's id, are refused with the plug-in's name", () => {
  const refuses = (codec: unknown, code: string): void =>
    assert.throws(() => addCodec(codec, 'plug-in p'), { kind: 'unsupported', code, message: /plug-in p/ })
  for (const codec of [undefined, {}, { id: 'X' }, { id: 'x' }, { id: 'x', decode: 1 }, { ...inverted, module: 1 }])
    refuses(codec, 'E_PLUGIN_CODEC')
  refuses({ ...inverted, id: 'deflate' }, 'E_PLUGIN_ID_TAKEN')
  refuses({ ...inverted, module: 'file:///other.js' }, 'E_PLUGIN_ID_TAKEN')
  assert.throws(() => codecFor('x'), { code: 'E_CODEC' })
})

test('a codec without a module is not shared: its driver decodes in its own thread', () => {
  addCodec({ id: 'private', decode: () => undefined }, 'plug-in p')
  assert.ok(!isShared(codecFor('private')))
})

test('a codec that only decodes does not compress; what a codec needs is loaded once', () => {
  let loads = 0
  addCodec({ id: 'reading', load: () => (loads += 1), decode: () => undefined }, 'plug-in p')
  assert.equal(loads, 0)
  assert.throws(() => compressorFor('reading'), { code: 'E_CODEC' })
  codecFor('reading')
  assert.equal(loads, 1)
})
