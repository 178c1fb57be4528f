import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { gzipSync } from 'node:zlib'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { corrupt, isImageError } from '../../../src/errors.js'
import { openFile, openStore } from '../../../src/formats/open.js'
import type { FormatDriver } from '../../../src/formats/driver.js'
import { builtinDrivers, Registry } from '../../../src/formats/registry.js'
import { testFolder } from '../../support/folder.js'
import { toy, writeToy } from '../../support/toy-format.js'

const registry = new Registry([...builtinDrivers, toy])
const block = 4096

/** The first byte of each of the four blocks. */
function marks(path: string, options: Parameters<typeof openFile>[1] = {}): number[] {
  using image = openFile(path, { registry, ...options })
  return [0, 1, 2, 3].map((index) => {
    const byte = new Uint8Array(1)
    image.read(index * block, byte)
    return byte[0]!
  })
}

function refuses(run: () => unknown, kind: string, code: string, text?: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(isImageError(error), String(error))
    assert.deepEqual([error.kind, error.code], [kind, code], error.message)
    if (text !== undefined) assert.match(`${error.message}\n${error.hint ?? ''}`, text)
    return true
  })
}

test('a chain of three is read through, each layer over the next', (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  writeToy(at('a.toy'), { fill: [1, 1, 1], identity: 'a' })
  fs.mkdirSync(at('below'))
  fs.renameSync(at('a.toy'), at('below/a.toy'))
  writeToy(at('b.toy'), {
    fill: [2],
    blocks: [1, -3],
    identity: 'b',
    parent: { paths: ['below/a.toy'], format: 'toy', identity: 'a' },
  })
  writeToy(at('c.toy'), { fill: [3], blocks: [3], parent: { paths: ['.\\b.toy'], format: 'toy', identity: 'b' } })
  assert.deepEqual(marks(at('c.toy')), [1, 2, 0, 3])
  using image = openFile(at('c.toy'), { registry })
  assert.deepEqual(
    image.layers.map(({ path }) => path),
    [at('c.toy'), at('b.toy'), at('below/a.toy')],
  )
  assert.deepEqual(
    image.files.map(({ role }) => role),
    ['image', 'parent', 'parent'],
  )
})

test('a parent shorter than its child reads as zero beyond its end', (t) => {
  const folder = testFolder(t)
  fs.writeFileSync(join(folder, 'base.raw'), Buffer.alloc(block + 100, 7))
  writeToy(join(folder, 'c.toy'), { parent: { paths: ['base.raw'], format: 'raw' } })
  assert.deepEqual(marks(join(folder, 'c.toy')), [7, 7, 0, 0])
})

test('a missing parent: reading names every file looked for, info opens', (t) => {
  const folder = testFolder(t)
  const child = join(folder, 'c.toy')
  writeToy(child, {
    fill: [3],
    parent: { paths: ['C:\\vm\\base.toy', 'sub\\base2.toy'], format: 'toy', identity: 'x' },
  })
  refuses(
    () => openFile(child, { registry }),
    'reference',
    'E_PARENT_MISSING',
    new RegExp(`${folder}/sub/base2\\.toy.*${folder}/base\\.toy.*${folder}/base2\\.toy`),
  )
  using image = openFile(child, { registry, chain: 'optional' })
  assert.equal(image.missing?.code, 'E_PARENT_MISSING')
  assert.equal(image.capacity, 4 * block)
  const byte = new Uint8Array(1)
  image.read(0, byte)
  assert.equal(byte[0], 3, 'what the child holds can be read')
  refuses(() => image.read(block, byte), 'reference', 'E_PARENT_MISSING')
})

test('a Windows path, or one of another place, is looked for beside the image when the id can prove it', (t) => {
  const folder = testFolder(t)
  writeToy(join(folder, 'base.toy'), { fill: [9], identity: 'base' })
  for (const name of [
    'C:\\vms\\base.toy',
    '\\\\server\\share\\base.toy',
    '\\\\?\\Volume{1}\\base.toy',
    '/elsewhere/base.toy',
    '..\\..\\base.toy',
    'file:///elsewhere/base.toy',
  ]) {
    const child = join(folder, 'c.toy')
    writeToy(child, { parent: { paths: [name], format: 'toy', identity: 'base' } })
    assert.deepEqual(marks(child), [9, 0, 0, 0], name)
  }
  // Without an id any file of that name would do: the user has to say that it is the one.
  writeToy(join(folder, 'c.toy'), { parent: { paths: ['C:\\vms\\base.toy'], format: 'toy' } })
  refuses(
    () => openFile(join(folder, 'c.toy'), { registry }),
    'reference',
    'E_PARENT_MISSING',
    /--allow-reference .*base\.toy/,
  )
  assert.deepEqual(marks(join(folder, 'c.toy'), { allowReferences: [join(folder, 'base.toy')] }), [9, 0, 0, 0])
})

test('the right parent is taken where an earlier name leads to a wrong one', (t) => {
  const folder = testFolder(t)
  fs.mkdirSync(join(folder, 'old'))
  writeToy(join(folder, 'old/base.toy'), { fill: [1], identity: 'wrong' })
  writeToy(join(folder, 'base.toy'), { fill: [2], identity: 'right' })
  writeToy(join(folder, 'c.toy'), { parent: { paths: ['old\\base.toy'], format: 'toy', identity: 'right' } })
  assert.deepEqual(marks(join(folder, 'c.toy')), [2, 0, 0, 0])
  fs.rmSync(join(folder, 'base.toy'))
  refuses(() => openFile(join(folder, 'c.toy'), { registry }), 'reference', 'E_PARENT_ID')
})

test('files outside the folder need --allow-reference, by any way to name them', (t) => {
  const outer = testFolder(t)
  const folder = join(outer, 'images')
  fs.mkdirSync(folder)
  fs.writeFileSync(join(outer, 'secret.raw'), Buffer.alloc(4 * block, 5))
  fs.symlinkSync(join(outer, 'secret.raw'), join(folder, 'link.raw'))
  fs.symlinkSync(outer, join(folder, 'up'))
  fs.mkdirSync(join(folder, 'sub'))
  const child = join(folder, 'c.toy')
  for (const name of [
    '../secret.raw',
    join(outer, 'secret.raw'),
    'link.raw',
    'up/secret.raw',
    'sub/../../secret.raw',
    `file:${join(outer, 'secret.raw')}`,
    `file://${join(outer, 'secret.raw')}`,
  ]) {
    writeToy(child, { parent: { paths: [name], format: 'raw' } })
    refuses(() => openFile(child, { registry }), 'reference', 'E_REFERENCE_NOT_ALLOWED', /--allow-reference/)
    assert.deepEqual(marks(child, { allowReferences: [join(outer, 'secret.raw')] }), [5, 5, 5, 5], name)
    assert.deepEqual(marks(child, { allowReferences: [outer] }), [5, 5, 5, 5], name)
  }
  // The same for a data file.
  writeToy(child, { data: '../secret.raw' })
  refuses(() => openFile(child, { registry }), 'reference', 'E_REFERENCE_NOT_ALLOWED')
  assert.deepEqual(marks(child, { allowReferences: [join(outer, 'secret.raw')] }), [5, 5, 5, 5])
  using looked = openFile(child, { registry, chain: 'optional' })
  assert.deepEqual(
    looked.notes.map(({ code }) => code),
    ['E_REFERENCE_NOT_ALLOWED'],
  )
})

test('an image opened through a symbolic link finds what lies beside the file itself', (t) => {
  const folder = testFolder(t)
  fs.mkdirSync(join(folder, 'real'))
  writeToy(join(folder, 'real/base.toy'), { fill: [4], identity: 'base' })
  writeToy(join(folder, 'real/c.toy'), { parent: { paths: ['base.toy'], format: 'toy', identity: 'base' } })
  fs.symlinkSync(join(folder, 'real/c.toy'), join(folder, 'c.toy'))
  assert.deepEqual(marks(join(folder, 'c.toy')), [4, 0, 0, 0])
})

test('devices, folders and servers are never opened for an image', (t) => {
  const folder = testFolder(t)
  const child = join(folder, 'c.toy')
  fs.mkdirSync(join(folder, 'dir.raw'))
  for (const [name, code] of [
    ['dir.raw', 'E_REFERENCE_NOT_ALLOWED'],
    ['/dev/null', 'E_REFERENCE_NOT_ALLOWED'],
    ['', 'E_REFERENCE_NAME'],
    ['a\0b', 'E_REFERENCE_NAME'],
    ['..', 'E_REFERENCE_NAME'],
    ['nbd://host/x', 'E_BACKING_UNSUPPORTED'],
    ['nbd:host:10809', 'E_BACKING_UNSUPPORTED'],
    ['https://host/x.raw', 'E_BACKING_UNSUPPORTED'],
    ['rbd:pool/x', 'E_BACKING_UNSUPPORTED'],
    ['json:{"driver":"nbd"}', 'E_BACKING_UNSUPPORTED'],
    ['x'.repeat(5000), 'E_PARENT_MISSING'],
  ] as const) {
    writeToy(child, { parent: { paths: [name.slice(0, 3000)], format: 'raw' } })
    refuses(() => openFile(child, { registry }), 'reference', code)
  }
})

test('circles end, whatever name they go by', (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  writeToy(at('self.toy'), { parent: { paths: ['self.toy'], format: 'toy' } })
  refuses(() => openFile(at('self.toy'), { registry }), 'reference', 'E_PARENT_LOOP', /circle/)
  writeToy(at('a.toy'), { parent: { paths: ['b.toy'], format: 'toy' } })
  writeToy(at('b.toy'), { parent: { paths: ['hard.toy'], format: 'toy' } })
  fs.linkSync(at('a.toy'), at('hard.toy'))
  refuses(() => openFile(at('a.toy'), { registry }), 'reference', 'E_PARENT_LOOP')
  fs.symlinkSync('l2.toy', at('l1.toy'))
  fs.symlinkSync('l1.toy', at('l2.toy'))
  writeToy(at('c.toy'), { parent: { paths: ['l1.toy'], format: 'toy' } })
  refuses(() => openFile(at('c.toy'), { registry }), 'reference', 'E_REFERENCE_NOT_ALLOWED', /circle of symbolic links/)
  writeToy(at('d.toy'), { data: 'd.toy' })
  refuses(() => openFile(at('d.toy'), { registry }), 'reference', 'E_REFERENCE_LOOP')
})

test('a chain of 200 is read, one of 300 is refused, and neither leaves files open', (t) => {
  const folder = testFolder(t)
  // Elsewhere than on Linux the descriptors cannot be counted, and the rest is still tested.
  const open = (): number => (fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0)
  const before = open()
  writeToy(join(folder, '0.toy'), { fill: [8] })
  for (let index = 1; index <= 300; index++)
    writeToy(join(folder, `${index}.toy`), { parent: { paths: [`${index - 1}.toy`], format: 'toy' } })
  assert.deepEqual(marks(join(folder, '200.toy')), [8, 0, 0, 0])
  refuses(() => openFile(join(folder, '300.toy'), { registry }), 'reference', 'E_CHAIN_TOO_LONG')
  assert.equal(open(), before)
})

test('a parent recorded as raw is raw, whatever its guest wrote into it', (t) => {
  const folder = testFolder(t)
  // The "guest" wrote a whole toy image that names another file as its data.
  fs.writeFileSync(join(folder, 'private.raw'), Buffer.alloc(4 * block, 6))
  writeToy(join(folder, 'disk.raw'), { data: 'private.raw' })
  const child = join(folder, 'c.toy')
  writeToy(child, { parent: { paths: ['disk.raw'], format: 'raw' } })
  assert.equal(marks(child)[0], 'T'.charCodeAt(0))
  // Without a record it is not believed either.
  writeToy(child, { parent: { paths: ['disk.raw'] } })
  refuses(() => openFile(child, { registry }), 'reference', 'E_PARENT_FORMAT_UNKNOWN', /--parent-format toy/)
  assert.deepEqual(marks(child, { parentFormat: 'raw' })[0], 'T'.charCodeAt(0))
  assert.deepEqual(marks(child, { parentFormat: 'auto' }), [6, 6, 6, 6])
  // A parent that really is raw needs no word.
  writeToy(child, { parent: { paths: ['private.raw'] } })
  assert.deepEqual(marks(child), [6, 6, 6, 6])
  // Names that QEMU uses for formats are understood; unknown ones are not guessed.
  writeToy(child, { parent: { paths: ['private.raw'], format: 'host_device' } })
  assert.deepEqual(marks(child), [6, 6, 6, 6])
  writeToy(child, { parent: { paths: ['private.raw'], format: 'luks' } })
  refuses(() => openFile(child, { registry }), 'unsupported', 'E_UNSUPPORTED_FORMAT', /luks/)
})

test('sources are found by content, and raw is the last resort', (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const formatOf = (name: string, options = {}): string => {
    using image = openFile(at(name), { registry, ...options })
    return image.top.driver.id
  }
  writeToy(at('disk.img'), { fill: [1] })
  assert.equal(formatOf('disk.img'), 'toy')
  assert.equal(formatOf('disk.img', { from: 'raw' }), 'raw')
  fs.copyFileSync(at('disk.img'), at('disk.qcow2'))
  using renamed = openFile(at('disk.qcow2'), { registry })
  assert.deepEqual(
    renamed.notes.map(({ code }) => code),
    ['W_EXTENSION'],
  )
  for (const name of ['x.toy', 'x.qcow2', 'x.VHDX']) {
    fs.writeFileSync(at(name), Buffer.alloc(70000))
    refuses(() => openFile(at(name), { registry }), 'corrupt', 'E_NOT_RECOGNISED', /--from raw/)
    assert.equal(formatOf(name, { from: 'raw' }), 'raw')
  }
  fs.writeFileSync(at('empty.raw'), '')
  refuses(() => openFile(at('empty.raw'), { registry }), 'corrupt', 'E_EMPTY')
  assert.equal(formatOf('empty.raw', { from: 'raw' }), 'raw')
  writeToy(at('.out.toy.partial-0123456789ab'), { fill: [1] })
  refuses(() => openFile(at('.out.toy.partial-0123456789ab'), { registry }), 'corrupt', 'E_PARTIAL')
  refuses(() => openFile(at('missing'), { registry }), 'usage', 'E_NOT_FOUND')
  refuses(() => openFile(folder, { registry }), 'usage', 'E_NOT_A_FILE')
  refuses(() => openFile(at('disk.img'), { registry, from: 'nope' }), 'usage', 'E_UNKNOWN_FORMAT', /toy/)
  refuses(() => openFile(at('disk.img'), { registry, snapshot: '1' }), 'unsupported', 'E_NO_SNAPSHOTS')
  refuses(() => openFile(at('disk.img'), { registry, options: { x: 1 } }), 'usage', 'E_UNKNOWN_OPTION')
})

test('two formats that are both certain are both named; certain beats possible', (t) => {
  const folder = testFolder(t)
  const path = join(folder, 'disk.img')
  writeToy(path, { fill: [1] })
  const other = (certainty: 'certain' | 'possible'): Registry =>
    new Registry([...builtinDrivers, toy, { ...toy, id: 'other', probe: () => certainty }])
  refuses(
    () => openFile(path, { registry: other('certain') }),
    'unsupported',
    'E_AMBIGUOUS_FORMAT',
    /--from toy or --from other/,
  )
  using image = openFile(path, { registry: other('possible') })
  assert.equal(image.top.driver.id, 'toy')
})

test('a registry takes only sound drivers of the right version and a free id', () => {
  const taken = new Registry([toy])
  const adds =
    (driver: unknown): (() => void) =>
    () =>
      taken.add(driver, 'plugin-x')
  refuses(adds(toy), 'unsupported', 'E_PLUGIN_ID_TAKEN', /plugin-x.*toy.*vdisk/s)
  refuses(adds({ ...toy, id: 'new', apiVersion: 2 }), 'unsupported', 'E_PLUGIN_API_VERSION', /plugin-x.*new.*2/)
  refuses(adds({ ...toy, id: 'Über' }), 'unsupported', 'E_PLUGIN_DRIVER')
  refuses(adds({ ...toy, id: 'new', probe: undefined }), 'unsupported', 'E_PLUGIN_DRIVER', /probe/)
  refuses(adds(null), 'unsupported', 'E_PLUGIN_DRIVER')
  adds({ ...toy, id: 'new' })()
  assert.deepEqual(
    [...taken].map(({ driver, origin }) => [driver.id, origin]),
    [
      ['toy', 'vdisk'],
      ['new', 'plugin-x'],
    ],
  )
})

test('both ends of a file are read once, and each driver is asked once, to find what it is', () => {
  class CountingStore extends MemoryStore {
    readonly reads: (readonly [number, number])[] = []

    override read(position: number, target: Uint8Array): void {
      this.reads.push([position, target.length])
      super.read(position, target)
    }
  }
  const mebibyte = new Uint8Array(1048576).fill(7)
  // What a disk begins with can look like something compressed: formats are asked then too.
  for (const head of [[], [0x1f, 0x8b, 8, 0]]) {
    let asked = 0
    const claiming: FormatDriver = {
      ...toy,
      probe: () => {
        asked++
        return 'certain'
      },
      open: () => {
        throw corrupt('E_HEADER', 'opened no further')
      },
    }
    mebibyte.set(head)
    const store = new CountingStore(mebibyte)
    const known = new Registry([...builtinDrivers, claiming])
    refuses(() => openStore(store, undefined, { registry: known }), 'corrupt', 'E_HEADER')
    assert.equal(asked, 1)
    assert.deepEqual(store.reads.slice(0, 2), [
      [0, 65536],
      [1048576 - 65536, 65536],
    ])
    assert.equal(store.reads.filter(([, length]) => length === 65536).length, 2)
  }
})

test('what is named as a compressed file or an archive and is none is no raw disk', (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const packed = gzipSync(Buffer.alloc(100_000, 'content'))
  // Reserved bits of the flags (RFC 1952, 2.3.1.2), and a method that nobody defined.
  const [reserved, method] = [3, 2].map((place) => {
    const bytes = Buffer.concat([packed, Buffer.alloc(1024)])
    bytes[place] = 0x87
    return bytes
  })
  const noise = Buffer.alloc(4096, 0xa7)
  const zeros = Buffer.alloc(10240)
  const files = { 'a.raw.gz': reserved, 'b.img.gz': method, 'c.xz': noise, 'd.raw.ZST': noise, 'e.bz2': noise }
  for (const [name, bytes = noise] of Object.entries({ ...files, 'f.lzma': noise, 'g.zip': noise, 'h.ova': zeros })) {
    fs.writeFileSync(at(name), bytes)
    refuses(() => openFile(at(name)), 'corrupt', 'E_NOT_RECOGNISED', /--from raw/)
    using raw = openFile(at(name), { from: 'raw' })
    assert.equal(raw.capacity, bytes.length, name)
  }
})
