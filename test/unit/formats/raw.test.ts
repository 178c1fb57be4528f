import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isImageError } from '../../../src/errors.js'
import type { DiskImage } from '../../../src/formats/driver.js'
import { raw } from '../../../src/formats/raw/index.js'
import { memoryLocation } from '../../support/locations.js'
import { readAll } from '../../support/content.js'

function open(name: string, files: Record<string, Uint8Array>, options = {}): DiskImage {
  const self = memoryLocation(name, files)
  return raw.open(self.store(), { options, self, openReference: (_, at) => at?.store() })
}

test('a raw image is its bytes, an odd tail included and reported', () => {
  const image = open('disk.img', { 'disk.img': new Uint8Array(1025).fill(3) })
  assert.equal(image.capacity, 1025)
  assert.deepEqual(
    image.notes.map(({ code }) => code),
    ['W_ODD_LENGTH'],
  )
  assert.equal(Buffer.compare(readAll(image), new Uint8Array(1025).fill(3)), 0)
})

test('parts are joined in the order of their numbers, past 999 too', () => {
  const files: Record<string, Uint8Array> = {
    'disk.img.1000': Uint8Array.of(5),
    'other.001': Uint8Array.of(9),
    'disk.img.txt': Uint8Array.of(9),
  }
  for (let number = 1; number < 1000; number++)
    files[`disk.img.${String(number).padStart(3, '0')}`] = Uint8Array.of(number % 251)
  const image = open('disk.img.001', files)
  assert.equal(image.subformat, 'split')
  assert.deepEqual([...readAll(image)], [...Array.from({ length: 999 }, (_, index) => (index + 1) % 251), 5])
})

test('parts that begin with 000 are joined, a later part is read alone only where that is asked for', () => {
  const files = { 'd.000': Uint8Array.of(1, 2), 'd.001': Uint8Array.of(3), 'd.002': Uint8Array.of(4) }
  assert.deepEqual([...readAll(open('d.000', files))], [1, 2, 3, 4])
  for (const later of ['d.001', 'd.002']) assert.equal(refusal(later, files), 'E_PART_ORDER d.000')
  assert.deepEqual([...readAll(open('d.002', files, { parts: false }))], [4])
  assert.deepEqual([...readAll(open('d.000', files, { parts: false }))], [1, 2])
  assert.deepEqual([...readAll(open('d.002', { 'd.002': Uint8Array.of(4), 'other.001': Uint8Array.of(9) }))], [4])
})

test('a part past 999, and pieces of what is no raw disk, are later parts too', () => {
  const one = Uint8Array.of(1)
  assert.equal(refusal('d.1000', { 'd.001': one, 'd.1000': one }), 'E_PART_ORDER d.001')
  assert.equal(refusal('d.gz.ab', { 'd.gz.aa': one, 'd.gz.ab': one }), 'E_PART_ORDER d.gz.aa')
  assert.equal(refusal('d.z02', { 'd.z01': one, 'd.z02': one, 'd.zip': one }), 'E_PART_ORDER d.zip')
  for (const alone of ['d.ab', 'd.img', 'd.dd', 'd.z01', 'd.gz', 'd.aa'])
    assert.deepEqual([...readAll(open(alone, { [alone]: one, 'd.aaa': one, 'e.aa': one, 'e.ab': one }))], [1])
})

test('parts of split, .aa .ab …, are one disk', () => {
  const names = Array.from('abcdefghijklmnopqrstuvwxyz', (letter) => `d.img.a${letter}`)
  const files = Object.fromEntries([...names, 'd.img.ba'].map((name, index) => [name, Uint8Array.of(index)]))
  const image = open('d.img.aa', { ...files, 'd.img.db': Uint8Array.of(99) })
  assert.equal(image.subformat, 'split')
  assert.deepEqual(
    [...readAll(image)],
    Array.from({ length: 27 }, (_, index) => index),
  )
  assert.deepEqual([...readAll(open('d.img.aa', files, { parts: false }))], [0])
  delete files['d.img.ac']
  assert.equal(refusal('d.img.aa', files), 'E_PART_MISSING')
  const longer = { 'd.aaa': Uint8Array.of(1), 'd.aab': Uint8Array.of(2) }
  assert.deepEqual([...readAll(open('d.aaa', longer))], [1, 2])
  assert.equal(refusal('d.aab', longer), 'E_PART_ORDER d.aaa')
})

/** The code of the refusal, and the first part that it names. */
function refusal(name: string, files: Record<string, Uint8Array>): string {
  try {
    open(name, files)
  } catch (error) {
    if (isImageError(error)) return `${error.code} ${String(error.details['first'] ?? '')}`.trim()
    throw error
  }
  return 'opened'
}

test('a missing part in the middle is an error, never a shorter disk', () => {
  const files = { 'd.001': Uint8Array.of(1), 'd.002': Uint8Array.of(2), 'd.004': Uint8Array.of(4) }
  assert.throws(
    () => open('d.001', files),
    (error) => isImageError(error) && error.code === 'E_PART_MISSING' && error.message.includes('d.003'),
  )
})
