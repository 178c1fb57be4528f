import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openImage } from '../../src/index.js'
import { check } from '../../src/operations/check/check.js'
import { fixture, fixtureRecord, fixtures } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { guestSha256 } from '../support/guest-hash.js'
import { have, run } from '../support/tools.js'

/**
 * 7-Zip decodes every kind of chunk, and compares the checksums of the parts; it knows neither resource forks nor
 * segments.
 */
for (const { path } of fixtures.filter(({ format, path: file }) => format === 'dmg' && !file.includes('resource')))
  test(`check --deep, and 7-Zip where it reads them, find nothing wrong with ${path}`, async (t) => {
    if (!path.includes('segments')) {
      if (!have(t, '7z')) return
      assert.match(run('7z', 't', '-tdmg', fixture(path)), /Everything is Ok/)
    }
    assert.deepEqual((await check(fixture(path), { deep: true })).counts, { error: 0, leak: 0, warning: 0 })
  })

test('dmg2img leaves out chunks of LZMA and LZFSE with exit 0; vdisk reads them', async (t) => {
  if (!have(t, 'dmg2img')) return
  const folder = testFolder(t)
  for (const path of ['dmg/lzma.dmg', 'dmg/lzfse.dmg']) {
    const theirs = join(folder, 'theirs.img')
    fs.rmSync(theirs, { force: true })
    // It ends with 0 whatever it could not decode.
    run('dmg2img', '-i', fixture(path), '-o', theirs)
    using image = await openImage(fixture(path))
    assert.equal(guestSha256(image), fixtureRecord(path).guestSha256)
    const bytes = fs.readFileSync(theirs)
    assert.notEqual(createHash('sha256').update(bytes).digest('hex'), guestSha256(image))
  }
})
