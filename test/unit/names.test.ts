import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join, relative, sep } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../src', import.meta.url))
const declaration =
  /^export (?:abstract |async |declare )*(?:function\*?|class|interface|type|const|let|enum) ([A-Za-z_$][\w$]*)/gm

/**
 * Folders that nobody imports from but themselves, and one file in front of them: each says in the words of its own
 * specification what the others say in theirs (`Header`, `readHeader`). Every other exported name means one thing
 * everywhere.
 */
const rooms = [
  /^formats\/[^/]+(?=\/)/,
  /^filesystem\/[^/]+(?=\/)/,
  /^mount\/(?:nbd|fuse)(?=\/)/,
  // The text of one command's answer each, of one name.
  /^cli\/view\/[^/]+$/,
]

function roomOf(file: string): string {
  for (const room of rooms) {
    const [found] = room.exec(file) ?? []
    if (found !== undefined) return found
  }
  return ''
}

function* sources(folder: string): Generator<string> {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* sources(path)
    else if (path.endsWith('.ts')) yield path
  }
}

/** Names that are declared twice, with the files; those of two rooms are apart. */
function declaredTwice(texts: ReadonlyMap<string, string>): string[] {
  const places = new Map<string, string[]>()
  for (const [file, text] of texts)
    for (const name of new Set([...text.matchAll(declaration)].map(([, found]) => found ?? '')))
      places.set(name, [...(places.get(name) ?? []), file])
  return [...places].flatMap(([name, files]) => {
    const where = files.map(roomOf)
    const apart = !where.includes('') && new Set(where).size === where.length
    return files.length === 1 || apart ? [] : [`${name}: ${files.join(', ')}`]
  })
}

test('an exported name is declared once: it means one thing wherever it is read', () => {
  const texts = new Map(
    [...sources(root)].map((path) => [relative(root, path).split(sep).join('/'), fs.readFileSync(path, 'utf8')]),
  )
  assert.ok(texts.size > 300, 'the sources are found')
  assert.deepEqual(declaredTwice(texts), [])
})

test('a name that is declared twice is found', () => {
  const twice = new Map([
    ['block/a.ts', 'export interface Place {}'],
    ['formats/vhd/b.ts', 'export type Place = string'],
    ['formats/vhd/c.ts', 'export class Header {}'],
    ['formats/vhdx/d.ts', 'export class Header {}'],
  ])
  assert.deepEqual(declaredTwice(twice), ['Place: block/a.ts, formats/vhd/b.ts'])
})
