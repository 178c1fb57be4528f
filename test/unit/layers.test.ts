import assert from 'node:assert/strict'
import fs from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import test from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const source = join(root, 'src')

/** Every import of a file, by path from src/; type imports too: a layer that knows another's types knows the layer. */
function importsOf(file: string): { path: string; onlyTypes: boolean }[] {
  const text = fs.readFileSync(file, 'utf8')
  const found: { path: string; onlyTypes: boolean }[] = []
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'(\.[^']+)'/gms))
    found.push({ path: match[2] ?? '', onlyTypes: match[1] !== undefined })
  for (const match of text.matchAll(/\bimport\('(\.[^']+)'\)/g)) found.push({ path: match[1] ?? '', onlyTypes: false })
  return found.map(({ path, onlyTypes }) => ({
    path: relative(source, resolve(dirname(file), path))
      .replace(/\.js$/, '.ts')
      .split(sep)
      .join('/'),
    onlyTypes,
  }))
}

const files = fs
  .readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.split(sep).join('/'))
const graph = new Map(files.map((name) => [name, importsOf(join(source, name))]))

function layerOf(name: string): string {
  return name.includes('/') ? name.slice(0, name.indexOf('/')) : ''
}

test('every file imports its own layer and those below it, and no format another', async () => {
  const { layers } = (await import(pathToFileURL(join(root, 'scripts/layers.js')).href)) as {
    layers: Record<string, string[]>
  }
  const wrong: string[] = []
  for (const [name, imports] of graph) {
    const layer = layerOf(name)
    // src/errors.ts is for all; src/index.ts is the door and may see everything.
    if (layer === '') continue
    const allowed = layers[layer]
    assert.ok(allowed !== undefined, `src/${layer} is not in scripts/layers.js`)
    for (const { path } of imports) {
      assert.ok(graph.has(path), `${name} imports ${path}, which is not there`)
      if (path === 'errors.ts') continue
      // Plug-ins are handed the library.
      if (name === 'cli/plugin-registry.ts' && path === 'index.ts') continue
      if (layerOf(path) !== layer && !allowed.includes(layerOf(path))) wrong.push(`${name} → ${path}`)
      const format = /^formats\/([^/]+)\//.exec(name)?.[1]
      if (
        format !== undefined &&
        path.startsWith('formats/') &&
        !path.startsWith(`formats/${format}/`) &&
        path !== 'formats/driver.ts'
      )
        wrong.push(`${name} → ${path}`)
      if (/^formats\/[^/]+\//.test(path) && layerOf(name) !== 'formats')
        wrong.push(`${name} → ${path} (only the registry knows single formats)`)
    }
  }
  assert.deepEqual(wrong, [])
})

/** The rooms of a format of many files, each of which imports itself and those before it only. */
const rooms = ['format', 'judge', 'read', 'write']

test('a format of many files has four rooms, and their imports only point one way', () => {
  const wrong: string[] = []
  for (const [name, imports] of graph) {
    const [, format, room] = /^formats\/([^/]+)\/([^/]+)\//.exec(name) ?? []
    if (format === undefined || room === undefined) continue
    if (!rooms.includes(room)) wrong.push(`${name} is in no room`)
    for (const { path } of imports) {
      const other = new RegExp(`^formats/${format}/([^/]+)(/?)`).exec(path)
      if (other === null) continue
      if (other[2] === '' || rooms.indexOf(other[1] ?? '') > rooms.indexOf(room)) wrong.push(`${name} → ${path}`)
    }
  }
  for (const format of ['vhd', 'vhdx', 'qcow2', 'vdi', 'vmdk']) {
    const loose = files.filter((name) => new RegExp(`^formats/${format}/[^/]+$`).test(name))
    assert.deepEqual(loose, [`formats/${format}/index.ts`])
  }
  assert.deepEqual(wrong, [])
})

test('there are no circles of imports', () => {
  const state = new Map<string, 'open' | 'done'>()
  const circles: string[] = []
  const visit = (name: string, way: readonly string[]): void => {
    if (state.get(name) === 'done') return
    if (state.get(name) === 'open') {
      circles.push([...way.slice(way.indexOf(name)), name].join(' → '))
      return
    }
    state.set(name, 'open')
    for (const { path } of graph.get(name) ?? []) if (graph.has(path)) visit(path, [...way, name])
    state.set(name, 'done')
  }
  for (const name of graph.keys()) visit(name, [])
  assert.deepEqual(circles, [])
})

test('operations and below do not print, end the process, or ask which system this is', () => {
  const wrong: string[] = []
  for (const name of files) {
    const text = fs.readFileSync(join(source, name), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    const upper = ['cli', 'commands', 'servers'].includes(layerOf(name))
    if (!upper && /\bconsole\.|process\.(?:stdout|stderr|stdin|exit|on)\b/.test(text))
      wrong.push(`${name} prints or ends`)
    if (!['sys', 'device', 'mount'].includes(layerOf(name)) && /process\.platform/.test(text))
      wrong.push(`${name} asks for the platform`)
    if (layerOf(name) === 'operations' && /\bprocess\./.test(text)) wrong.push(`${name} uses process`)
    if (!name.startsWith('cli/render.ts') && /from 'chalk'|from 'table'|import\('(?:chalk|table)'\)/.test(text))
      wrong.push(`${name} uses chalk or table`)
    if (name !== 'block/scratch-store.ts' && /from 'tmp'/.test(text)) wrong.push(`${name} uses tmp`)
  }
  assert.deepEqual(wrong, [])
})

test('no file is longer than 500 lines', () => {
  const long = files.filter((name) => fs.readFileSync(join(source, name), 'utf8').split('\n').length > 501)
  assert.deepEqual(long, [])
})

test('an arrow that is allowed is there, and the table in docs/architecture.md is the same', async () => {
  const { layers } = (await import(pathToFileURL(join(root, 'scripts/layers.js')).href)) as {
    layers: Record<string, string[]>
  }
  const drawn = Object.fromEntries(
    Object.keys(layers).map((layer) => {
      const own = [...graph].filter(([name]) => layerOf(name) === layer)
      const imported = new Set(own.flatMap(([, imports]) => imports.map(({ path }) => layerOf(path))))
      return [layer, (layers[layer] ?? []).filter((other) => imported.has(other)).sort()]
    }),
  )
  const page = fs.readFileSync(join(root, 'docs/architecture.md'), 'utf8')
  const table = page.slice(page.indexOf('| folder |'), page.indexOf('`errors.ts` is for all.'))
  const shown = Object.fromEntries(
    [...table.matchAll(/^\| `(\w+)` \|.*\| ([^|]*) \|$/gm)].map(([, layer = '', may = '']) => [
      layer,
      may === 'nothing' ? [] : [...may.replace(/ \([^)]*\)/g, '').split(', ')].sort(),
    ]),
  )
  const allowed = Object.fromEntries(Object.entries(layers).map(([layer, others]) => [layer, [...others].sort()]))
  assert.deepEqual([drawn, shown], [allowed, allowed])
})
