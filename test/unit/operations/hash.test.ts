import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { hash } from '../../../src/operations/inspect/hash.js'
import { diskLike, sha256 } from '../../support/content.js'
import { fixture, fixtureRecord } from '../../support/fixtures.js'
import { testFolder } from '../../support/folder.js'
import { subtypes } from '../../support/subtypes.js'

const disk = diskLike(6 * 1048576 + 512, 21)

test('every subtype of the same disk has the same digests', async (t) => {
  const folder = testFolder(t)
  const raw = join(folder, 'a.raw')
  fs.writeFileSync(raw, disk)
  const tree = (await hash(raw, { algorithm: 'tree' })).digests
  for (const { name, extension, options } of subtypes) {
    const other = join(folder, `b.${extension}`)
    await convert(raw, other, { ...options, force: true })
    assert.deepEqual((await hash(other)).digests, [{ offset: 0, length: disk.length, digest: sha256(disk) }], name)
    assert.deepEqual((await hash(other, { algorithm: 'tree' })).digests, tree, name)
    fs.rmSync(other)
  }
})

test('a fixture has the digest of its manifest', async () => {
  const record = fixtureRecord('partitioned-disk.vhdx')
  assert.equal((await hash(fixture(record.path))).digests[0]?.digest, record.guestSha256)
})

test('ranges are hashed as disks of their own, with one progress over all', async (t) => {
  const folder = testFolder(t)
  const [raw, part, packed] = ['a.raw', 'part.raw', 'a.qcow2'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  const range = { offset: 1048576 + 700, length: 2 * 1048576 + 100 }
  fs.writeFileSync(raw, disk)
  fs.writeFileSync(part, disk.subarray(range.offset, range.offset + range.length))
  await convert(raw, packed, { options: { compress: 'zlib' } })
  for (const algorithm of ['sha256', 'tree'] as const) {
    const [alone] = (await hash(part, { algorithm })).digests
    const events: number[] = []
    const { digests } = await hash(packed, {
      algorithm,
      ranges: [range, { offset: 5, length: 0 }, range],
      onProgress: ({ done, total }) => {
        events.push(done / total)
      },
    })
    assert.deepEqual(
      digests.map(({ digest }) => digest),
      [alone?.digest, digests[1]?.digest, alone?.digest],
    )
    assert.equal(digests[1]?.digest, sha256(new Uint8Array()))
    assert.deepEqual(
      events,
      [...events].sort((a, b) => a - b),
    )
    assert.equal(events.at(-1), 1)
  }
  for (const wrong of [
    { offset: 0, length: disk.length + 1 },
    { offset: -1, length: 5 },
    { offset: 1.5, length: 5 },
  ]) {
    await assert.rejects(hash(raw, { ranges: [wrong] }), (error) => isImageError(error) && error.code === 'E_RANGE')
  }
  await assert.rejects(
    hash(raw, { signal: AbortSignal.abort() }),
    (error) => isImageError(error) && error.kind === 'aborted',
  )
})

test('each partition has the digest of the partition opened as a disk', async (t) => {
  const path = fixture('partitioned-disk.vhdx')
  const { digests } = await hash(path, { algorithm: 'tree', perPartition: true })
  assert.deepEqual(
    digests.map(({ partition, label }) => [partition, label]),
    [
      [1, 'EFI system'],
      [2, 'root'],
    ],
  )
  for (const { partition, length, digest } of digests) {
    const alone = await hash(`${path}@${partition!}`, { algorithm: 'tree' })
    assert.deepEqual([alone.source.capacity, alone.digests[0]?.digest], [length, digest])
  }
  const empty = join(testFolder(t), 'a.raw')
  fs.writeFileSync(empty, new Uint8Array(1048576))
  await assert.rejects(
    hash(empty, { perPartition: true }),
    (error) => isImageError(error) && error.code === 'E_NO_PARTITIONS',
  )
})
