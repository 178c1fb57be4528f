import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { noise } from '../../../fixtures/content.js'
import { descriptorText, hostedExtent, hostedPlaces, sector } from '../../../fixtures/spec-writer/vmdk.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { vmdk } from '../../../src/formats/vmdk/index.js'
import { isImageError } from '../../../src/errors.js'
import { check } from '../../../src/operations/check/check.js'
import { repair, type RepairResult } from '../../../src/operations/check/repair.js'
import { openDisk } from '../../../src/operations/open/opening.js'
import { readAll } from '../../support/content.js'
import { openContext } from '../../support/drivers.js'
import { testFolder } from '../../support/folder.js'

const options = {
  capacity: 1024,
  grains: new Map([
    [2, noise(1, 65536)],
    [5, noise(2, 65536)],
  ]),
  descriptor: descriptorText({ createType: 'monolithicSparse', extents: ['RW 1024 SPARSE "d.vmdk"'] }),
}
const { gd, rgd, overhead } = hostedPlaces(options)
const whole = readAll(vmdk.open(new MemoryStore(hostedExtent(options)), openContext))

function mended(change: (file: Buffer) => void): { codes: string[]; left: string[]; content: Uint8Array } {
  const file = hostedExtent(options)
  change(file)
  const store = new MemoryStore(file)
  const codes = [...vmdk.repair!(store, openContext)].flatMap((item) => ('code' in item ? item.code : []))
  const image = vmdk.open(new MemoryStore(store.contents()), openContext)
  const left = [...(image.check?.({ deep: true }) ?? [])].flatMap((item) => ('severity' in item ? item.code : []))
  return { codes, left: [...left, ...image.notes.map(({ code }) => code)], content: readAll(image) }
}

test('repair of a sparse VMDK: what its second directory proves', () => {
  const word = (at: number, value: number) => (file: Buffer) => void file.writeUInt32LE(value, at)
  for (const change of [word(gd * sector, 0), word(gd * sector, 0xfffffff0), word(rgd * sector, 0xfffffff0)]) {
    const { codes, left, content } = mended(change)
    assert.deepEqual([codes, left], [['E_GRAIN_DIRECTORY'], []])
    assert.equal(Buffer.compare(content, whole), 0)
  }
  for (const directory of [gd, rgd]) {
    const { codes, left, content } = mended(word((directory + 1) * sector + 5 * 4, 0xfffffff0))
    assert.deepEqual([codes, left], [['E_TABLES_DIFFER'], []])
    assert.equal(Buffer.compare(content, whole), 0)
  }
})

test('repair of a sparse VMDK: an image that was not closed, and what nothing proves', () => {
  const older = (file: Buffer): void => void file.writeUInt32LE(0, (rgd + 1) * sector + 5 * 4)
  const unclean = mended((file) => {
    older(file)
    file[72] = 1
  })
  assert.deepEqual([unclean.codes, unclean.left], [['W_TABLES_DIFFER', 'W_UNCLEAN'], []])
  assert.equal(Buffer.compare(unclean.content, whole), 0)
  const closed = mended(older)
  assert.deepEqual([closed.codes, closed.left], [[], ['E_TABLES_DIFFER']])
  assert.deepEqual(mended(() => undefined).codes, [])
  assert.ok(overhead > 0)
})

test('repair of a split VMDK: each of its sparse extents, in place; a dry run changes nothing', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  const bytes = hostedExtent({ ...options, descriptor: undefined })
  const lines = ['RW 1024 SPARSE "d-s001.vmdk"', 'RW 1024 SPARSE "d-s002.vmdk"']
  fs.writeFileSync(at('d.vmdk'), descriptorText({ createType: 'twoGbMaxExtentSparse', extents: lines }))
  const places = hostedPlaces({ ...options, descriptor: undefined })
  const broken = Buffer.from(bytes)
  broken.writeUInt32LE(0xfffffff0, places.gd * sector)
  for (const name of ['d-s001.vmdk', 'd-s002.vmdk']) fs.writeFileSync(at(name), broken)
  const codes = (result: RepairResult): string[] => result.actions.map(({ code }) => code)
  const dry = await repair(at('d.vmdk'), { dryRun: true })
  assert.deepEqual(codes(dry), ['E_GRAIN_DIRECTORY', 'E_GRAIN_DIRECTORY'])
  assert.deepEqual(dry.remaining.counts, { error: 0, leak: 0, warning: 0 })
  assert.ok(dry.actions[1]?.structure.startsWith('d-s002.vmdk: '))
  assert.ok(fs.readFileSync(at('d-s001.vmdk')).equals(broken))
  await assert.rejects(repair(at('d.vmdk'), { output: at('copy.vmdk') }), { code: 'E_NO_REPAIR' })
  assert.ok(!fs.existsSync(at('copy.vmdk')))
  const done = await repair(at('d.vmdk'), { inPlace: true })
  assert.deepEqual(codes(done), codes(dry))
  const { clean } = await check(at('d.vmdk'), { deep: true })
  assert.ok(clean)
  using opened = openDisk(at('d.vmdk'), {})
  assert.ok(Buffer.concat([whole, whole]).equals(readAll(opened)))
  // One extent is named: it alone is mended.
  fs.writeFileSync(at('d-s002.vmdk'), broken)
  assert.deepEqual(codes(await repair(at('d-s002.vmdk'), { inPlace: true })), ['E_GRAIN_DIRECTORY'])
  assert.ok((await check(at('d.vmdk'))).clean)
})

test('repair of a split VMDK: nothing outside its folder is changed', async (t) => {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.mkdirSync(at('image'))
  const broken = hostedExtent({ ...options, descriptor: undefined })
  broken.writeUInt32LE(0xfffffff0, hostedPlaces({ ...options, descriptor: undefined }).gd * sector)
  fs.writeFileSync(at('victim.vmdk'), broken)
  fs.symlinkSync(at('victim.vmdk'), at('image/link.vmdk'))
  for (const name of ['../victim.vmdk', at('victim.vmdk'), 'link.vmdk']) {
    const extents = [`RW 1024 SPARSE "${name}"`]
    fs.writeFileSync(at('image/d.vmdk'), descriptorText({ createType: 'twoGbMaxExtentSparse', extents }))
    await repair(at('image/d.vmdk'), { inPlace: true }).catch((error: unknown) => assert.ok(isImageError(error)))
    assert.ok(fs.readFileSync(at('victim.vmdk')).equals(broken), name)
  }
})
