import assert from 'node:assert/strict'
import { test } from 'node:test'
import { check } from '../../src/operations/check/check.js'
import { fixture, fixtures } from '../support/fixtures.js'
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
