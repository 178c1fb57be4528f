import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noise } from '../../../fixtures/content.js'
import { descriptorText, hostedExtent, hostedPlaces, sector } from '../../../fixtures/spec-writer/vmdk.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { vmdk } from '../../../src/formats/vmdk/index.js'
import { readAll } from '../../support/content.js'
import { openContext } from '../../support/drivers.js'

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
