import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { builtinDrivers, Registry } from '../../../src/formats/registry.js'
import { convert, type ConvertOptions } from '../../../src/operations/transfer/convert.js'
import { openImage } from '../../../src/operations/library/image.js'
import { diskLike, sha256 } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { toy, writeToy } from '../../support/toy-format.js'
import { sameFacts } from '../../support/same-facts.js'

const registry = new Registry([...builtinDrivers, toy])

async function fails(run: Promise<unknown>, kind: string, code: string, text?: RegExp): Promise<void> {
  await assert.rejects(run, (error) => {
    assert.ok(isImageError(error), String(error))
    sameFacts([error.kind, error.code], [kind, code], error.message)
    if (text !== undefined) assert.match(`${error.message}\n${error.hint ?? ''}`, text)
    return true
  })
}

async function content(path: string, options = {}): Promise<Uint8Array> {
  using image = await openImage(path, { registry, ...options })
  return image.read(0, image.capacity)
}

const disk = diskLike(3 * 1048576 + 4096, 5)

test('raw → toy → raw keeps every byte, and says what was done', async (t) => {
  const folder = testFolder(t)
  const [source, middle, back] = ['a.raw', 'b.toy', 'c.img'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  fs.writeFileSync(source, disk)
  const result = await convert(source, middle, { registry, verify: true })
  sameFacts(result.source, {
    path: source,
    format: 'raw',
    subformat: 'flat',
    capacity: disk.length,
    sectorSize: 512,
  })
  assert.equal(result.target.format, 'toy')
  assert.equal(result.target.size, fs.statSync(middle).size)
  assert.equal(result.verified, true)
  sameFacts(result.notes, [])
  assert.equal(sha256(await content(middle)), sha256(disk))
  await convert(middle, back, { registry })
  assert.equal(sha256(fs.readFileSync(back)), sha256(disk))
  sameFacts(fs.readdirSync(folder).sort(), ['a.raw', 'b.toy', 'c.img'])
})

test('whatever goes wrong, nothing new is left and the old target is whole', async (t) => {
  const folder = testFolder(t)
  const source = join(folder, 'a.raw')
  const target = join(folder, 'b.toy')
  fs.writeFileSync(source, disk)
  fs.writeFileSync(target, 'the old one')
  const tried = async (kind: string, code: string, options: ConvertOptions): Promise<void> => {
    await fails(convert(source, target, { registry, force: true, ...options }), kind, code)
    assert.equal(fs.readFileSync(target, 'utf8'), 'the old one')
    sameFacts(fs.readdirSync(folder).sort(), ['a.raw', 'b.toy'])
  }
  await tried('target', 'E_EXISTS', { force: false })
  await tried('corrupt', 'E_TOY_FINISH', { options: { fault: 'finish' } })
  await tried('corrupt', 'E_TOY_FINISH', { options: { fault: 'finish', 'second-file': 'b.data' } })
  await tried('mismatch', 'E_MISMATCH', { options: { fault: 'lie' }, verify: true })
  await tried('aborted', 'E_ABORTED', { signal: AbortSignal.abort() })
  await tried('usage', 'E_FILE_NAME', { options: { 'second-file': '../b.data' } })
  await tried('target', 'E_EXISTS', { options: { 'second-file': 'a.raw' }, force: false })
  await tried('refused', 'E_SAME_FILE', { options: { 'second-file': 'a.raw' } })
  await tried('usage', 'E_FILE_NAME', { options: { 'second-file': 'b.toy' } })
  await assert.rejects(
    convert(source, target, { registry, force: true, options: { fault: 'place' } }),
    /a fault in the toy/,
  )
  sameFacts(fs.readdirSync(folder).sort(), ['a.raw', 'b.toy'])
  const stop = new AbortController()
  await tried('aborted', 'E_ABORTED', { signal: stop.signal, onProgress: () => stop.abort() })
  // Without the fault the same call replaces it.
  await convert(source, target, { registry, force: true, options: { 'second-file': 'b.data' } })
  assert.equal(sha256(await content(target)), sha256(disk))
  assert.equal(fs.readFileSync(join(folder, 'b.data'), 'utf8'), 'second')
})

test('an abort while the target is being verified leaves nothing', async (t) => {
  const folder = testFolder(t)
  const source = join(folder, 'a.raw')
  fs.writeFileSync(source, disk)
  const stop = new AbortController()
  const phases = new Set<string>()
  await fails(
    convert(source, join(folder, 'b.toy'), {
      registry,
      verify: true,
      signal: stop.signal,
      onProgress: ({ phase }) => {
        phases.add(phase)
        if (phase === 'verify') stop.abort()
      },
    }),
    'aborted',
    'E_ABORTED',
  )
  sameFacts([...phases], ['copy', 'flush', 'verify'])
  sameFacts(fs.readdirSync(folder), ['a.raw'])
})

test('the target is never a file that is read, under any name', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('base.raw'), disk)
  writeToy(at('child.toy'), { capacity: disk.length, parent: { paths: ['base.raw'], format: 'raw' } })
  fs.linkSync(at('base.raw'), at('hard.raw'))
  fs.symlinkSync('base.raw', at('soft.raw'))
  for (const target of ['child.toy', 'base.raw', 'hard.raw', 'soft.raw']) {
    for (const force of [true, false])
      await fails(convert(at('child.toy'), at(target), { registry, force, to: 'raw' }), 'refused', 'E_SAME_FILE')
  }
  await fails(convert(at('hard.raw'), at('x.toy'), { registry, parent: at('nothing.raw') }), 'usage', 'E_NOT_FOUND')
  await fails(
    convert(at('child.toy'), at('base.raw'), { registry, parent: at('base.raw'), force: true, to: 'toy' }),
    'refused',
    'E_SAME_FILE',
  )
  assert.equal(sha256(fs.readFileSync(at('base.raw'))), sha256(disk))
})

test('targets that are no files are refused by name', async (t) => {
  const folder = testFolder(t)
  const source = join(folder, 'a.raw')
  fs.writeFileSync(source, disk)
  await fails(convert(source, folder, { registry, to: 'raw', force: true }), 'target', 'E_IS_FOLDER')
  await fails(convert(source, join(folder, 'no/such/b.raw'), { registry }), 'target', 'E_NO_FOLDER')
  await fails(convert(source, '/dev/null', { registry, to: 'raw', force: true }), 'usage', 'E_NOT_A_FILE', /-/)
  await fails(convert(source, join(folder, 'b.xyz'), { registry }), 'usage', 'E_UNKNOWN_EXTENSION', /--to.*toy/)
  await fails(convert(source, join(folder, 'b'), { registry, to: 'xyz' }), 'usage', 'E_UNKNOWN_FORMAT')
  await fails(
    convert(source, join(folder, 'b.toy'), { registry, options: { nope: 1 } }),
    'usage',
    'E_UNKNOWN_OPTION',
    /fault, second-file/,
  )
  await fails(convert(source, join(folder, 'b.toy'), { registry, sectorSize: 4096 }), 'usage', 'E_SECTOR_SIZE')
  await fails(convert(source, join(folder, 'b.raw'), { registry, parent: source }), 'usage', 'E_NO_PARENTS')
  await fails(convert(source, join(folder, 'b.toy'), { registry, uuid: 'x' }), 'usage', 'E_UUID')
  sameFacts(fs.readdirSync(folder), ['a.raw'])
})

test('replacing keeps the permissions of the old file, and follows a link to it', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), disk)
  fs.mkdirSync(at('real'))
  fs.writeFileSync(at('real/b.toy'), 'old', { mode: 0o600 })
  fs.symlinkSync('real/b.toy', at('b.toy'))
  await convert(at('a.raw'), at('b.toy'), { registry, force: true })
  assert.ok(fs.lstatSync(at('b.toy')).isSymbolicLink())
  assert.equal(fs.statSync(at('real/b.toy')).mode % 0o1000, 0o600)
  assert.equal(sha256(await content(at('b.toy'))), sha256(disk))
})

test('a link to nothing is a taken name', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), disk)
  fs.symlinkSync('nothing', at('b.toy'))
  await fails(convert(at('a.raw'), at('b.toy'), { registry }), 'target', 'E_EXISTS')
  await convert(at('a.raw'), at('b.toy'), { registry, force: true })
  assert.equal(sha256(await content(at('b.toy'))), sha256(disk))
  sameFacts(fs.readdirSync(folder).sort(), ['a.raw', 'b.toy'])
})

test('a file that appears while the target is written is not replaced', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), disk)
  await fails(
    convert(at('a.raw'), at('b.toy'), {
      registry,
      onProgress: () => fs.writeFileSync(at('b.toy'), 'of somebody else'),
    }),
    'target',
    'E_EXISTS',
  )
  assert.equal(fs.readFileSync(at('b.toy'), 'utf8'), 'of somebody else')
  sameFacts(fs.readdirSync(folder).sort(), ['a.raw', 'b.toy'])
})

test('a change of the sector size is reported', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), disk)
  const notesOf = async (source: string, target: string, options: ConvertOptions = {}): Promise<string[]> =>
    (await convert(at(source), at(target), { registry, ...options })).notes.map(({ code }) => code)
  sameFacts(await notesOf('a.raw', 'b.vhdx', { sectorSize: 4096 }), [])
  sameFacts(await notesOf('b.vhdx', 'c.vhdx'), [])
  using kept = await openImage(at('c.vhdx'))
  assert.equal(kept.sectorSize, 4096)
  sameFacts(await notesOf('b.vhdx', 'd.vhd'), ['W_SECTOR_SIZE'])
  sameFacts(await notesOf('b.vhdx', 'e.raw'), ['W_SECTOR_SIZE'])
  sameFacts(await notesOf('b.vhdx', 'f.vhdx', { sectorSize: 512 }), ['W_SECTOR_SIZE'])
})

test('--size grows with zeros, cuts zeros only, and says so', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const bytes = Buffer.alloc(2 * 1048576)
  bytes.set(disk.subarray(0, 1048576))
  bytes[1048576 + 777] = 1
  fs.writeFileSync(at('a.raw'), bytes)
  await convert(at('a.raw'), at('big.raw'), { registry, size: 5000000, verify: true })
  assert.ok(Buffer.concat([bytes, Buffer.alloc(5000000 - bytes.length)]).equals(fs.readFileSync(at('big.raw'))))
  const small = await convert(at('a.raw'), at('small.raw'), { registry, size: 1048576 + 4096 })
  sameFacts(
    small.notes.map(({ code }) => code),
    ['W_CUT'],
  )
  assert.ok(bytes.subarray(0, 1048576 + 4096).equals(fs.readFileSync(at('small.raw'))))
  await fails(
    convert(at('a.raw'), at('x.raw'), { registry, size: 1048576 }),
    'usage',
    'E_SIZE_TOO_SMALL',
    /offset 1049353/,
  )
  assert.ok(!fs.existsSync(at('x.raw')))
})

test('an odd length is kept by raw, and rounded up by formats with units, which is said', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), disk.subarray(0, 1048577))
  const kept = await convert(at('a.raw'), at('b.raw'), { registry, verify: true })
  sameFacts(
    kept.notes.map(({ code }) => code),
    ['W_ODD_LENGTH'],
  )
  assert.equal(fs.statSync(at('b.raw')).size, 1048577)
  const rounded = await convert(at('a.raw'), at('b.toy'), { registry, verify: true })
  sameFacts(
    rounded.notes.map(({ code }) => code),
    ['W_ODD_LENGTH', 'W_ROUNDED_UP'],
  )
  assert.equal(rounded.target.capacity, 1048576 + 4096)
})

test('a child stores only what differs from its parent, and reads the same', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const changed = Uint8Array.from(disk)
  changed.fill(1, 8192, 8200)
  changed.fill(0, 1048576, 1048576 + 4096)
  fs.writeFileSync(at('base.raw'), disk)
  fs.writeFileSync(at('now.raw'), changed)
  fs.mkdirSync(at('sub'))
  const result = await convert(at('now.raw'), at('child.toy'), { registry, parent: at('base.raw'), verify: true })
  sameFacts(result.notes, [])
  assert.ok((result.target.size ?? Infinity) <= 3 * 4096)
  assert.equal(sha256(await content(at('child.toy'))), sha256(changed))
  const outside = await convert(at('now.raw'), at('sub/child.toy'), { registry, parent: at('base.raw'), verify: true })
  sameFacts(
    outside.notes.map(({ code }) => code),
    ['W_PARENT_OUTSIDE'],
  )
})

test('a dry run checks the same and writes nothing', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), disk.subarray(0, 4097))
  const result = await convert(at('a.raw'), at('b.toy'), { registry, dryRun: true, verify: true })
  sameFacts(
    [result.dryRun, result.verified, result.target.capacity, result.target.size],
    [true, false, 8192, undefined],
  )
  sameFacts(fs.readdirSync(folder), ['a.raw'])
  fs.writeFileSync(at('b.toy'), 'old')
  await fails(convert(at('a.raw'), at('b.toy'), { registry, dryRun: true }), 'target', 'E_EXISTS')
})

test('an encrypted image is refused before anything is made', async (t) => {
  const folder = testFolder(t)
  writeToy(join(folder, 'a.toy'), { encrypted: true })
  writeToy(join(folder, 'c.toy'), { parent: { paths: ['a.toy'], format: 'toy' } })
  for (const source of ['a.toy', 'c.toy'])
    await fails(convert(join(folder, source), join(folder, 'b.raw'), { registry }), 'corrupt', 'E_TOY_SECRET')
  sameFacts(fs.readdirSync(folder), ['a.toy', 'c.toy'])
})

test('standard input is spooled and read like a file; standard output takes a stream', async (t) => {
  const folder = testFolder(t)
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < disk.length; at += 70001) yield await Promise.resolve(disk.subarray(at, at + 70001))
  }
  const result = await convert({ input: pieces() }, join(folder, 'b.toy'), { registry, from: 'raw', verify: true })
  assert.equal(result.source.path, '-')
  assert.equal(sha256(await content(join(folder, 'b.toy'))), sha256(disk))
  sameFacts(fs.readdirSync(folder), ['b.toy'], 'no scratch file is left')
  const out: Buffer[] = []
  await convert(
    join(folder, 'b.toy'),
    {
      output: (bytes) => {
        out.push(Buffer.from(bytes))
        return Promise.resolve()
      },
    },
    { registry },
  )
  assert.equal(sha256(Buffer.concat(out)), sha256(disk))
  await fails(convert({ input: pieces() }, join(folder, 'b.toy'), { registry }), 'target', 'E_EXISTS')
  await fails(
    convert(join(folder, 'b.toy'), { output: () => Promise.resolve() }, { registry, verify: true }),
    'usage',
    'E_STREAM',
  )
})

test('a signal ends the wait for standard input', async (t) => {
  const folder = testFolder(t)
  const stop = new AbortController()
  const silent = async function* (): AsyncGenerator<Uint8Array> {
    yield disk.subarray(0, 100)
    setTimeout(() => stop.abort(), 10)
    await new Promise(() => undefined)
  }
  const keepAlive = setInterval(() => undefined, 1000)
  t.after(() => clearInterval(keepAlive))
  await fails(
    convert({ input: silent() }, join(folder, 'b.toy'), { registry, signal: stop.signal }),
    'aborted',
    'E_ABORTED',
  )
  sameFacts(fs.readdirSync(folder), [])
})

test('a signal ends a conversion whose input is always there, or whose output takes nothing', async (t) => {
  const folder = testFolder(t)
  const stop = new AbortController()
  let given = 0
  let wasLeft = false
  // A stream that never waits leaves timers and signals no turn of their own.
  const endless: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        if (given === 0) setImmediate(() => stop.abort())
        given += disk.length
        return await Promise.resolve({ value: disk, done: given > 2 ** 27 })
      },
      return: async () => {
        await Promise.resolve()
        wasLeft = true
        return { value: undefined, done: true }
      },
    }),
  }
  await fails(
    convert({ input: endless }, join(folder, 'b.toy'), { registry, from: 'raw', signal: stop.signal }),
    'aborted',
    'E_ABORTED',
  )
  assert.equal(wasLeft, true)
  assert.ok(given < 2 ** 25, `${given} bytes were taken`)

  const keepAlive = setInterval(() => undefined, 1000)
  t.after(() => clearInterval(keepAlive))
  fs.writeFileSync(join(folder, 'a.raw'), disk)
  const later = new AbortController()
  const stuck = async (): Promise<void> => {
    setTimeout(() => later.abort(), 10)
    await new Promise(() => undefined)
  }
  await fails(
    convert(join(folder, 'a.raw'), { output: stuck }, { registry, to: 'raw', signal: later.signal }),
    'aborted',
    'E_ABORTED',
  )
  sameFacts(fs.readdirSync(folder), ['a.raw'])
})

test('an input that gives text is refused: what was no text is lost', async (t) => {
  const folder = testFolder(t)
  const text = Readable.from([Buffer.from([0x41, 0xff, 0xfe, 0x42])]).map((bytes: Buffer) => bytes.toString('utf8'))
  await fails(
    convert({ input: text as AsyncIterable<Uint8Array> }, join(folder, 'b.toy'), { registry, from: 'raw' }),
    'corrupt',
    'E_READ',
  )
  sameFacts(fs.readdirSync(folder), [])
})

test('the same input and identity give the same bytes', async (t) => {
  const folder = testFolder(t)
  fs.writeFileSync(join(folder, 'a.raw'), disk)
  const fixed = { registry, uuid: '01234567-89ab-cdef-0123-456789abcdef', time: 1000000000 }
  for (const extension of ['toy', 'vhdx', 'qcow2']) {
    const [one, two] = ['1', '2'].map((name) => join(folder, `${name}.${extension}`)) as [string, string]
    await convert(join(folder, 'a.raw'), one, fixed)
    await convert(join(folder, 'a.raw'), two, { ...fixed, threads: 0 })
    assert.equal(sha256(fs.readFileSync(one)), sha256(fs.readFileSync(two)), extension)
  }
})

test('a dry run shows the steps that the conversion then takes, of every kind of target', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('a.raw'), disk)
  const names = async (target: string, options: ConvertOptions = {}): Promise<string[]> => {
    const plan = await convert(at('a.raw'), at(target), { registry, ...options, dryRun: true })
    assert.ok(!fs.existsSync(at(target)))
    const done = await convert(at('a.raw'), at(target), { registry, ...options })
    assert.deepEqual(plan.steps, done.steps)
    return plan.steps.map(({ name }) => name)
  }
  assert.deepEqual(await names('b.qcow2'), ['write', 'place'])
  assert.deepEqual(await names('c.vhdx', { verify: true }), ['write', 'verify', 'place'])
  assert.deepEqual(await names('d.raw.gz', { verify: true }), ['compress', 'verify', 'place'])
  assert.deepEqual(await names('e.qcow2.gz', { verify: true }), ['write', 'compress', 'verify', 'place'])
  const stream = { output: async () => Promise.resolve(), name: 'standard output' }
  const { steps } = await convert(at('a.raw'), stream, { registry, dryRun: true })
  assert.deepEqual(steps, [
    { name: 'write', message: 'write a raw image to standard output, from its first byte to its last' },
  ])
  const replaced = await convert(at('a.raw'), at('b.qcow2'), { registry, force: true, dryRun: true })
  assert.match(
    replaced.steps.at(-1)!.message,
    /^flush it, and give it the name .*b\.qcow2, in place of the file that has it$/,
  )
})
