import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { convert, type ConvertOptions } from '../../../src/operations/transfer/convert.js'
import { create } from '../../../src/operations/transfer/create.js'
import { measure } from '../../../src/operations/transfer/measure.js'
import { diskLike } from '../../support/content.js'
import { fixture } from '../../support/fixtures.js'
import { testFolder } from '../../support/folder.js'
import { subtypes } from '../../support/subtypes.js'
import { ProcessorTime } from '../../support/processor-time.js'

const mebibyte = 1048576

/** Bytes of all files of a folder. */
function sizeOf(folder: string): number {
  return fs.readdirSync(folder).reduce((sum, name) => sum + fs.statSync(join(folder, name)).size, 0)
}

/** Ten different disks: kinds of content, of files, of chains. */
async function inputs(
  t: TestContext,
): Promise<{ folder: string; sources: [name: string, path: string, options: ConvertOptions][] }> {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const mixed = diskLike(3 * mebibyte + 512, 6)
  fs.writeFileSync(at('mixed.raw'), mixed)
  fs.writeFileSync(at('zeros.raw'), new Uint8Array(2 * mebibyte))
  fs.writeFileSync(at('sector.raw'), Buffer.alloc(512, 1))
  fs.writeFileSync(
    at('full.raw'),
    diskLike(2 * mebibyte, 2).map((byte, index) => (byte ^ (index * 167) ^ (index >> 8)) | 1),
  )
  fs.writeFileSync(at('sparse.raw'), 'start')
  fs.truncateSync(at('sparse.raw'), 100 * mebibyte)
  fs.writeSync(fs.openSync(at('sparse.raw'), 'r+'), mixed, 0, 300_000, 70 * mebibyte + 4096)
  await convert(at('mixed.raw'), at('packed.qcow2'), { options: { compress: 'zstd' } })
  await convert(at('sparse.raw'), at('dynamic.vhd'))
  await convert(at('mixed.raw'), at('base.vhdx'))
  await create(at('child.vhdx'), { parent: at('base.vhdx') })
  return {
    folder,
    sources: [
      ['mixed', at('mixed.raw'), {}],
      ['zeros written', at('zeros.raw'), {}],
      ['one sector', at('sector.raw'), {}],
      ['full', at('full.raw'), {}],
      ['sparse', at('sparse.raw'), {}],
      ['compressed', at('packed.qcow2'), {}],
      ['dynamic VHD', at('dynamic.vhd'), {}],
      ['a chain', at('child.vhdx'), {}],
      ['a larger disk', at('mixed.raw'), { size: 9 * mebibyte }],
      ['a partitioned disk', fixture('partitioned-disk.vhdx'), {}],
    ],
  }
}

test('what is measured is what convert writes: every subtype, ten disks', async (t) => {
  const { folder, sources } = await inputs(t)
  for (const {
    name,
    extension,
    options: { to, options },
  } of subtypes) {
    await t.test(name, async () => {
      for (const [what, source, how] of sources) {
        const target = join(folder, 'out', `disk.${extension}`)
        fs.mkdirSync(join(folder, 'out'))
        const written = await convert(source, target, {
          ...how,
          to: to!,
          ...(options === undefined ? {} : { options }),
          flush: false,
        })
        const measured = await measure(source, { ...how, to: to!, ...(options === undefined ? {} : { options }) })
        assert.equal(measured.required, sizeOf(join(folder, 'out')), `${what} → ${name}`)
        assert.equal(measured.content, written.bytesWritten, what)
        assert.equal(measured.target.capacity, written.target.capacity, what)
        assert.ok(
          measured.fullyAllocated >= measured.required,
          `${what}: ${measured.fullyAllocated} < ${measured.required}`,
        )
        fs.rmSync(join(folder, 'out'), { recursive: true })
      }
    })
  }
})

test('fully allocated is the size of a disk that is full', async (t) => {
  const { folder, sources } = await inputs(t)
  const full = sources.find(([name]) => name === 'full')![1]
  for (const {
    name,
    extension,
    options: { to, options },
  } of subtypes) {
    const measured = await measure(undefined, {
      size: 2 * mebibyte,
      to: to!,
      options,
    })
    if (options?.['compress'] !== undefined || options?.['subformat'] === 'streamOptimized') continue
    const target = join(folder, 'out', `another name.${extension}`)
    fs.mkdirSync(join(folder, 'out'))
    await convert(full, target, { to: to!, options })
    assert.equal(measured.fullyAllocated, sizeOf(join(folder, 'out')), name)
    fs.rmSync(join(folder, 'out'), { recursive: true })
  }
})

test('an empty disk takes what create writes, of any size and with any option', async (t) => {
  const folder = testFolder(t)
  for (const [to, size, options] of [
    ['raw', 5 * mebibyte, {}],
    ['raw', 3 * mebibyte, { preallocation: 'full' }],
    ['vhd', 10 * mebibyte, {}],
    ['vhd', 3 * mebibyte + 512, { subformat: 'fixed' }],
    ['vhdx', 100 * 2 ** 30, {}],
    ['vdi', 100 * 2 ** 30, {}],
    ['vdi', 8 * mebibyte, { subformat: 'fixed' }],
    ['vhdx', 8 * mebibyte, { subformat: 'fixed' }],
    ['vhdx', 8 * mebibyte, { 'block-size': '1M' }],
    ['qcow2', 5000, {}],
    ['qcow2', 2 ** 36, {}],
    ['qcow2', 3 * mebibyte, { preallocation: 'metadata' }],
    ['qcow2', 3 * mebibyte, { preallocation: 'full' }],
    ['qcow2', 3 * mebibyte, { 'cluster-size': '512' }],
  ] as const) {
    const target = join(folder, `out.${to}`)
    await create(target, { size, options })
    assert.equal(
      (await measure(undefined, { to, size, options })).required,
      fs.statSync(target).size,
      `${to} ${size} ${JSON.stringify(options)}`,
    )
    fs.rmSync(target)
  }
})

test('children and data files are measured too', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const disk = diskLike(4 * mebibyte, 12)
  fs.writeFileSync(at('base.raw'), disk)
  fs.writeFileSync(at('new.raw'), Uint8Array.from(disk).fill(7, mebibyte, mebibyte + 200_000))
  for (const extension of ['qcow2', 'vhd', 'vhdx', 'vdi']) {
    const [base, child] = [at(`base.${extension}`), at(`child.${extension}`)]
    await convert(at('base.raw'), base)
    await convert(at('new.raw'), child, { parent: base })
    assert.equal(
      (await measure(at('new.raw'), { to: extension, parent: base })).required,
      fs.statSync(child).size,
      extension,
    )
    await create(child, { parent: base, force: true })
    const empty = await measure(undefined, { to: extension, parent: base })
    assert.equal(empty.required, fs.statSync(child).size, `empty ${extension}`)
    assert.deepEqual(empty.notes, [])
  }
  const options = { 'data-file': 'data.bin' }
  await convert(at('new.raw'), at('data.qcow2'), { options })
  const measured = await measure(at('new.raw'), { to: 'qcow2', options })
  assert.deepEqual(measured.files, [
    { size: fs.statSync(at('data.qcow2')).size },
    { name: 'data.bin', size: fs.statSync(at('data.bin')).size },
  ])
  assert.equal(
    measured.required,
    measured.files.reduce((sum, { size }) => sum + size, 0),
  )
})

test(
  'a large disk that would be full is measured in bounded time; mistakes are those of convert; an abort ends ' + 'it',
  async (t) => {
    const folder = testFolder(t)
    const started = new ProcessorTime()
    const { fullyAllocated } = await measure(undefined, { to: 'qcow2', size: 2 ** 38 })
    assert.ok(fullyAllocated > 2 ** 38 && fullyAllocated < 2 ** 38 * 1.001)
    started.atMost(5000)
    fs.writeFileSync(join(folder, 'a.raw'), diskLike(mebibyte))
    const fails = (run: Promise<unknown>, code: string): Promise<void> =>
      assert.rejects(run, (error) => isImageError(error) && error.code === code)
    await fails(measure(undefined, { to: 'qcow2' }), 'E_SIZE')
    await fails(measure(join(folder, 'a.raw'), { to: 'nope' }), 'E_UNKNOWN_FORMAT')
    await fails(measure(join(folder, 'a.raw'), { to: 'qcow2', size: 512 }), 'E_SIZE_TOO_SMALL')
    await fails(measure(join(folder, 'a.raw'), { to: 'qcow2', signal: AbortSignal.abort() }), 'E_ABORTED')
  },
)
