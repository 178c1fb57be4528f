import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { builtinDrivers, Registry } from '../../../src/formats/registry.js'
import { flattenChain, showChain } from '../../../src/operations/chain/show.js'
import { compare } from '../../../src/operations/inspect/compare.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { create } from '../../../src/operations/transfer/create.js'
import { hash } from '../../../src/operations/inspect/hash.js'
import { diskLike, sha256 } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { toy, writeToy } from '../../support/toy-format.js'

const registry = new Registry([...builtinDrivers, toy])
const mebibyte = 1048576

test('a chain of 30 VHDX images, each with changes of its own, becomes one', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const depth = 30
  const disk = diskLike(6 * mebibyte, 31)
  fs.writeFileSync(at('disk.raw'), disk)
  await convert(at('disk.raw'), at('0.vhdx'), { options: { 'block-size': '1M' }, flush: false })
  for (let level = 1; level < depth; level++) {
    // Some sectors of its own, some over those of its parent, some that become zero.
    disk.fill(level, level * 150_000, level * 150_000 + 70_000)
    disk.fill(0, level * 180_000 + 512, level * 180_000 + 20_000)
    fs.writeFileSync(at('disk.raw'), disk)
    await convert(at('disk.raw'), at(`${level}.vhdx`), {
      parent: at(`${level - 1}.vhdx`),
      options: { 'block-size': '1M' },
      flush: false,
    })
  }
  const top = at(`${depth - 1}.vhdx`)
  const shown = showChain(top)
  assert.equal(shown.complete, true)
  assert.deepEqual(
    shown.layers.map(({ path, state }) => [path, state]),
    Array.from({ length: depth }, (_, index) => [
      at(`${depth - 1 - index}.vhdx`),
      index === depth - 1 ? 'base' : 'linked',
    ]),
  )
  const before = fs.readdirSync(folder).map((name) => [name, fs.statSync(at(name)).mtimeMs])
  const result = await flattenChain(top, at('flat.vhdx'), { verify: true })
  assert.equal(result.flattened.length, depth)
  assert.equal((await hash(at('flat.vhdx'))).digests[0]?.digest, sha256(disk))
  assert.equal(showChain(at('flat.vhdx')).layers.length, 1)
  assert.deepEqual(
    before,
    before.map(([name]) => [name, fs.statSync(at(String(name))).mtimeMs]),
    'no image of the chain was touched',
  )

  // The upper ten as one child of the twentieth.
  const upper = await flattenChain(top, at('upper.vhdx'), { until: '20.vhdx', verify: true })
  assert.deepEqual([upper.flattened.length, upper.parent], [10, at('19.vhdx')])
  assert.equal((await hash(at('upper.vhdx'))).digests[0]?.digest, sha256(disk))
  assert.deepEqual(
    showChain(at('upper.vhdx'))
      .layers.map(({ path }) => path)
      .slice(0, 2),
    [at('upper.vhdx'), at('19.vhdx')],
  )
  assert.ok(fs.statSync(at('upper.vhdx')).size < fs.statSync(at('flat.vhdx')).size)

  // The same with the lower part moved elsewhere.
  fs.mkdirSync(at('archive'))
  for (let level = 0; level < 15; level++) fs.renameSync(at(`${level}.vhdx`), at(`archive/${level}.vhdx`))
  const broken = showChain(top)
  assert.deepEqual(
    [broken.complete, broken.layers.length, broken.layers.at(-1)?.state, broken.broken?.code],
    [false, 15, 'broken', 'E_PARENT_MISSING'],
  )
  assert.ok(broken.broken!.looked.includes(at('14.vhdx')), broken.broken!.looked.join())
  const found = showChain(top, { search: [at('archive')] })
  assert.deepEqual(
    [found.complete, found.layers.length, found.layers[15]?.foundBy, found.layers[16]?.foundBy],
    [true, 30, 'search', 'name'],
  )
  assert.equal((await compare(top, at('flat.vhdx'), { search: [at('archive')] })).same, true)
})

test('a chain of mixed formats: raw, VHD, QCOW2', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const disk = diskLike(3 * mebibyte, 8)
  fs.writeFileSync(at('a.raw'), disk)
  await convert(at('a.raw'), at('base.vhd'))
  await create(at('middle.qcow2'), { parent: at('base.vhd') })
  await create(at('top.qcow2'), { parent: at('middle.qcow2'), size: 4 * mebibyte })
  assert.deepEqual(
    showChain(at('top.qcow2')).layers.map(({ format, state }) => [format, state]),
    [
      ['qcow2', 'linked-by-name'],
      ['qcow2', 'linked-by-name'],
      ['vhd', 'base'],
    ],
  )
  await flattenChain(at('top.qcow2'), at('flat.vhdx'))
  assert.equal((await compare(at('top.qcow2'), at('flat.vhdx'))).same, true)
  for (const until of ['1', 'middle.qcow2', at('middle.qcow2')]) {
    const { parent, flattened } = await flattenChain(at('top.qcow2'), at('joined.qcow2'), { until, force: true })
    assert.deepEqual([parent, flattened], [at('base.vhd'), [at('top.qcow2'), at('middle.qcow2')]])
    assert.equal((await compare(at('top.qcow2'), at('joined.qcow2'))).same, true)
  }
  // All of the chain is no part of it: nothing is left to be the parent.
  assert.equal((await flattenChain(at('top.qcow2'), at('all.raw'), { until: '2' })).parent, undefined)
  const fails = (run: Promise<unknown>, code: string): Promise<void> =>
    assert.rejects(run, (error) => isImageError(error) && error.code === code)
  await fails(flattenChain(at('top.qcow2'), at('x.raw'), { until: '3' }), 'E_NO_LAYER')
  await fails(flattenChain(at('top.qcow2'), at('x.raw'), { until: 'a.raw' }), 'E_NO_LAYER')
  await fails(flattenChain(at('top.qcow2'), at('x.raw'), { until: '0' }), 'E_NO_PARENTS')
  await fails(flattenChain(at('top.qcow2'), at('base.vhd'), { force: true }), 'E_SAME_FILE')
  await fails(flattenChain(at('top.qcow2'), at('middle.qcow2'), { force: true, until: '0' }), 'E_SAME_FILE')
  assert.equal(fs.existsSync(at('x.raw')), false)
})

test(
  'a raw parent that its guest made look like an image stays raw, also as the parent of a flattened ' + 'child',
  async (t) => {
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    fs.writeFileSync(at('a.raw'), diskLike(2 * mebibyte, 3))
    await convert(at('a.raw'), at('disguised.raw'), { to: 'qcow2' })
    fs.truncateSync(at('disguised.raw'), 4 * mebibyte)
    fs.copyFileSync(at('disguised.raw'), at('plain.img'))
    await create(at('child.qcow2'), { parent: at('disguised.raw'), parentFormat: 'raw' })
    await create(at('top.qcow2'), { parent: at('child.qcow2') })
    await flattenChain(at('top.qcow2'), at('joined.qcow2'), { until: '1' })
    const { layers } = showChain(at('joined.qcow2'))
    assert.deepEqual(
      layers.map(({ format }) => format),
      ['qcow2', 'raw'],
    )
    assert.equal((await compare(at('joined.qcow2'), at('plain.img'), { second: { from: 'raw' } })).same, true)
  },
)

test(
  'what is broken is reported: wrong ids with the file that has them, names that are not allowed, unreadable ' +
    'layers',
  (t) => {
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    writeToy(at('base.toy'), { identity: 'wrong' })
    writeToy(at('c.toy'), { parent: { paths: ['base.toy', 'C:\\x\\base.toy'], format: 'toy', identity: 'right' } })
    const wrong = showChain(at('c.toy'), { registry })
    assert.deepEqual(
      [wrong.complete, wrong.broken?.code, wrong.broken?.looked],
      [false, 'E_PARENT_ID', [at('base.toy')]],
    )
    assert.match(wrong.broken!.message, new RegExp(`right.*wrong.*${at('base.toy')}`))
    assert.deepEqual(wrong.layers[0]?.parent, {
      names: ['base.toy', 'C:\\x\\base.toy'],
      format: 'toy',
      identity: 'right',
    })
    writeToy(at('c.toy'), { parent: { paths: ['/etc/passwd'], format: 'raw' } })
    assert.equal(showChain(at('c.toy'), { registry }).broken?.code, 'E_REFERENCE_NOT_ALLOWED')
    writeToy(at('base.toy'), { encrypted: true })
    writeToy(at('c.toy'), { parent: { paths: ['base.toy'], format: 'toy' } })
    const locked = showChain(at('c.toy'), { registry })
    assert.deepEqual([locked.complete, locked.layers[1]?.unreadable?.code], [true, 'E_TOY_SECRET'])
  },
)
