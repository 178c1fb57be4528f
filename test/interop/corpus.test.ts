import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isImageError, openImage, type ImageOptions } from '../../src/index.js'
import { corpusAnswers, snapshotSizes, type CorpusContent, type CorpusError } from '../support/corpus-answers.js'
import { openCorpus, type CorpusRecord } from '../support/corpus.js'
import { guestNz64k, guestSha256 } from '../support/guest-hash.js'

/** Our driver's id by the corpus's name of the kind. Every other kind is refused by name. */
const drivers: Readonly<Record<string, string>> = {
  raw: 'raw',
  vhd: 'vhd',
  'vhd-fixed': 'vhd',
  vhdx: 'vhdx',
  qcow1: 'qcow',
  qcow2: 'qcow2',
  qcow3: 'qcow2',
  vmdk: 'vmdk',
  'vmdk-desc': 'vmdk',
  vdi: 'vdi',
  dmg: 'dmg',
  parallels: 'parallels',
  bochs: 'bochs',
}

/** Compressed files: compressed-corpus.test.ts. */
const compressed: readonly string[] = ['gz', 'bz2', 'xz']

/** How the refusal of a kind that is not built names it. */
const names: Readonly<Record<string, RegExp>> = {}

/** The whole hash is taken up to here: with the capacity, the other hash says as much. */
const wholeHash = 256 * 1024 * 1024

/** What the manifest expects of a file. */
function recorded(record: CorpusRecord): CorpusContent | CorpusError {
  if (drivers[record.kind] === undefined) {
    const says = names[record.kind]
    assert.ok(says, `the corpus has a kind this test does not know: ${record.kind}`)
    return { error: 'unsupported', says }
  }
  switch (record.expect) {
    case 'missing-dependency':
      return { error: 'reference', says: /it is not there/ }
    case 'encrypted':
      return { error: 'unsupported', says: /encrypted/ }
    case 'raw':
      return { capacity: record.size, sha256: record.sha256 }
    case 'decode': {
      assert.ok(record.virtual_size !== null && record.raw_nz64k)
      return { capacity: record.virtual_size, nz64k: record.raw_nz64k, sha256: record.raw_sha256 ?? null }
    }
    default:
      return assert.fail(`${record.expect} needs an exact answer in test/support/corpus-answers.ts`)
  }
}

async function expectContent(
  path: string,
  kind: string,
  expected: CorpusContent,
  options: ImageOptions = {},
): Promise<void> {
  using image = await openImage(path, options)
  assert.equal(image.format, drivers[kind])
  assert.equal(image.capacity, expected.capacity)
  const whole = typeof expected.sha256 === 'string' && expected.capacity <= wholeHash
  assert.ok(whole || expected.nz64k !== undefined, 'there is a hash to compare')
  if (expected.nz64k !== undefined) assert.equal(guestNz64k(image), expected.nz64k)
  if (whole) assert.equal(guestSha256(image), expected.sha256)
}

async function expectError(path: string, expected: CorpusError): Promise<void> {
  await assert.rejects(
    async () => {
      using image = await openImage(path)
      guestNz64k(image)
    },
    (error) => {
      assert.ok(isImageError(error), error instanceof Error ? error.stack : String(error))
      assert.equal(error.kind, expected.error, error.message)
      assert.match(error.message, expected.says)
      return true
    },
  )
}

test('the corpus', async (t) => {
  const corpus = openCorpus(t)
  if (corpus === undefined) return
  for (const record of corpus.records) {
    if (compressed.includes(record.kind)) continue
    const answer = corpusAnswers.get(record.path)
    await t.test(answer === undefined ? record.path : `${record.path} (${answer.why})`, async () => {
      const path = join(corpus.folder, record.path)
      const { mtimeMs } = statSync(path)
      const expected = answer?.expected ?? recorded(record)
      if ('error' in expected) {
        if (expected.missing !== undefined)
          assert.equal(existsSync(join(corpus.folder, expected.missing)), false, 'the file is missing indeed')
        await expectError(path, expected)
      } else {
        await expectContent(path, record.kind, expected)
        for (const { name, size, raw_nz64k: nz64k } of record.snapshots ?? []) {
          await expectContent(
            path,
            record.kind,
            { capacity: snapshotSizes.get(record.path) ?? size, nz64k },
            { snapshot: name },
          )
        }
      }
      if (answer?.parentFormat !== undefined)
        await expectContent(path, record.kind, recorded(record) as CorpusContent, { parentFormat: answer.parentFormat })
      assert.equal(statSync(path).mtimeMs, mtimeMs, 'the file was not touched')
    })
  }

  await t.test('every answer of the test belongs to a file of the corpus', () => {
    const paths = new Set(corpus.records.map(({ path }) => path))
    assert.deepEqual(
      [...corpusAnswers.keys(), ...snapshotSizes.keys()].filter((path) => !paths.has(path)),
      [],
    )
  })
})
