import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { rootFolder } from '../support/fixtures.js'

test('every test that the page about other programs names is there', () => {
  const page = fs.readFileSync(join(rootFolder, 'docs/peers.md'), 'utf8')
  const named = [...page.matchAll(/`((?:unit|contract|e2e|interop|hostile|property)\/[\w/-]+)`/g)].map(
    ([, name = '']) => name,
  )
  assert.ok(named.length > 30)
  assert.deepEqual(
    named.filter((name) => !fs.existsSync(join(rootFolder, 'test', `${name}.test.ts`))),
    [],
  )
})
