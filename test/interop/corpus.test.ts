import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isImageError, openImage, type ErrorKind } from '../../src/index.js'
import { openCorpus, type CorpusRecord } from '../support/corpus.js'
import { guestNz64k, guestSha256 } from '../support/guest-hash.js'

/** Our driver's id by the corpus's name of the kind. Every other kind is refused by name. */
const drivers: Readonly<Record<string, string>> = {
  raw: 'raw', vhd: 'vhd', 'vhd-fixed': 'vhd', vhdx: 'vhdx', qcow1: 'qcow', qcow2: 'qcow2', qcow3: 'qcow2',
}

/** How the refusal of a kind that is not built names it. */
const names: Readonly<Record<string, RegExp>> = {
  vmdk: /VMDK/, 'vmdk-desc': /VMDK/, vdi: /VDI/, dmg: /DMG/, gz: /gzip/, bz2: /bzip2/, xz: /\bxz\b/, parallels: /Parallels/, bochs: /Bochs/,
}

type Expected = { readonly capacity: number; readonly nz64k: string; readonly sha256?: string | null } | { readonly error: ErrorKind; readonly says: RegExp }

/** What "reject" means for a file, and where the recorded answer is not the right one: what is, and why. */
const answers: Readonly<Record<string, { readonly why: string; readonly expected: Expected | ((record: CorpusRecord) => Expected) }>> = {}

/** Whole hashes are taken up to here: the other hash says as much, given the capacity. */
const wholeHash = 256 * 1024 * 1024

function expectation(record: CorpusRecord): Expected {
  const answer = answers[record.path]
  if (answer !== undefined) return typeof answer.expected === 'function' ? answer.expected(record) : answer.expected
  if (drivers[record.kind] === undefined) {
    const says = names[record.kind]
    assert.ok(says, `the corpus has a kind this test does not know: ${record.kind}`)
    return { error: 'unsupported', says }
  }
  if (record.expect === 'missing-dependency') return { error: 'reference', says: /not|missing/ }
  if (record.expect === 'encrypted') return { error: 'unsupported', says: /encrypt/ }
  if (record.expect === 'raw') return { capacity: record.size, nz64k: '', sha256: record.sha256 }
  assert.equal(record.expect, 'decode', 'a rejected file needs an answer in this test')
  assert.ok(record.virtual_size !== null && record.raw_nz64k)
  return { capacity: record.virtual_size, nz64k: record.raw_nz64k, sha256: record.raw_sha256 ?? null }
}

async function expectContent(path: string, kind: string, expected: Extract<Expected, { capacity: number }>, snapshot?: string): Promise<void> {
  using image = await openImage(path, snapshot === undefined ? {} : { snapshot })
  assert.equal(image.format, drivers[kind])
  assert.equal(image.capacity, expected.capacity)
  if (expected.nz64k !== '') assert.equal(guestNz64k(image), expected.nz64k)
  if (typeof expected.sha256 === 'string' && expected.capacity <= wholeHash) assert.equal(guestSha256(image), expected.sha256)
}

async function expectError(path: string, expected: Extract<Expected, { error: ErrorKind }>): Promise<void> {
  await assert.rejects(async () => {
    using image = await openImage(path)
    guestNz64k(image)
  }, (error) => {
    assert.ok(isImageError(error), error instanceof Error ? error.stack : String(error))
    assert.equal(error.kind, expected.error, error.message)
    assert.match(error.message, expected.says)
    return true
  })
}

test('the corpus', async (t) => {
  const corpus = openCorpus(t)
  if (corpus === undefined) return
  for (const record of corpus.records) {
    await t.test(record.path, async () => {
      const path = join(corpus.folder, record.path)
      const { mtimeMs } = statSync(path)
      const expected = expectation(record)
      if ('error' in expected) await expectError(path, expected)
      else await expectContent(path, record.kind, expected)
      for (const snapshot of record.snapshots ?? []) {
        await expectContent(path, record.kind, { capacity: snapshot.size, nz64k: snapshot.raw_nz64k }, snapshot.name)
      }
      assert.equal(statSync(path).mtimeMs, mtimeMs, 'the file was not touched')
    })
  }
})
