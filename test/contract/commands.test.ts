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
    for (const number of examplesRun(id)) assert.ok(examples?.[number] !== undefined, `${id}: an example ${number}`)
  }
})

test('docs/reference.md is made from the manifest, and README names no command that is not there', async () => {
  const { reference } = (await import(join(rootFolder, 'scripts/write-reference.js'))) as {
    reference: (manifest: Manifest) => string
  }
  assert.equal(readFileSync(join(rootFolder, 'docs/reference.md'), 'utf8'), reference(manifest))
  const readme = readFileSync(join(rootFolder, 'README.md'), 'utf8')
  const table = readme.slice(readme.indexOf('| you want to |'), readme.indexOf('## More'))
  for (const [, cell = ''] of table.matchAll(/^\|[^|]*\|([^|]*)\|/gm)) {
    let topic = ''
    for (const [, name = ''] of cell.matchAll(/`([^`]+)`/g)) {
      if (name.includes(' ')) topic = name.slice(0, name.indexOf(' ') + 1)
      const id = (name.includes(' ') ? name : topic + name).replace(' ', ':')
      assert.ok(manifest.commands[id] !== undefined, `README names ${id}`)
    }
  }
})
