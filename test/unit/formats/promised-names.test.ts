import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { openFile } from '../../../src/formats/open.js'
import { Registry } from '../../../src/formats/registry.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { targetFormat } from '../../../src/operations/transfer/layout.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'

const registry = new Registry()
const drivers = [...registry].map(({ driver }) => driver)

/** Every extension that promises something, and of what. */
const promised = [
  ...drivers.flatMap(({ id, extensions }) => extensions.map((extension) => ({ id, extension }))),
  ...registry.wrappers.flatMap(({ id, extensions }) => extensions.map((extension) => ({ id, extension }))),
  { id: '7z', extension: '7z' },
]

const codes = (notes: readonly { readonly code: string }[]): string[] => notes.map(({ code }) => code)

test('a target that is named as another kind is warned of, for every format and every extension', () => {
  for (const { id: format } of drivers.filter((driver) => driver.create !== undefined))
    for (const { id, extension } of promised) {
      const { notes } = targetFormat(registry, `disk.${extension.toUpperCase()}`, format, {})
      // `raw` is not the only format with an extension: what the registry finds first is what the name says.
      const first = registry.forExtension(`disk.${extension}`)?.id ?? id
      assert.deepEqual(codes(notes), first === format ? [] : ['W_EXTENSION'], `${extension} as ${format}`)
    }
  assert.deepEqual(codes(targetFormat(registry, 'cd.iso', 'raw', {}).notes), [], 'the bytes of a CD')
  assert.deepEqual(codes(targetFormat(registry, 'cd.iso', 'vhd', {}).notes), ['W_EXTENSION'])
})

test('an image that is named as another kind is warned of, for every extension', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), diskLike(1 << 20, 3))
  await convert(at('a.raw'), at('b.qcow2'), {})
  await convert(at('a.raw'), at('b.vhd'), {})
  // Of a part of an image nothing is looked at but its name.
  for (const { id, extension } of promised.filter(({ extension: one }) => !/^(?:00[01]|dmgpart)$/.test(one))) {
    const name = at(`named.${extension}`)
    const [content, format] = id === 'qcow2' ? ['b.vhd', 'vhd'] : ['b.qcow2', 'qcow2']
    fs.copyFileSync(at(content), name)
    using image = openFile(name)
    assert.equal(image.layers[0]?.driver.id, format, extension)
    assert.deepEqual(codes(image.notes), ['W_EXTENSION'], extension)
    fs.rmSync(name)
  }
})

test('a compressed file that is named as another kind is warned of, and so is what is in it', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), diskLike(1 << 20, 3))
  await convert(at('a.raw'), at('b.qcow2'), {})
  const packed = gzipSync(fs.readFileSync(at('b.qcow2')))
  for (const [name, wanted] of [
    ['b.qcow2.gz', []],
    ['b.gz', []],
    ['b.vhd.gz', ['W_EXTENSION']],
    ['b.qcow2.xz', ['W_EXTENSION']],
    ['b.vhd.xz', ['W_EXTENSION', 'W_EXTENSION']],
    ['b.zip', ['W_EXTENSION']],
    ['b.qcow2', ['W_EXTENSION']],
    ['b.7z', ['W_EXTENSION']],
  ] as const) {
    fs.writeFileSync(at(name), packed)
    using image = openFile(at(name))
    assert.equal(image.layers[0]?.driver.id, 'qcow2', name)
    assert.deepEqual(codes(image.notes), wanted, name)
    fs.rmSync(at(name))
  }
  // The same of raw disks: what the wrong name promised is not asked of the content.
  fs.writeFileSync(at('a.raw.xz'), gzipSync(fs.readFileSync(at('a.raw'))))
  using raw = openFile(at('a.raw.xz'))
  assert.deepEqual([raw.layers[0]?.driver.id, codes(raw.notes)], ['raw', ['W_EXTENSION']])
})
