import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join, sep } from 'node:path'
import { test } from 'node:test'
import { rootFolder } from '../support/fixtures.js'
import { examplesRun } from '../support/examples.js'

interface Manifest {
  readonly commands: Readonly<
    Record<string, { readonly summary?: string; readonly examples?: readonly unknown[]; readonly hidden?: boolean }>
  >
}

const manifest = JSON.parse(readFileSync(join(rootFolder, 'oclif.manifest.json'), 'utf8')) as Manifest
const folder = join(rootFolder, 'src/commands')
const commands = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({
    id: name.replace(/\.ts$/, '').split(sep).join(':'),
    text: readFileSync(join(folder, name), 'utf8'),
  }))

/** Commands that write bytes, not documents. */
const withoutDocument: readonly string[] = ['cat']

test('the JSON document of every command has a schema', () => {
  for (const { id, text } of commands) {
    const schemas = [...text.matchAll(/schema: 'vdisk\.([a-z.-]+)'/g)].map(([, name]) => name ?? '')
    assert.equal(schemas.length === 0, withoutDocument.includes(id), `${id} names the schema of its document`)
    for (const name of schemas)
      assert.ok(existsSync(join(rootFolder, 'docs/schemas', `${name.replaceAll('.', '-')}.json`)), `${id}: ${name}`)
  }
})

test('every command has a summary, examples, and one that a test runs', () => {
  assert.deepEqual(Object.keys(manifest.commands).sort(), commands.map(({ id }) => id).sort())
  for (const [id, { summary, examples }] of Object.entries(manifest.commands)) {
    assert.ok(summary !== undefined && summary.length < 80, `${id}: a summary of one line`)
    assert.ok((examples?.length ?? 0) > 0, `${id}: examples`)
    assert.ok(examplesRun[id] !== undefined, `${id}: no test runs one of its examples (test/support/examples.ts)`)
  }
})

test('docs/reference.md is made from the manifest, and README names every command', async () => {
  const { reference } = (await import(join(rootFolder, 'scripts/write-reference.js'))) as {
    reference: (manifest: Manifest) => string
  }
  assert.equal(readFileSync(join(rootFolder, 'docs/reference.md'), 'utf8'), reference(manifest))
  const readme = readFileSync(join(rootFolder, 'README.md'), 'utf8')
  for (const id of Object.keys(manifest.commands)) {
    const [topic, name] = id.split(':')
    const named = new RegExp(name === undefined ? `\`${topic}\`` : `\`${topic} (?:${name}\`|[^|]*\`${name}\`)`)
    assert.match(readme, named, id)
  }
})
