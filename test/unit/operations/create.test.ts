import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { builtinDrivers, Registry } from '../../../src/formats/registry.js'
import { create } from '../../../src/operations/transfer/create.js'
import { formats } from '../../../src/operations/inspect/formats.js'
import { imageIdentity } from '../../../src/operations/transfer/identity.js'
import { openImage } from '../../../src/operations/library/image.js'
import { info } from '../../../src/operations/inspect/info.js'
import { testFolder } from '../../support/folder.js'
import { toy, writeToy } from '../../support/toy-format.js'

const registry = new Registry([...builtinDrivers, toy])

async function code(run: Promise<unknown>): Promise<string> {
  try {
    await run
  } catch (error) {
    if (isImageError(error)) return `${error.kind} ${error.code}`
    throw error
  }
  return 'nothing thrown'
}

test('a new image reads as zero, or as its parent', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const made = await create(at('a.toy'), { registry, size: 100000 })
  assert.deepEqual(
    made.notes.map((note) => note.code),
    ['W_ROUNDED_UP'],
  )
  assert.equal(made.target.capacity, 102400)
  using empty = await openImage(at('a.toy'), { registry })
  assert.deepEqual([...empty.extents()], [{ offset: 0, length: 102400, kind: 'zero' }])
  writeToy(at('base.toy'), { fill: [7], identity: 'base' })
  const child = await create(at('child.toy'), { registry, parent: at('base.toy') })
  assert.equal(child.target.capacity, 16384)
  assert.equal(child.parent?.path, at('base.toy'))
  using opened = await openImage(at('child.toy'), { registry })
  assert.deepEqual([...opened.read(4090, 10)], [7, 7, 7, 7, 7, 7, 0, 0, 0, 0])
  assert.deepEqual(
    [...opened.extents()],
    [
      { offset: 0, length: 4096, kind: 'data' },
      { offset: 4096, length: 12288, kind: 'zero' },
    ],
  )
  assert.deepEqual(
    [...opened.extents(4000, 5000)],
    [
      { offset: 4000, length: 96, kind: 'data' },
      { offset: 4096, length: 904, kind: 'zero' },
    ],
  )
  assert.throws(() => [...opened.extents(0, 16385)], RangeError)
})

test('create refuses what it cannot do and leaves nothing', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  assert.equal(await code(create(at('a.toy'), { registry })), 'usage E_SIZE')
  assert.equal(
    await code(create(at('a.toy'), { registry, size: 1024, options: { fault: 'finish' } })),
    'corrupt E_TOY_FINISH',
  )
  assert.equal(await code(create(at('a.raw'), { registry, size: 1024, parent: at('b.raw') })), 'usage E_NO_PARENTS')
  assert.equal(await code(create(at('a.toy'), { registry, size: 1024, sectorSize: 4096 })), 'usage E_SECTOR_SIZE')
  assert.equal(
    await code(create(at('a.toy'), { registry, size: 1024, parent: at('missing.toy') })),
    'usage E_NOT_FOUND',
  )
  assert.deepEqual(fs.readdirSync(folder), [])
  await create(at('a.raw'), { registry, size: 8192, dryRun: true })
  assert.deepEqual(fs.readdirSync(folder), [])
  await create(at('full.raw'), { registry, size: 100000, options: { preallocation: 'full' } })
  assert.ok(fs.readFileSync(at('full.raw')).equals(Buffer.alloc(100000)))
  assert.ok(fs.statSync(at('full.raw')).blocks * 512 >= 100000)
  assert.equal(await code(create(at('full.raw'), { registry, size: 1 })), 'target E_EXISTS')
})

test('info reports the chain, what is missing from it, and what cannot be read', (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  writeToy(at('base.toy'), { fill: [1], identity: 'base' })
  writeToy(at('child.toy'), { fill: [2], parent: { paths: ['base.toy'], format: 'toy', identity: 'base' } })
  const whole = info(at('child.toy'), { registry })
  assert.deepEqual(
    whole.chain.map(({ path, format }) => [path, format]),
    [[at('base.toy'), 'toy']],
  )
  assert.deepEqual(whole.parent, { names: ['base.toy'], format: 'toy', identity: 'base' })
  assert.equal(whole.missing, undefined)
  assert.equal(whole.size, 8192)
  fs.rmSync(at('base.toy'))
  const broken = info(at('child.toy'), { registry })
  assert.equal(broken.missing?.code, 'E_PARENT_MISSING')
  assert.match(broken.missing.message, /base\.toy/)
  writeToy(at('locked.toy'), { encrypted: true })
  assert.equal(info(at('locked.toy'), { registry }).unreadable?.code, 'E_TOY_SECRET')
  writeToy(at('data.toy'), { data: 'elsewhere.raw' })
  const dataless = info(at('data.toy'), { registry })
  assert.deepEqual(dataless.references, [{ role: 'data-file', path: 'elsewhere.raw' }])
  assert.deepEqual(
    dataless.notes.map((note) => note.code),
    ['E_REFERENCE_MISSING'],
  )
})

test('an identity is fixed by its uuid and time', () => {
  const [one, two] = [
    imageIdentity('{01234567-89AB-CDEF-0123-456789ABCDEF}', 5),
    imageIdentity('01234567-89ab-cdef-0123-456789abcdef', 5),
  ]
  assert.equal(one.uuid, '01234567-89ab-cdef-0123-456789abcdef')
  assert.equal(one.derive('x'), two.derive('x'))
  assert.notEqual(one.derive('x'), one.derive('y'))
  assert.notEqual(imageIdentity().uuid, imageIdentity().uuid)
  const [before, { time }] = [Date.now() / 1000, imageIdentity()]
  assert.ok(time >= Math.floor(before) && time <= Date.now() / 1000)
  assert.throws(() => imageIdentity('x'), /UUID/)
  assert.throws(() => imageIdentity(undefined, 1.5), /seconds/)
})

test('formats lists every driver', () => {
  const list = formats(registry)
  assert.deepEqual(
    list.map(({ id }) => id),
    [...builtinDrivers.map(({ id }) => id), 'toy'],
  )
  const mine = list.at(-1)!
  assert.deepEqual([mine.canCreate, mine.parents, mine.origin], [true, 'create', 'vdisk'])
})
