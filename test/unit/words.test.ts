import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { rootFolder as root } from '../support/fixtures.js'

/** Words that the code, messages and manual do without, and what stands for them. */
const banned: readonly (readonly [RegExp, string])[] = [
  [/\b(?:told|tells?|telling)\b/i, 'report, show, say, record, distinguish'],
  [/\bwhoever\b/i, 'the caller, a program that'],
  [/\ball the same\b/i, 'still, nevertheless'],
  [/\bstands? in the way\b/i, 'prevents, blocks'],
  [/\bgiv(?:en?|es) free\b/i, 'free, release, thaw'],
  [/\bgiven? up\b|\bgives up\b/i, 'release, stop'],
  [/\bheld still\b|\bholds? (?:\w+ ){0,3}still\b/i, 'frozen, freeze'],
  [/\b(?:anatomy|haggl\w*|leds?table)\b/i, 'parts, negotiation, table'],
]

/** Names of other programs' options, and protocol words. */
const exceptions = /--no-tell-kernel/g

function texts(folder: string, extension: string): string[] {
  return fs
    .readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension) && !/\b(?:node_modules|dist)\b/.test(name))
    .map((name) => join(folder, name))
}

test('code, messages and manual are in plain English', () => {
  const files = [
    ...['src', 'test', 'fixtures', 'bench', 'plugins'].flatMap((folder) => texts(folder, '.ts')),
    ...['bin', 'scripts', 'packaging', 'plugins'].flatMap((folder) => texts(folder, '.js')),
    ...['docs', 'plugins'].flatMap((folder) => texts(folder, '.md')),
    ...fs.readdirSync(root).filter((name) => name.endsWith('.md')),
  ]
  assert.ok(files.length > 500)
  const found: string[] = []
  const own = join('test', 'unit', 'words.test.ts')
  for (const file of files.filter((name) => name !== own)) {
    const lines = fs.readFileSync(join(root, file), 'utf8').replace(exceptions, '').split('\n')
    for (const [index, line] of lines.entries())
      for (const [word, better] of banned)
        if (word.test(line)) found.push(`${file}:${index + 1}: ${String(word.exec(line)?.[0])} (rather: ${better})`)
  }
  assert.deepEqual(found, [])
})
