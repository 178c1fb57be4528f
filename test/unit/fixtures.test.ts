import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { describe, test } from 'node:test'
import { sha256 } from '../../fixtures/guest-hash.js'
import { fixturesFolder, type FixtureRecord, type GuestContent } from '../../fixtures/manifest.js'
import { crc32c } from '../../fixtures/spec-writer/vhdx.js'
import { isImageError, openImage } from '../../src/index.js'
import { fixture, fixtures } from '../support/fixtures.js'
import { guestNz64k, guestSha256 } from '../support/guest-hash.js'

async function expectContent(path: string, expected: GuestContent, snapshot?: string): Promise<void> {
  using image = await openImage(path, snapshot === undefined ? {} : { snapshot })
  assert.equal(image.capacity, expected.capacity)
  assert.equal(guestNz64k(image), expected.guestNz64k)
  if (expected.guestSha256 !== undefined) assert.equal(guestSha256(image), expected.guestSha256)
}

async function expectError(path: string, expected: { readonly kind: string; readonly code?: string }): Promise<void> {
  await assert.rejects(
    async () => {
      using image = await openImage(path)
      guestNz64k(image)
    },
    (error) => {
      assert.ok(isImageError(error), String(error))
      assert.equal(error.kind, expected.kind, error.message)
      if (expected.code !== undefined) assert.equal(error.code, expected.code, error.message)
      assert.ok(error.message.includes(basename(path)), `the message names the file: ${error.message}`)
      return true
    },
  )
}

function filesUnchanged(record: FixtureRecord): void {
  for (const [path, hash] of Object.entries(record.files))
    assert.equal(sha256(readFileSync(join(dirname(fixture(record.path)), relative(dirname(record.path), path)))), hash)
}

describe('fixtures', () => {
  for (const record of fixtures) {
    test(`${record.path}: ${record.note}`, async () => {
      const path = fixture(record.path)
      filesUnchanged(record)
      if (record.error !== undefined) {
        await expectError(path, record.error)
      } else {
        await expectContent(path, record as GuestContent)
        for (const [name, content] of Object.entries(record.snapshots ?? {})) await expectContent(path, content, name)
        using image = await openImage(path)
        assert.equal(image.format, record.format)
        assert.equal(image.subformat, record.subformat)
        assert.equal(image.sectorSize, record.sectorSize ?? 512)
        if (record.notes === true)
          assert.notEqual(image.describe().notes.length, 0, 'opening says what is not as it should be')
      }
      filesUnchanged(record)
    })
  }
})

/** What its child calls an image: a VDI knows its parent by its id alone. */
const nameOf = (file: string): string => (file === 'middle.vdi' ? '5eedf300-0000-4000-8000-000000000002' : file)

describe('chains', () => {
  const chains = [
    ['vhd/chain/leaf.vhd', 'middle.vhd', 'base.vhd'],
    ['vhdx/chain/leaf.vhdx', 'middle.vhdx', 'base.vhdx'],
    ['vdi/chain/leaf.vdi', 'middle.vdi', 'base.vdi'],
    ['qcow/chain/leaf.qcow2', 'middle.qcow2', 'base.img'],
  ] as const
  for (const [leaf, middle, base] of chains) {
    test(`${leaf}: its middle is missing`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'vdisk-chain-'))
      t.after(() => rmSync(folder, { recursive: true }))
      const from = dirname(fixture(leaf))
      copyFileSync(fixture(leaf), join(folder, basename(leaf)))
      copyFileSync(join(from, base), join(folder, base))
      await assert.rejects(
        async () => (await openImage(join(folder, basename(leaf))))[Symbol.dispose](),
        (error) => isImageError(error) && error.kind === 'reference' && error.message.includes(nameOf(middle)),
      )
    })
  }
  for (const [leaf, middle, base] of chains.slice(0, 2)) {
    test(`${leaf}: its middle is another image`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'vdisk-chain-'))
      t.after(() => rmSync(folder, { recursive: true }))
      copyFileSync(fixture(leaf), join(folder, basename(leaf)))
      copyFileSync(join(dirname(fixture(leaf)), base), join(folder, middle))
      await assert.rejects(
        async () => (await openImage(join(folder, basename(leaf))))[Symbol.dispose](),
        (error) =>
          isImageError(error) &&
          error.kind === 'reference' &&
          error.code === 'E_PARENT_ID' &&
          error.message.includes(basename(leaf)),
      )
    })
  }
})

describe('dirty logs', () => {
  for (const record of fixtures.filter(({ path, error }) => path.includes('dirty-log') && error === undefined)) {
    test(`${record.path}: without its log it is another disk, or none`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'vdisk-log-'))
      t.after(() => rmSync(folder, { recursive: true }))
      const copy = join(folder, basename(record.path))
      if (record.parent !== undefined) copyFileSync(fixture(record.parent), join(folder, basename(record.parent)))
      writeFileSync(copy, withoutLog(readFileSync(fixture(record.path))))
      await assert.rejects(expectContent(copy, record as GuestContent))
    })
  }

  /** Both headers say that no log is to be replayed. */
  function withoutLog(file: Buffer): Buffer {
    for (const at of [65536, 131072]) {
      const header = file.subarray(at, at + 4096)
      header.fill(0, 48, 64)
      header.fill(0, 4, 8)
      header.writeUInt32LE(crc32c(header), 4)
    }
    return file
  }
})

describe('the manifest', () => {
  test('lists every image there is, and only of those', () => {
    const stored = readdirSync(fixturesFolder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/\.(ts|json|md)$|^\.gitattributes$/.test(entry.name))
      // Recordings of systems hold no images.
      .filter((entry) => !entry.parentPath.startsWith(join(fixturesFolder, 'recordings')))
      .map((entry) =>
        join(entry.parentPath, entry.name).slice(fixturesFolder.length).replaceAll('\\', '/').replace(/\.gz$/, ''),
      )
    assert.deepEqual(stored.sort(), [...new Set(fixtures.flatMap((record) => Object.keys(record.files)))].sort())
    assert.ok(existsSync(join(fixturesFolder, 'partitioned-disk.vhdx')), 'the image of the README is stored as it is')
  })

  test('images from the specifications are made without our own code', () => {
    const folder = join(fixturesFolder, 'spec-writer')
    for (const name of readdirSync(folder))
      assert.doesNotMatch(readFileSync(join(folder, name), 'utf8'), /from '[^']*\/src\//, name)
  })
})
