import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdiImage } from '../../../fixtures/spec-writer/vdi.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { isImageError, type ImageError } from '../../../src/errors.js'
import { openFile, type OpenOptions } from '../../../src/formats/open.js'
import { parseParentMapping } from '../../../src/location/parent-map.js'
import { vdi } from '../../../src/formats/vdi/index.js'
import { diskLike, readAll } from '../../support/content.js'
import { createContext, openContext, shape } from '../../support/drivers.js'
import { testFolder } from '../../support/folder.js'
import { fixture, fixtureRecord } from '../../support/fixtures.js'
import { sha256 as hashOf } from '../../../fixtures/guest-hash.js'

const blockSize = 65536
const content = Buffer.from(diskLike(5 * blockSize, 3))
const uuids = { image: '11'.repeat(16), modification: '22'.repeat(16) }
const base = (more = {}): Buffer => vdiImage({ capacity: content.length, blockSize, content, uuids, ...more })
const opened = (bytes: Uint8Array, options = {}) =>
  vdi.open(new MemoryStore(bytes, 'test.vdi'), { ...openContext, options })

test('the faults of other programs: each of these has the right content here', () => {
  // QEMU and 7-Zip ignore extra bytes, and refuse block sizes other than 1 MiB and version 0.
  for (const more of [{ extra: 512 }, { extra: 4096, type: 2 }, { version: 0 as const }, { headerSize: 0x180 }])
    assert.ok(Buffer.from(readAll(opened(base(more)))).equals(content), JSON.stringify(more))
  for (const size of [512, 4096, 512 * 1024, 4 * 1024 * 1024]) {
    const bytes = vdiImage({ capacity: content.length, blockSize: size, content, uuids })
    assert.ok(Buffer.from(readAll(opened(bytes))).equals(content), `blocks of ${size} bytes`)
  }
  // QEMU gives zeros for a block past the end, and reads one place twice.
  const past = base()
  past.writeUInt32LE(9, 512)
  past.writeUInt32LE(10, 388)
  assert.throws(() => readAll(opened(past)), { code: 'E_TRUNCATED', kind: 'corrupt' })
  const twice = base()
  twice.writeUInt32LE(1, 512)
  assert.throws(() => readAll(opened(twice)), { code: 'E_OVERLAP', kind: 'corrupt' })
  // QEMU gives zeros for the end of a file that is cut off in its last block, also where that held zeros.
  const zeroTail = Buffer.from(content)
  zeroTail.fill(0, 4 * blockSize + 100)
  const cut = base({ content: zeroTail, ascending: true })
  assert.throws(() => readAll(opened(cut.subarray(0, cut.length - 512))), { code: 'E_TRUNCATED', kind: 'corrupt' })
  // VirtualBox refuses a base without a modification UUID, which says nothing about its content.
  const unnamed = base({ uuids: { ...uuids, modification: '00'.repeat(16) } })
  assert.ok(Buffer.from(readAll(opened(unnamed))).equals(content))
  // Blocks in descending order, free and zero ones: dissect reads too few bytes.
  const mixed = base({ block: (index: number) => (index === 1 ? 'zero' : index === 3 ? 'free' : 'stored') })
  const expected = Buffer.from(content)
    .fill(0, blockSize, 2 * blockSize)
    .fill(0, 3 * blockSize, 4 * blockSize)
  assert.ok(Buffer.from(readAll(opened(mixed))).equals(expected))
  // dissect reads a child as if it had no parent: free blocks are its parent's, zero blocks are not.
  const child = opened(
    base({
      type: 4,
      uuids: { ...uuids, link: '77'.repeat(16) },
      block: (index: number) => (index === 1 ? 'zero' : 'free'),
    }),
  )
  assert.deepEqual(
    [0, 1, 2].map((block) => child.extentAt(block * blockSize, blockSize).kind),
    ['absent', 'zero', 'absent'],
  )
  assert.equal(child.parentReference?.identity, '77777777-7777-7777-7777-777777777777')
})

test('the text before the signature says nothing', () => {
  for (const text of [
    '<<< QEMU VM Virtual Disk Image >>>\n',
    '<<< innotek VirtualBox Disk Image >>>\n',
    '',
    '\xff'.repeat(64),
  ]) {
    const bytes = base()
    bytes.fill(0, 0, 64)
    bytes.write(text, 0, 64, 'latin1')
    assert.equal(vdi.probe(bytes.subarray(0, 65536), new Uint8Array(), bytes.length), 'certain')
    assert.ok(Buffer.from(readAll(opened(bytes))).equals(content))
  }
})

test('blocks that follow each other in the file are one extent', () => {
  const image = opened(base({ type: 2, ascending: true, block: () => 'stored' }))
  assert.equal(image.extentAt(0, Infinity).length, content.length)
  assert.equal(image.extentAt(100, 70_000).length, 70_000)
})

function chainFolder(t: Parameters<typeof testFolder>[0]): (name: string) => string {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  mkdirSync(at('Snapshots'))
  for (const name of ['base', 'middle', 'leaf'])
    copyFileSync(fixture(`vdi/chain/${name}.vdi`), at(`Snapshots/${name}.vdi`))
  return at
}

const sha256 = (path: string, options: OpenOptions = {}): string => {
  using image = openFile(path, options)
  return hashOf(readAll(image))
}
const leafHash = fixtureRecord('vdi/chain/leaf.vdi').guestSha256
const refusal = (path: string, options: OpenOptions = {}): ImageError => {
  try {
    using image = openFile(path, options)
    return assert.fail(`${image.name} opens`)
  } catch (error) {
    if (!isImageError(error)) throw error
    return error
  }
}

test('parents are found by their ids: beside the child, by --search, --parent-map and --allow-reference', (t) => {
  const at = chainFolder(t)
  const leaf = at('Snapshots/leaf.vdi')
  assert.equal(sha256(leaf), leafHash)
  // Whatever they are called, and whatever else lies there.
  renameSync(at('Snapshots/middle.vdi'), at('Snapshots/some name.bin'))
  writeFileSync(at('Snapshots/aaa.vdi'), 'no image')
  writeFileSync(at('Snapshots/empty'), '')
  assert.equal(sha256(leaf), leafHash)
  renameSync(at('Snapshots/base.vdi'), at('base.vdi'))
  const missing = refusal(leaf)
  assert.equal(missing.code, 'E_PARENT_MISSING')
  assert.match(missing.message, /\{5eedf300-0000-4000-8000-000000000001\}/)
  // The hints help.
  assert.match(missing.hint ?? '', /--search DIR/)
  assert.match(missing.hint ?? '', /--parent-map '\{5eedf300-0000-4000-8000-000000000001\}=FILE'/)
  assert.equal(sha256(leaf, { search: [at('.')] }), leafHash)
  const parentMap = [parseParentMapping(`{5eedf300-0000-4000-8000-000000000001}=${at('base.vdi')}`)]
  assert.equal(sha256(leaf, { parentMap }), leafHash)
  assert.equal(sha256(leaf, { allowReferences: [at('base.vdi')] }), leafHash)
  // As VirtualBox calls its snapshots.
  renameSync(at('base.vdi'), at('Snapshots/{5eedf300-0000-4000-8000-000000000001}.vdi'))
  assert.equal(sha256(leaf), leafHash)
})

test('a link beside the child leads to no parent outside its folder', (t) => {
  const at = chainFolder(t)
  renameSync(at('Snapshots/base.vdi'), at('base.vdi'))
  symlinkSync(at('base.vdi'), at('Snapshots/link.vdi'))
  symlinkSync(at('base.vdi'), at('Snapshots/{5eedf300-0000-4000-8000-000000000001}.vdi'))
  assert.equal(refusal(at('Snapshots/leaf.vdi')).code, 'E_REFERENCE_NOT_ALLOWED')
})

test('a parent that was changed after the child was made is refused, unless it is accepted', (t) => {
  const at = chainFolder(t)
  const leaf = at('Snapshots/leaf.vdi')
  const bytes = readFileSync(at('Snapshots/middle.vdi'))
  bytes.fill(0x99, 408, 424)
  writeFileSync(at('Snapshots/middle.vdi'), bytes)
  const refused = refusal(leaf)
  assert.equal(refused.code, 'E_PARENT_ID')
  assert.match(refused.message, /modification UUID is 99999999-/)
  assert.match(refused.hint ?? '', /--from-option accept-changed-parent=true/)
  assert.equal(sha256(leaf, { options: { 'accept-changed-parent': true } }), leafHash)
  // A child that records none takes it.
  const child = readFileSync(leaf)
  child.fill(0, 440, 456)
  writeFileSync(leaf, child)
  assert.equal(sha256(leaf), leafHash)
})

test('what is named as the parent must be it', (t) => {
  const at = chainFolder(t)
  const parentMap = [parseParentMapping(`{5eedf300-0000-4000-8000-000000000002}=${at('Snapshots/base.vdi')}`)]
  const wrong = refusal(at('Snapshots/leaf.vdi'), { parentMap })
  assert.equal(wrong.code, 'E_PARENT_ID')
  assert.match(wrong.message, /8000-000000000002.*8000-000000000001/)
})

test('a chain that goes in a circle is refused', (t) => {
  const folder = testFolder(t)
  const uuid = (digit: string): string => digit.repeat(32)
  for (const [own, parent] of ['12', '21'])
    writeFileSync(
      join(folder, `${own}.vdi`),
      base({ type: 4, uuids: { image: uuid(own!), link: uuid(parent!) }, block: () => 'free' }),
    )
  assert.equal(refusal(join(folder, '1.vdi')).code, 'E_PARENT_LOOP')
})

test('a new image is as VirtualBox lays it out', () => {
  const store = new MemoryStore()
  using writer = vdi.create!(store, shape(3 * 1024 * 1024 + 512), {}, createContext)
  const place = writer.place(2 * 1024 * 1024, 512)
  place.store.write(place.position, Buffer.alloc(512, 7))
  writer.finish()
  const bytes = Buffer.from(store.contents())
  assert.equal(bytes.length, 3 * 1024 * 1024)
  assert.equal(bytes.toString('latin1', 0, 40), '<<< Oracle VM VirtualBox Disk Image >>>\n')
  assert.deepEqual(
    [64, 68, 72, 76, 80, 340, 344, 360, 376, 380, 384, 388, 468].map((at) => bytes.readUInt32LE(at)),
    [0xbeda107f, 0x10001, 0x190, 1, 0, 0x100000, 0x200000, 512, 0x100000, 0, 4, 1, 512],
  )
  assert.equal(bytes.readBigUInt64LE(368), 3n * 1024n * 1024n + 512n)
  assert.deepEqual(
    [0, 1, 2, 3].map((block) => bytes.readUInt32LE(0x100000 + block * 4)),
    [0xffffffff, 0xffffffff, 0, 0xffffffff],
  )
  for (const at of [392, 408]) assert.ok(bytes.subarray(at, at + 16).some((byte) => byte !== 0))
})

test('shapes that a VDI cannot have are refused by name', () => {
  const create = (capacity: number, options = {}, more = {}) =>
    vdi.create!(new MemoryStore(), shape(capacity, more), options, createContext)
  assert.throws(() => create(0), { code: 'E_SIZE' })
  assert.throws(() => create(4096, {}, { sectorSize: 4096 }), { code: 'E_SECTOR_SIZE' })
  assert.throws(() => create(4096, { 'block-size': 1000 }), { code: 'E_OPTION_VALUE' })
  assert.throws(() => create(2 ** 52), { code: 'E_TOO_LARGE_FOR_FORMAT' })
  const parent = { image: { ...opened(base()), format: 'vhd' }, path: '/p', relativePath: 'p', time: 0 }
  assert.throws(() => create(4096, {}, { parent }), { code: 'E_PARENT_FORMAT' })
  const own = { ...parent, image: opened(base()) }
  assert.throws(() => create(4096, { subformat: 'fixed' }, { parent: own }), { code: 'E_OPTIONS' })
})
