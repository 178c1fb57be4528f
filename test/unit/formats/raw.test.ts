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

test('parts that begin with 000 are joined, a later part is an image of its own', () => {
  const files = { 'd.000': Uint8Array.of(1, 2), 'd.001': Uint8Array.of(3), 'd.002': Uint8Array.of(4) }
  assert.deepEqual([...readAll(open('d.000', files))], [1, 2, 3, 4])
  assert.deepEqual([...readAll(open('d.002', files))], [4])
  assert.deepEqual([...readAll(open('d.000', files, { parts: false }))], [1, 2])
})

test('a missing part in the middle is an error, never a shorter disk', () => {
  const files = { 'd.001': Uint8Array.of(1), 'd.002': Uint8Array.of(2), 'd.004': Uint8Array.of(4) }
  assert.throws(
    () => open('d.001', files),
    (error) => isImageError(error) && error.code === 'E_PART_MISSING' && error.message.includes('d.003'),
  )
})
