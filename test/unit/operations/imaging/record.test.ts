import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { readImageRecord, writeImageRecord, type ImageRecord } from '../../../../src/operations/imaging/record.js'
import { testFolder } from '../../../support/folder.js'
import { assertSchema } from '../../../support/schemas.js'
import { sameFacts } from '../../../support/same-facts.js'
import { imageRecordPath } from '../../../../src/operations/imaging/companions.js'

const record: ImageRecord = {
  tool: { name: 'vdisk', version: '0.1.0' },
  started: '2026-11-23T04:05:06.123Z',
  ended: '2026-11-23T04:15:06.000Z',
  source: {
    kind: 'partition',
    path: '/dev/sda2',
    model: 'Samsung SSD 870',
    serial: 'S5Y1NX0R',
    wwn: 'naa.5002538f',
    bus: 'ata',
    size: 500107862016,
    logicalSectorSize: 512,
    physicalSectorSize: 4096,
    table: { scheme: 'gpt', diskId: '0f5e0e32-6b32-4d3b-8a6a-1f2f3a4b5c6d' },
    partition: {
      number: 2,
      start: 1048576,
      size: 1073741824,
      uuid: '11111111-2222-3333-4444-555555555555',
      label: 'root ✓',
    },
  },
  consistency: { state: 'crash-consistent', why: '/dev/sda2 is mounted at /' },
  image: { name: 'disk.vhdx', format: 'vhdx', subformat: 'dynamic', capacity: 1073741824 },
  digests: {
    algorithm: 'tree1',
    disk: { start: 0, length: 1073741824, digest: 'ab'.repeat(32) },
    partitions: [{ number: 1, start: 512, length: 1024, digest: '0f'.repeat(32) }],
  },
  usedOnly: true,
  parts: [1, 3],
  unreadable: { bytes: 8192, map: 'disk.vhdx.map' },
}

test('a record is read as it was written, and is what the schema says', (t) => {
  const image = join(testFolder(t), 'disk.vhdx')
  assert.equal(readImageRecord(image), undefined)
  assert.equal(writeImageRecord(image, record), imageRecordPath(image))
  sameFacts(readImageRecord(image), record)
  assertSchema('image-record', JSON.parse(fs.readFileSync(`${image}.vdisk.json`, 'utf8')))
  const small: ImageRecord = {
    ...record,
    source: { kind: 'disk', path: '/dev/sdb', size: 1, logicalSectorSize: 512, physicalSectorSize: 512 },
    unreadable: { bytes: 0 },
  }
  writeImageRecord(image, small)
  sameFacts(readImageRecord(image), small)
  sameFacts(fs.readdirSync(join(image, '..')), ['disk.vhdx.vdisk.json'])
})

test('whatever stands in a record, it is taken as it should be or refused by name', (t) => {
  const image = join(testFolder(t), 'disk.vhdx')
  writeImageRecord(image, record)
  const good = JSON.parse(fs.readFileSync(imageRecordPath(image), 'utf8')) as Record<string, unknown>
  const refuse = (text: string, message: RegExp): void => {
    fs.writeFileSync(imageRecordPath(image), text)
    assert.throws(() => readImageRecord(image), { code: 'E_RECORD', kind: 'corrupt', message }, text.slice(0, 80))
  }
  refuse('', /record/)
  refuse('[]', /no object/)
  refuse('{}', /schema/)
  refuse(JSON.stringify({ ...good, schemaVersion: 2 }), /version 2/)
  refuse(' '.repeat(1048577), /1048577 bytes/)
  /** Every member of every object, replaced by what it cannot be. */
  const damage = (value: unknown, put: (value: unknown) => void, path: string): void => {
    for (const wrong of [null, -1, 1.5, 2 ** 60, 'x'.repeat(5000), [1, 'a'], { a: 1 }]) {
      put(wrong)
      fs.writeFileSync(imageRecordPath(image), JSON.stringify(good))
      assert.throws(
        () => readImageRecord(image),
        { code: 'E_RECORD' },
        `${path} = ${JSON.stringify(wrong).slice(0, 20)}`,
      )
    }
    put(value)
    if (typeof value !== 'object' || value === null) return
    for (const [name, member] of Object.entries(value))
      damage(
        member,
        (next) => {
          ;(value as Record<string, unknown>)[name] = next
        },
        `${path}.${name}`,
      )
  }
  for (const [name, member] of Object.entries(good))
    damage(
      member,
      (next) => {
        good[name] = next
      },
      name,
    )
  fs.writeFileSync(imageRecordPath(image), JSON.stringify({ ...good, __proto__: 1, further: { unknown: [] } }))
  sameFacts(readImageRecord(image), record)
})
