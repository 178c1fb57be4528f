import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { noise } from '../../../fixtures/content.js'
import { CountingStore } from '../../../src/block/counting-store.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { isImageError } from '../../../src/errors.js'
import { openFile } from '../../../src/formats/open.js'
import { vmdk } from '../../../src/formats/vmdk/index.js'
import { convert, create, measure } from '../../../src/index.js'
import { createIn, filesBeside, openWith, shape } from '../../support/drivers.js'
import { readAll } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { have, run } from '../../support/tools.js'

const sector = 512
const grain = 65536
const mebibyte = 1048576

function textOf(store: MemoryStore): string {
  return Buffer.from(store.contents()).toString('utf8')
}

test('places of a sparse image are those of VMware', () => {
  const store = new MemoryStore()
  using writer = vmdk.create!(store, shape(3 * 1024 * mebibyte), {}, createIn(store))
  writer.finish()
  const header = Buffer.from(store.contents()).subarray(0, sector)
  assert.equal(header.readBigUInt64LE(48), 21n, 'redundant grain directory')
  assert.equal(header.readBigUInt64LE(56), 406n, 'grain directory')
  assert.equal(header.readBigUInt64LE(64), 896n, 'overhead')
  assert.equal(store.size, 896 * sector)
})

test('places of a stream are those of the specification', () => {
  const store = new MemoryStore()
  const writer = vmdk.create!(store, shape(8192 * sector), { subformat: 'streamOptimized' }, createIn(store))
  for (const offset of [0, grain]) writer.place(offset, grain)
  writer.finish()
  const bytes = Buffer.from(store.contents())
  const marker = (at: number): readonly number[] => [
    Number(bytes.readBigUInt64LE(at * sector)),
    bytes.readUInt32LE(at * sector + 8),
    bytes.readUInt32LE(at * sector + 12),
  ]
  assert.equal(marker(128)[0], 0)
  assert.equal(marker(257)[0], 128)
  assert.deepEqual(marker(386), [4, 0, 1], 'grain table')
  assert.deepEqual(marker(391), [1, 0, 2], 'grain directory')
  assert.deepEqual(marker(393), [1, 0, 3], 'footer')
  assert.deepEqual(marker(395), [0, 0, 0], 'end of stream')
  assert.equal(bytes.length, 396 * sector)
  assert.equal(bytes.readBigUInt64LE(56), 0xffffffffffffffffn)
  assert.equal(bytes.readBigUInt64LE(394 * sector + 56), 392n)
})

test('split disks: extents of 2047 MiB, three digits, then four', () => {
  for (const [subformat, letter] of [
    ['twoGbMaxExtentSparse', 's'],
    ['twoGbMaxExtentFlat', 'f'],
  ] as const) {
    const store = new MemoryStore()
    const capacity = (2 * 4192256 + 100) * sector
    using writer = vmdk.create!(store, shape(capacity), { subformat }, createIn(store))
    const edge = 4192256 * sector
    const placed = writer.place(edge - grain, 2 * grain)
    assert.equal(placed.length, grain, 'a run ends with its extent')
    placed.store.write(placed.position, noise(1, grain))
    const next = writer.place(edge, grain)
    assert.notEqual(next.store, placed.store)
    next.store.write(next.position, noise(2, grain))
    const last = writer.place(2 * edge, 100 * sector)
    last.store.write(last.position, noise(3, 100 * sector))
    writer.finish()
    assert.deepEqual(
      [...filesBeside(store).keys()],
      [1, 2, 3].map((n) => `image-${letter}00${n}.vmdk`),
    )
    assert.match(textOf(store), /RW 4192256 (?:SPARSE|FLAT) "image-.001\.vmdk".*\nRW 4192256 .*\nRW 100 /)
  }
  const store = new CountingStore()
  const names: string[] = []
  using writer = vmdk.create!(
    store,
    shape(1002 * 4192256 * sector),
    { subformat: 'twoGbMaxExtentSparse' },
    {
      name: 'Disk.VMDK',
      createFile: (name) => {
        names.push(name)
        return new CountingStore(name)
      },
    },
  )
  assert.ok(writer.capacity > 0)
  assert.deepEqual([names[998], names[999], names.length], ['Disk-s999.vmdk', 'Disk-s1000.vmdk', 1002])
})

test('options are judged', () => {
  const refuse = (options: Record<string, string | number>, code: string, capacity = mebibyte): void => {
    assert.throws(
      () =>
        vmdk.create!(new MemoryStore(), shape(capacity), options, {
          name: 'x.vmdk',
          createFile: () => new MemoryStore(),
        }),
      (error) => isImageError(error) && error.kind === 'usage' && error.code === code,
    )
  }
  refuse({ 'hardware-version': 0 }, 'E_OPTION_VALUE')
  refuse({ level: 10 }, 'E_OPTION_VALUE')
  refuse({}, 'E_SIZE', 0)
  refuse({}, 'E_TOO_LARGE_FOR_FORMAT', 4 * 2 ** 40)
  assert.throws(
    () => vmdk.create!(new MemoryStore(), shape(512), {}, { name: 'a"b.vmdk', createFile: () => new MemoryStore() }),
    (error) => isImageError(error) && error.code === 'E_FILE_NAME',
  )
  const store = new MemoryStore()
  using writer = vmdk.create!(
    store,
    shape(mebibyte),
    { adapter: 'ide', 'hardware-version': 19, subformat: 'vmfs' },
    createIn(store),
  )
  writer.finish()
  assert.match(textOf(store), /RW 2048 VMFS "image-flat\.vmdk"\n/)
  assert.match(textOf(store), /ddb\.adapterType = "ide"\nddb\.geometry\.cylinders = "3"\nddb\.geometry\.heads = "16"/)
  assert.match(textOf(store), /ddb\.virtualHWVersion = "19"/)
})

const subformats = [
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'streamOptimized',
  'vmfs',
]

test('measure says what convert writes, to the byte', async (t) => {
  const folder = testFolder(t)
  const raw = join(folder, 'disk.raw')
  const content = Buffer.alloc(3 * mebibyte + 5 * sector)
  noise(7, 200_000).copy(content, 1_000_000)
  content.fill('text ', 100_000, 300_000)
  noise(8, 3 * sector).copy(content, 3 * mebibyte)
  writeFileSync(raw, content)
  for (const subformat of subformats) {
    mkdirSync(join(folder, subformat))
    const target = join(folder, subformat, 'a name of some other length.vmdk')
    const { required } = await measure(raw, { to: 'vmdk', options: { subformat } })
    await convert(raw, target, { options: { subformat }, verify: true })
    assert.equal(
      readdirSync(dirname(target)).reduce((sum, name) => sum + statSync(join(dirname(target), name)).size, 0),
      required,
      subformat,
    )
    if (have(t, 'qemu-img')) run('qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'vmdk', raw, target)
    if (!subformat.endsWith('lat') && subformat !== 'vmfs' && have(t, '7z'))
      assert.match(run('7z', 't', target), /Everything is Ok/)
  }
})

test('names of files beside the image are bytes', async (t) => {
  const folder = testFolder(t)
  const raw = join(folder, 'disk.raw')
  writeFileSync(raw, noise(3, mebibyte))
  for (const name of ['größe ü.vmdk', `w\udcffestern.vmdk`, 'no extension', 'a;b&c.vmdk']) {
    await convert(raw, join(folder, name), { to: 'vmdk', options: { subformat: 'monolithicFlat' }, verify: true })
    using image = openFile(join(folder, name))
    assert.equal(Buffer.compare(readAll(image), readFileSync(raw)), 0)
  }
})

test('an image of several files appears whole or not at all, and replaces no file by chance', async (t) => {
  const folder = testFolder(t)
  const raw = join(folder, 'disk.raw')
  writeFileSync(raw, noise(3, mebibyte))
  const other = join(folder, 'new-flat.vmdk')
  writeFileSync(other, 'somebody else')
  const options = { options: { subformat: 'monolithicFlat' } }
  await assert.rejects(
    convert(raw, join(folder, 'new.vmdk'), options),
    (error) => isImageError(error) && error.code === 'E_EXISTS',
  )
  assert.deepEqual(readdirSync(folder).sort(), ['disk.raw', 'new-flat.vmdk'])
  assert.equal(readFileSync(other, 'utf8'), 'somebody else')
  await convert(raw, join(folder, 'new.vmdk'), { ...options, force: true })
  // An extent of the source is no target, not even with force.
  for (const target of ['new-flat.vmdk', 'new.vmdk'])
    await assert.rejects(
      convert(join(folder, 'new.vmdk'), join(folder, target), { to: 'raw', force: true }),
      (error) => isImageError(error) && error.code === 'E_SAME_FILE',
    )
  await assert.rejects(
    convert(join(folder, 'new.vmdk'), join(folder, 'new-flat'), {
      ...options,
      to: 'vmdk',
      force: true,
      parent: join(folder, 'new.vmdk'),
    }),
    (error) => isImageError(error) && error.code === 'E_NO_PARENTS',
  )
})

test('children: only what differs, zeros that hide the parent, and QEMU reads them', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const base = noise(4, 2 * mebibyte)
  const changed = Buffer.from(base)
  changed.fill(0, 3 * grain, 5 * grain)
  noise(5, 100).copy(changed, 10 * grain + 17)
  writeFileSync(at('base.raw'), base)
  writeFileSync(at('new.raw'), changed)
  for (const subformat of ['monolithicSparse', 'monolithicFlat', 'streamOptimized', 'twoGbMaxExtentSparse']) {
    await convert(at('base.raw'), at(`${subformat}.vmdk`), { options: { subformat } })
    const child = at(`${subformat}-child.vmdk`)
    await convert(at('new.raw'), child, { parent: at(`${subformat}.vmdk`), verify: true })
    assert.ok(statSync(child).size <= 2 * 128 * sector + grain * 2, `${statSync(child).size}`)
    using image = openFile(child)
    assert.equal(image.layers.length, 2)
    assert.equal(Buffer.compare(readAll(image), changed), 0)
    if (have(t, 'qemu-img')) run('qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'vmdk', at('new.raw'), child)
    await create(at(`${subformat}-empty.vmdk`), { parent: at(`${subformat}.vmdk`) })
    if (have(t, 'qemu-img'))
      run('qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'vmdk', at('base.raw'), at(`${subformat}-empty.vmdk`))
  }
  await convert(at('base.raw'), at('base.qcow2'))
  await assert.rejects(
    create(at('child-of-qcow2.vmdk'), { parent: at('base.qcow2') }),
    (error) => isImageError(error) && error.code === 'E_PARENT_FORMAT',
  )
})

test('a stream that goes to a pipe is read once, and is the same', async (t) => {
  const folder = testFolder(t)
  const raw = join(folder, 'disk.raw')
  const content = Buffer.concat([noise(1, 5 * mebibyte), Buffer.alloc(40 * mebibyte), noise(2, 3 * mebibyte + 512)])
  writeFileSync(raw, content)
  const identity = { uuid: '5eed0300-0000-4000-8000-000000000000', time: 1_700_000_000 }
  const options = { to: 'vmdk', options: { subformat: 'streamOptimized' }, ...identity }
  await convert(raw, join(folder, 'disk.vmdk'), options)
  const pieces: Buffer[] = []
  await convert(
    raw,
    { output: async (bytes: Uint8Array) => void pieces.push(await Promise.resolve(Buffer.from(bytes))) },
    options,
  )
  assert.ok(Buffer.concat(pieces).equals(readFileSync(join(folder, 'disk.vmdk'))))
  const store = new MemoryStore(Buffer.concat(pieces))
  using image = openWith('vmdk', store)
  assert.equal(Buffer.compare(readAll(image), content), 0)
})
