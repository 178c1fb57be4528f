import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError, targetError } from '../../../src/errors.js'
import { Registry } from '../../../src/formats/registry.js'
import { convert, type ConvertOptions } from '../../../src/operations/transfer/convert.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { MemoryBucket } from '../../support/memory-bucket.js'

const disk = diskLike(3 * 1048576 + 65536, 7)
/** The same input gives the same bytes. */
const fixed = { uuid: '6f1b0b3c-0f3d-4c56-9c1e-0d8b8f2f6a11', time: 1_700_000_000 }

function registryOf(bucket: MemoryBucket): Registry {
  const registry = new Registry()
  registry.schemes.add(bucket.scheme, 'a test')
  return registry
}

function sourceIn(folder: string): string {
  const source = join(folder, 'a.raw')
  fs.writeFileSync(source, disk)
  return source
}

const failing = (kind: string, code: string, text?: RegExp) => (error: unknown) => {
  assert.ok(isImageError(error), String(error))
  assert.deepEqual([error.kind, error.code], [kind, code], error.message)
  if (text !== undefined) assert.match(`${error.message}\n${error.hint ?? ''}`, text)
  return true
}

const targets: readonly (readonly [name: string, options?: ConvertOptions])[] = [
  ['d.raw'],
  ['d.vhd', { options: { subformat: 'fixed' } }],
  ['d.vhd'],
  ['d.vhdx'],
  ['d.qcow2'],
  ['d.qcow2', { options: { compress: 'zlib' } }],
  ['d.vdi'],
  ['d.vmdk', { options: { subformat: 'streamOptimized' } }],
  ['d.vmdk'],
  ['d.ova'],
  ['d.raw.gz'],
  ['d.qcow2.zst'],
]

for (const isSparse of [false, true])
  test(`a format of one file is uploaded as it is written, ${isSparse ? 'without' : 'with'} zeros`, async (t) => {
    const folder = testFolder(t)
    const source = sourceIn(folder)
    const bucket = new MemoryBucket({ isSparse })
    const registry = registryOf(bucket)
    for (const [name, options] of targets) {
      const what = `${name} ${JSON.stringify(options ?? {})}`
      const file = join(folder, name)
      await convert(source, file, { ...fixed, ...options, force: true })
      const { target, steps } = await convert(source, `mem://${name}`, {
        ...fixed,
        ...options,
        registry,
        force: true,
        verify: true,
      })
      const expected = fs.readFileSync(file)
      // As a stream it has its tables behind, and a file in front.
      const isSame = name !== 'd.ova' && options?.options?.['subformat'] !== 'streamOptimized'
      if (isSame) assert.ok(bucket.objects.get(name)?.equals(expected), what)
      assert.equal(target.size, bucket.objects.get(name)?.length, what)
      assert.deepEqual(
        steps.map((step) => step.name),
        ['write', 'place', 'verify'],
        what,
      )
      const { size } = bucket.plans.at(-1) ?? {}
      if (!/\.(?:ova|gz|zst)$|vmdk/.test(name)) assert.equal(size, expected.length, what)
    }
  })

test('what a platform takes is made for it at the target', async (t) => {
  const folder = testFolder(t)
  const source = sourceIn(folder)
  fs.truncateSync(source, 20 * 1048576)
  const bucket = new MemoryBucket()
  const registry = registryOf(bucket)
  for (const [platform, name] of [
    ['gce', 'disk.tar.gz'],
    ['azure-gen2', 'disk.vhd'],
  ] as const) {
    const options = { ...fixed, for: platform, registry }
    const { target } = await convert(source, join(folder, name), options)
    assert.equal((await convert(source, `mem://${name}`, options)).target.size, target.size)
    assert.ok(bucket.objects.get(name)?.equals(fs.readFileSync(join(folder, name))), platform)
  }
})

test('zeros are not sent to a target that has them', async (t) => {
  const folder = testFolder(t)
  const source = join(folder, 'a.raw')
  fs.writeFileSync(source, Buffer.alloc(65536, 'x'))
  fs.truncateSync(source, 1024 * 1048576)
  const bucket = new MemoryBucket({ isSparse: true })
  await convert(source, 'mem://d.vhd', { registry: registryOf(bucket), options: { subformat: 'fixed' } })
  assert.ok(bucket.sent <= 65536 + 65536, `${bucket.sent} bytes were sent`)
})

test('what is there is replaced with --force alone, and is asked about before the source is read', async (t) => {
  const folder = testFolder(t)
  const bucket = new MemoryBucket()
  const registry = registryOf(bucket)
  bucket.objects.set('d.raw', Buffer.from('old'))
  const missing = join(folder, 'missing.raw')
  await assert.rejects(convert(missing, 'mem://d.raw', { registry }), failing('target', 'E_EXISTS', /--force/))
  assert.deepEqual(bucket.calls, ['look'])
  const source = sourceIn(folder)
  await convert(source, 'mem://d.raw', { registry, force: true })
  assert.deepEqual(bucket.plans.at(-1)?.replaces, { size: 3, version: '"0"' })
  assert.ok(bucket.objects.get('d.raw')?.equals(disk))
  await convert(source, 'mem://e.raw', { registry, dryRun: true })
  assert.equal(bucket.objects.has('e.raw'), false)
  assert.equal(bucket.calls.at(-1), 'look')
})

test('a failure takes back what was begun, and leaves what stood there', async (t) => {
  const folder = testFolder(t)
  const full = (): never => {
    throw targetError('E_WRITE', 'the bucket is full')
  }
  const bucket = new MemoryBucket({ onWrite: full })
  const registry = registryOf(bucket)
  bucket.objects.set('d.raw', Buffer.from('old'))
  const source = sourceIn(folder)
  await assert.rejects(
    convert(source, 'mem://d.raw', { registry, force: true }),
    failing('target', 'E_WRITE', /the bucket is full/),
  )
  assert.deepEqual(bucket.calls, ['look', 'begin', 'abort'])
  assert.equal(bucket.objects.get('d.raw')?.toString(), 'old')

  const stop = new AbortController()
  bucket.options = { onWrite: () => stop.abort() }
  await assert.rejects(
    convert(source, 'mem://d.raw', { registry, force: true, signal: stop.signal }),
    failing('aborted', 'E_ABORTED', /what stood at the target is as it was/),
  )
  assert.equal(bucket.objects.get('d.raw')?.toString(), 'old')
})

test('a target that is what is read is refused, whatever opens it', async () => {
  const bucket = new MemoryBucket()
  const registry = registryOf(bucket)
  bucket.objects.set('d.raw', Buffer.from(disk))
  for (const target of ['mem://d.raw', 'mem://d.raw?signature'])
    await assert.rejects(
      convert('mem://d.raw', target, { registry, force: true }),
      failing('refused', 'E_SAME_FILE', /no flag overrides/),
    )
})

test('what a target cannot have is refused before it is asked', async (t) => {
  const source = sourceIn(testFolder(t))
  const bucket = new MemoryBucket()
  const registry = registryOf(bucket)
  const wrong: readonly (readonly [ConvertOptions, string])[] = [
    [{ parent: source, to: 'qcow2' }, 'E_STREAM'],
    [{ resume: true }, 'E_RESUME'],
    [{ ifExists: 'same' }, 'E_RESUME'],
    [{ to: 'vmdk', options: { subformat: 'twoGbMaxExtentSparse' } }, 'E_STREAM'],
  ]
  for (const [options, code] of wrong)
    await assert.rejects(convert(source, 'mem://d.raw', { ...options, registry }), failing('usage', code))
  assert.equal(bucket.objects.size, 0)
})

test('a verification that fails removes the new object, unless it replaced another', async (t) => {
  const source = sourceIn(testFolder(t))
  const bucket = new MemoryBucket({ onWrite: (_position, bytes) => bytes.fill(1, 0, 1) })
  const registry = registryOf(bucket)
  // The memory is the engine's own: the byte is changed where the object has it.
  bucket.options = {}
  const { scheme } = bucket
  const broken = new Registry()
  broken.schemes.add(
    {
      ...scheme,
      locate: (address: string) => {
        const location = scheme.locate(address)
        const store = (): ReturnType<typeof location.store> => {
          const bytes = bucket.objects.get(location.name ?? '')
          bytes?.fill(1, 100, 200)
          return location.store()
        }
        return Object.assign(Object.create(location) as typeof location, { store })
      },
    },
    'a test',
  )
  await assert.rejects(
    convert(source, 'mem://d.raw', { registry: broken, verify: true }),
    failing('mismatch', 'E_MISMATCH', /The new object was removed/),
  )
  assert.equal(bucket.objects.has('d.raw'), false)
  await convert(source, 'mem://d.raw', { registry })
  await assert.rejects(
    convert(source, 'mem://d.raw', { registry: broken, verify: true, force: true }),
    failing('mismatch', 'E_MISMATCH', /The new object stays/),
  )
  assert.ok(bucket.objects.has('d.raw'))
})

test('what goes on is made with the ids and the time that it was begun with', async (t) => {
  const folder = testFolder(t)
  const source = sourceIn(folder)
  const state = process.env['XDG_STATE_HOME']
  process.env['XDG_STATE_HOME'] = join(folder, 'state')
  t.after(() => {
    if (state === undefined) delete process.env['XDG_STATE_HOME']
    else process.env['XDG_STATE_HOME'] = state
  })
  const sent: Buffer[] = []
  const bucket = new MemoryBucket({
    resumes: true,
    onWrite: (position, bytes) => {
      sent.push(Buffer.from(bytes))
      if (position > 1048576) throw targetError('E_WRITE', 'the network is gone')
    },
  })
  const registry = registryOf(bucket)
  await assert.rejects(
    convert(source, 'mem://d.vhdx', { registry, resume: true }),
    failing('target', 'E_WRITE', /What was sent is kept/),
  )
  const before = Buffer.concat(sent)
  bucket.options = { resumes: true }
  await convert(source, 'mem://d.vhdx', { registry, resume: true })
  assert.deepEqual(bucket.plans.at(-1)?.earlier, { name: 'd.vhdx' })
  assert.ok(bucket.objects.get('d.vhdx')?.subarray(0, before.length).equals(before))
  assert.deepEqual(fs.readdirSync(join(folder, 'state/vdisk/resume')), [])
})
