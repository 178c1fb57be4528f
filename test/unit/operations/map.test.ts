import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { builtinDrivers, Registry } from '../../../src/formats/registry.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { create } from '../../../src/operations/transfer/create.js'
import { openImage } from '../../../src/operations/library/image.js'
import { map, type MapExtent, type MapOptions } from '../../../src/operations/inspect/map.js'
import { diskLike } from '../../support/content.js'
import { fixture } from '../../support/fixtures.js'
import { testFolder } from '../../support/folder.js'
import { subtypes } from '../../support/subtypes.js'
import { toy, writeToy } from '../../support/toy-format.js'
import { ProcessorTime } from '../../support/processor-time.js'

const registry = new Registry([...builtinDrivers, toy])
const block = 4096

function extents(path: string, options: MapOptions = {}): MapExtent[] {
  using found = map(path, { registry, ...options })
  return [...found.extents()]
}

test('every run of a chain: who answers, in which file, where', (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  writeToy(at('a.toy'), { fill: [1, 1], capacity: 2 * block })
  writeToy(at('b.toy'), { fill: [2], blocks: [1, -3], parent: { paths: ['a.toy'], format: 'toy' } })
  writeToy(at('c.toy'), { fill: [3], blocks: [4], capacity: 6 * block, parent: { paths: ['b.toy'], format: 'toy' } })
  using found = map(at('c.toy'), { registry })
  const expected = [
    { offset: 0, length: block, kind: 'data', depth: 2, file: 0, position: 4096 },
    { offset: block, length: block, kind: 'data', depth: 1, file: 1, position: 4096 },
    { offset: 2 * block, length: block, kind: 'zero', depth: 1 },
    // Past the end of a.toy: what b.toy does not hold, nobody does.
    { offset: 3 * block, length: block, kind: 'absent', depth: 1 },
    { offset: 4 * block, length: block, kind: 'data', depth: 0, file: 2, position: 4096 },
    { offset: 5 * block, length: block, kind: 'absent', depth: 0 },
  ]
  assert.deepEqual([...found.extents()], expected)
  assert.deepEqual(found.files, [at('a.toy'), at('b.toy'), at('c.toy')])
  assert.deepEqual(
    found.layers.map(({ path }) => path),
    [at('c.toy'), at('b.toy'), at('a.toy')],
  )
  assert.deepEqual(found.totals, {
    extents: 6,
    data: 3 * block,
    compressed: 0,
    compressedStored: 0,
    hole: 0,
    zero: block,
    absent: 2 * block,
  })
  assert.deepEqual(extents(at('c.toy'), { range: { offset: block + 100, length: block } }), [
    { offset: block + 100, length: block - 100, kind: 'data', depth: 1, file: 0, position: 4196 },
    { offset: 2 * block, length: 100, kind: 'zero', depth: 1 },
  ])
  assert.deepEqual(extents(at('c.toy'), { range: { offset: 6 * block, length: 0 } }), [])
  assert.throws(
    () => map(at('c.toy'), { registry, range: { offset: 6 * block, length: 1 } }),
    (error) => isImageError(error) && error.code === 'E_RANGE',
  )
})

test(
  'what the map says is stored at a place is there, in every subtype; runs tile the disk and are ' + 'joined',
  async (t) => {
    const folder = testFolder(t)
    const disk = diskLike(5 * 1048576 + 512, 4)
    fs.writeFileSync(join(folder, 'a.raw'), disk)
    for (const { name, extension, options } of subtypes) {
      const path = join(folder, `b.${extension}`)
      await convert(join(folder, 'a.raw'), path, { ...options, force: true })
      using mapped = map(path, { registry })
      const runs = [...mapped.extents()]
      const files = mapped.files.map((each) => fs.readFileSync(each))
      using image = await openImage(path)
      let end = 0
      let before: MapExtent | undefined
      for (const extent of runs) {
        const { offset, length, kind, position } = extent
        const file = files[extent.file ?? -1] ?? Buffer.alloc(0)
        assert.equal(offset, end, name)
        const content = Buffer.from(image.read(offset, length))
        if (kind === 'data')
          assert.ok(content.equals(file.subarray(position, position! + length)), `${name} at ${offset}`)
        if (kind === 'hole' || kind === 'zero' || kind === 'absent')
          assert.ok(
            content.every((byte) => byte === 0),
            `${name} at ${offset}`,
          )
        if (kind === 'compressed') assert.ok(position! + extent.storedLength! <= file.length, name)
        if (before?.kind === kind && kind !== 'compressed')
          assert.notEqual(
            (before.position ?? 0) + before.length,
            position ?? before.length,
            `${name}: not joined at ${offset}`,
          )
        end += length
        before = extent
      }
      assert.equal(end, disk.length)
      fs.rmSync(path)
    }
  },
)

test('the map of a partition begins at its first byte', async () => {
  const path = `${fixture('partitioned-disk.vhdx')}@2`
  const file = fs.readFileSync(fixture('partitioned-disk.vhdx'))
  using image = await openImage(path)
  let end = 0
  for (const { offset, length, kind, position } of extents(path)) {
    assert.equal(offset, end)
    if (kind === 'data')
      assert.ok(
        Buffer.from(image.read(offset, length)).equals(file.subarray(position, position! + length)),
        `at ${offset}`,
      )
    end += length
  }
  assert.equal(end, image.capacity)
})

test('16 TiB cost neither time nor memory', async (t) => {
  const folder = testFolder(t)
  const started = new ProcessorTime()
  for (const name of ['a.qcow2', 'a.vhdx']) {
    const path = join(folder, name)
    await create(path, { size: 16 * 2 ** 40 })
    assert.deepEqual(
      extents(path).map(({ length, kind }) => [length, kind]),
      [[16 * 2 ** 40, 'absent']],
      name,
    )
    const child = join(folder, `child-${name}`)
    await create(child, { parent: path })
    assert.deepEqual(
      extents(child).map(({ length, depth }) => [length, depth]),
      [[16 * 2 ** 40, 1]],
      name,
    )
  }
  started.atMost(5000)
})

test('a damaged table ends the map where it is, after what is sound', async (t) => {
  const folder = testFolder(t)
  const path = join(folder, 'a.qcow2')
  fs.writeFileSync(join(folder, 'a.raw'), Buffer.alloc(2 * 1048576, 7))
  await convert(join(folder, 'a.raw'), path)
  const bytes = fs.readFileSync(path)
  const l1 = Number(bytes.readBigUInt64BE(40))
  const l2 = Number(bytes.readBigUInt64BE(l1) & 0x00fffffffffffe00n)
  bytes.writeBigUInt64BE(0x8000_0000_7fff_0000n, l2 + 8 * 16)
  fs.writeFileSync(path, bytes)
  using found = map(path)
  const seen: MapExtent[] = []
  assert.throws(
    () => {
      for (const extent of found.extents()) seen.push(extent)
    },
    (error) => isImageError(error) && error.kind === 'corrupt',
  )
  assert.deepEqual(
    seen.map(({ offset, length, kind }) => [offset, length, kind]),
    [[0, 1048576, 'data']],
  )
})
