import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join, relative, sep } from 'node:path'
import test from 'node:test'
import { rootFolder as root } from '../support/fixtures.js'

function texts(...folders: readonly string[]): Map<string, string> {
  return new Map(
    folders.flatMap((folder) =>
      fs
        .readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.(?:ts|js)$/.test(name) && !/(?:^|[\\/])(?:node_modules|dist)[\\/]/.test(name))
        .map((name) => {
          const path = join(root, folder, name)
          return [relative(root, path).split(sep).join('/'), fs.readFileSync(path, 'utf8')] as const
        }),
    ),
  )
}

/** Values that a file exports: types say what values are like, and are used wherever those are. */
const exported = /^export (?:abstract |async )*(?:function\*?|class|const|let) ([A-Za-z_$][\w$]*)/gm

/** Exported values whose names stand in no other file. */
function unusedValues(sources: ReadonlyMap<string, string>, users: ReadonlyMap<string, string>): string[] {
  const files = new Map<string, Set<string>>()
  for (const [file, text] of [...sources, ...users])
    for (const name of new Set(text.match(/[A-Za-z_$][\w$]*/g))) {
      const found = files.get(name)
      if (found === undefined) files.set(name, new Set([file]))
      else found.add(file)
    }
  return [...sources].flatMap(([file, text]) =>
    [...text.matchAll(exported)].flatMap(([, name = '']) =>
      [...(files.get(name) ?? [])].some((other) => other !== file) ? [] : [`${file}: ${name}`],
    ),
  )
}

test('what a file exports is used by another', () => {
  const sources = texts('src')
  assert.ok(sources.size > 700, 'the sources are found')
  assert.deepEqual(unusedValues(sources, texts('test', 'bench', 'fixtures', 'scripts', 'bin', 'plugins')), [])
})

test('an exported value that nobody uses is found', () => {
  const sources = new Map([
    ['a.ts', 'export function used() {}\nexport const lonely = used()\nexport interface Shape {}'],
    ['b.ts', "import { used } from './a.js'"],
  ])
  assert.deepEqual(unusedValues(sources, new Map()), ['a.ts: lonely'])
  assert.deepEqual(unusedValues(sources, new Map([['t.test.ts', 'lonely']])), [])
})

/** Files that no source imports, and why they are there. */
const startedByName: Readonly<Record<string, string>> = {
  'src/cli/command-not-found.ts': 'the hook of oclif (package.json)',
  'src/cli/program.ts': 'bin/load.js starts it',
  'src/index.ts': 'the door of the library',
  'src/mount/hdiutil.ts': 'what macOS answers, for a mount there (docs/mounting.md)',
  'src/mount/mount-disk-image.ts': 'what Windows answers, for a mount there (docs/mounting.md)',
}

test('every source is imported, started by its address, or a command', () => {
  const sources = texts('src')
  const named = new Set<string>()
  for (const [file, text] of sources)
    for (const [, path = ''] of text.matchAll(/'(\.{1,2}\/[^']+)\.js'/g))
      named.add(join(file, '..', `${path}.ts`).split(sep).join('/'))
  const lonely = [...sources.keys()].filter(
    (file) => !named.has(file) && !file.startsWith('src/commands/') && !(file in startedByName),
  )
  assert.deepEqual(lonely, [])
})
