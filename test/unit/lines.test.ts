import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { rootFolder } from '../support/fixtures.js'

/** Prettier breaks code; strings, templates, patterns and comments are broken by hand. */
const longest = 120

test(`no line of code is longer than ${longest} columns`, () => {
  const files = ['src', 'test', 'fixtures', 'bench', 'scripts', 'bin', 'packaging', 'plugins'].flatMap((folder) =>
    fs
      .readdirSync(join(rootFolder, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(?:ts|js|py)$/.test(name) && !/\b(?:node_modules|dist)\b/.test(name))
      .map((name) => join(folder, name)),
  )
  assert.ok(files.length > 800)
  const long = files.flatMap((file) =>
    fs
      .readFileSync(join(rootFolder, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (line.length > longest ? [`${file}:${index + 1}: ${line.length} columns`] : [])),
  )
  assert.deepEqual(long, [])
})
