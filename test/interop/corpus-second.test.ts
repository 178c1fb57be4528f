import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { check, isImageError, openImage, type Image } from '../../src/index.js'
import { openCorpus, type CorpusRecord } from '../support/corpus.js'
import { guestNz64k, guestSha256 } from '../support/guest-hash.js'

/** Our driver's id by the corpus's name of the kind. */
const formatOf: Readonly<Record<string, string>> = {
  vmdk: 'vmdk',
  'vmdk-desc': 'vmdk',
  dmg: 'dmg',
  ewf: 'ewf',
  ewf2: 'ewf',
  sparseimage: 'sparseimage',
  mrimgx: 'macrium',
}

/** What the record does not say, or why another answer is right; each was looked into. */
interface Answer {
  readonly why: string
  readonly look?: (image: Image, path: string) => Promise<void> | void
  readonly error?: { readonly kind: string; readonly code: string }
  /** What check --deep must find. */
  readonly finds?: readonly string[]
}

const answers: Readonly<Record<string, Answer>> = {
  'dmg-forensic/synthetic.sparseimage': {
    why:
      'recorded as unknown: no tool here reads sparse images. Six sectors in bands of two; slots 0 and 1 hold bands ' +
      '0 and 2, band 1 is not stored',
    look: (image, path) => {
      const bytes = readFileSync(path)
      const disk = Buffer.concat([bytes.subarray(4096, 5120), Buffer.alloc(1024), bytes.subarray(5120, 6144)])
      assert.equal(image.capacity, 3072)
      assert.equal(guestSha256(image), createHash('sha256').update(disk).digest('hex'))
    },
  },
  'ewf-forensic/multiseg_v1.E01': {
    why: 'further segments are not in the archive; ewfexport fills them with zeros and reports success',
    error: { kind: 'reference', code: 'E_PART_MISSING' },
  },
  'dissect.evidence/ewf.E01': {
    why: 'the MD5 that it stores is not that of its content',
    finds: ['E_DIGEST'],
  },
  'dfvfs/hfsplus.hdd/DiskDescriptor.xml': {
    why: 'the file that it names is not in the archive',
    error: { kind: 'reference', code: 'E_REFERENCE_MISSING' },
  },
  'macrium/demo.zip': {
    why: 'too large for a hash of all of it: what is not zero counts',
    look: (image) => {
      assert.equal(image.capacity, 128_849_018_880)
      assert.equal(guestNz64k(image), '6f2b5a95ce535401120f006445f4d89c136f70bc37526c701a90d217b9152705')
    },
  },
}

async function expectContent(path: string, record: CorpusRecord, finds: readonly string[]): Promise<void> {
  using image = await openImage(path)
  assert.equal(image.format, formatOf[record.kind])
  assert.equal(image.capacity, record.virtual_size)
  assert.ok(typeof record.raw_sha256 === 'string', 'there is a hash to compare')
  assert.equal(guestSha256(image), record.raw_sha256)
  // Of a disk that ends in the middle of a block the record has the block filled up.
  if (typeof record.raw_nz64k === 'string' && image.capacity % 65536 === 0)
    assert.equal(guestNz64k(image), record.raw_nz64k)
  const { layers } = await check(path, { deep: true })
  const errors = layers.flatMap(({ groups }) => groups.filter(({ severity }) => severity === 'error'))
  assert.deepEqual(
    errors.map(({ code }) => code),
    finds,
  )
}

test('the second archive of the corpus', async (t) => {
  const corpus = openCorpus(t, true)
  if (corpus === undefined) return
  const paths = new Set(corpus.records.map(({ path }) => path))
  assert.deepEqual(
    Object.keys(answers).filter((path) => !paths.has(path)),
    [],
  )
  for (const record of corpus.records) {
    // A further file of the record before it.
    if (record.kind === 'part') continue
    const answer = answers[record.path]
    await t.test(answer === undefined ? record.path : `${record.path} (${answer.why})`, async () => {
      const path = join(corpus.folder, record.path)
      const { mtimeMs } = statSync(path)
      const expected = answer?.error
      if (expected !== undefined)
        await assert.rejects(
          async () => {
            using image = await openImage(path)
            guestNz64k(image)
          },
          (error) => isImageError(error) && error.kind === expected.kind && error.code === expected.code,
        )
      else if (answer?.look !== undefined) {
        using image = await openImage(path)
        assert.equal(image.format, formatOf[record.kind.split(' ')[0] ?? ''])
        await answer.look(image, path)
      } else await expectContent(path, record, answer?.finds ?? [])
      assert.equal(statSync(path).mtimeMs, mtimeMs, 'the file was not touched')
    })
  }
})

test('a Parallels disk whose file is missing is shown, by its folder and by its descriptor', async (t) => {
  const corpus = openCorpus(t, true)
  if (corpus === undefined) return
  const folder = join(corpus.folder, 'dfvfs/hfsplus.hdd')
  for (const path of [folder, join(folder, 'DiskDescriptor.xml')]) {
    await assert.rejects(openImage(path), { code: 'E_REFERENCE_MISSING', kind: 'reference' })
    const { layers, clean } = await check(path)
    assert.equal(clean, false)
    assert.deepEqual([layers[0]?.format, layers[0]?.capacity], ['parallels', 33_554_432])
  }
})
