import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../support/cli.js'
import { scratch } from '../support/tools.js'

type Fields = Readonly<Record<string, unknown>>

const filled: Fields = {
  author: { name: 'Ada Lovelace', email: 'ada@example.org' },
  repository: { type: 'git', url: 'git+https://github.com/ada/vdisk.git' },
  homepage: 'https://ada.github.io/vdisk/',
  bugs: { url: 'https://github.com/ada/vdisk/issues' },
}

test('what a publisher fills in: asked for in package.json, and copied from there', (t) => {
  const at = scratch(t)
  const plugins = ['ihex', 'queue', 's3', 'template']
  for (const name of ['package.json', ...plugins.map((plugin) => `plugins/${plugin}/package.json`)])
    fs.cpSync(join(root, name), at(name))
  fs.mkdirSync(at('docs'))
  fs.writeFileSync(at('docs/installing.md'), '- uses: OWNER/vdisk@v0\n')
  const own = JSON.parse(fs.readFileSync(at('package.json'), 'utf8')) as Fields & { readonly version: string }
  const unfilled = Object.fromEntries(Object.entries(own).filter(([name]) => !Object.hasOwn(filled, name)))
  const asked = (fields: Fields, ...flags: string[]): readonly [number | null, string] => {
    fs.writeFileSync(at('package.json'), JSON.stringify({ ...unfilled, ...fields }))
    const script = join(root, 'scripts/check-publisher.js')
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...flags, at('.')], { encoding: 'utf8' })
    assert.equal(stderr, '')
    return [status, stdout]
  }

  fs.writeFileSync(at('CHANGELOG.md'), '# Changelog\n\n## Unreleased\n')
  const [code, said] = asked({})
  assert.equal(code, 1)
  for (const field of Object.keys(filled)) assert.match(said, new RegExp(`^  package\\.json: ${field}: `, 'm'))
  for (const [field, value] of [
    ['author', 'Ada Lovelace'],
    ['author', { name: 'Ada Lovelace', email: 'ada' }],
    ['repository', 'https://example.org/ada'],
    ['homepage', 'ada.github.io'],
    ['bugs', {}],
  ] as const) {
    const [wrong, why] = asked({ ...filled, [field]: value })
    assert.equal(wrong, 1, field)
    assert.match(why, new RegExp(`^To fill in before publishing:\n  package\\.json: ${field}: .*\n$`))
  }

  const [uncopied, rest] = asked(filled)
  assert.equal(uncopied, 1)
  for (const name of ['plugins/ihex/package.json', 'plugins/s3/package.json', 'docs/installing.md', 'CHANGELOG.md'])
    assert.ok(rest.includes(`  ${name}: `), rest)
  fs.writeFileSync(at('CHANGELOG.md'), `# Changelog\n\n## ${own.version}\n`)
  assert.deepEqual(asked(filled, '--write'), [0, 'Everything that a publisher fills in is there.\n'])
  assert.deepEqual(asked(filled), [0, 'Everything that a publisher fills in is there.\n'])
  assert.match(fs.readFileSync(at('docs/installing.md'), 'utf8'), /uses: ada\/vdisk@v0/)
  const plugin = JSON.parse(fs.readFileSync(at('plugins/s3/package.json'), 'utf8')) as Fields
  assert.deepEqual(plugin['author'], filled['author'])
  assert.deepEqual(plugin['repository'], {
    type: 'git',
    url: 'git+https://github.com/ada/vdisk.git',
    directory: 'plugins/s3',
  })
  const template = JSON.parse(fs.readFileSync(at('plugins/template/package.json'), 'utf8')) as Fields
  assert.equal(template['author'], undefined, 'a package that is not published')
  // Nothing is published before.
  assert.equal((own['scripts'] as Fields)['prepublishOnly'], 'node scripts/check-publisher.js')
})
