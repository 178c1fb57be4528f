import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root } from '../support/cli.js'
import { testFolder } from '../support/folder.js'

/** A program of the page, and what it prints. */
const examples = [
  ...fs
    .readFileSync(join(root, 'docs/library.md'), 'utf8')
    .matchAll(/^## (.+)\n[^#]*?```ts\n([\s\S]*?)```\n\n```console\n([\s\S]*?)```/gm),
].map(([, title = '', program = '', output = '']) => ({ title, program, output }))

/** Node as it runs the tests, and others that VDISK_NODES names (paths, separated by colons). */
const nodes = [process.execPath, ...(process.env['VDISK_NODES'] ?? '').split(':').filter((path) => path !== '')]

/** Writes a program as an ES module and as CommonJS, in which there is no await outside functions. */
function writeProgram(folder: string, index: number, program: string): void {
  const [imports, rest] = [/^import .*\n/gm, program.replaceAll(/^import .*\n/gm, '')]
  const head = (program.match(imports) ?? []).join('')
  fs.writeFileSync(join(folder, `example${index}.mts`), program)
  fs.writeFileSync(join(folder, `common${index}.cts`), `${head}\nasync function main() {\n${rest}}\nvoid main()\n`)
}

test('the strictest programs compile, however they find modules, also where they name no types of Node', (t) => {
  const cwd = testFolder(t)
  fs.mkdirSync(join(cwd, 'node_modules'))
  fs.symlinkSync(root, join(cwd, 'node_modules/vdisk'))
  for (const [index, { program }] of examples.entries()) writeProgram(cwd, index, program)
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['node16', 'node16'],
    ['esnext', 'bundler'],
  ]) {
    const compilerOptions = {
      module,
      moduleResolution,
      target: 'es2022',
      lib: ['es2022'],
      types: [],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noPropertyAccessFromIndexSignature: true,
      skipLibCheck: false,
      noEmit: true,
    }
    const include = moduleResolution === 'bundler' ? ['*.mts'] : ['*.mts', '*.cts']
    fs.writeFileSync(join(cwd, 'tsconfig.json'), JSON.stringify({ compilerOptions, include }))
    const compiler = join(root, 'node_modules/typescript-7/bin/tsc')
    const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', cwd], { encoding: 'utf8' })
    assert.equal(status, 0, `${moduleResolution}: ${stdout}`)
  }
})

test('the examples of docs/library.md compile strictly and print what the page says, as both kinds of modules', (t) => {
  assert.ok(examples.length >= 6)
  const cwd = testFolder(t)
  fs.mkdirSync(join(cwd, 'node_modules/@types'), { recursive: true })
  fs.symlinkSync(root, join(cwd, 'node_modules/vdisk'))
  fs.symlinkSync(join(root, 'node_modules/@types/node'), join(cwd, 'node_modules/@types/node'))
  fs.symlinkSync(join(root, 'node_modules/undici-types'), join(cwd, 'node_modules/undici-types'))
  for (const [index, { program }] of examples.entries()) writeProgram(cwd, index, program)
  const options = {
    target: 'es2023',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
    noUncheckedIndexedAccess: true,
    types: ['node'],
  }
  fs.writeFileSync(
    join(cwd, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, include: ['*.mts', '*.cts'] }),
  )
  const compiler = join(root, 'node_modules/typescript-7/bin/tsc')
  const compiled = spawnSync(process.execPath, [compiler, '-p', cwd], { encoding: 'utf8' })
  assert.equal(compiled.status, 0, compiled.stdout)
  for (const node of nodes)
    for (const [index, { title, output }] of examples.entries())
      for (const file of [`example${index}.mjs`, `common${index}.cjs`]) {
        const place = fs.mkdtempSync(join(cwd, 'run-'))
        fs.copyFileSync(join(root, 'fixtures/partitioned-disk.vhdx'), join(place, 'server.vhdx'))
        assert.equal(
          execFileSync(node, [join(cwd, file)], { cwd: place, encoding: 'utf8' }),
          output,
          `${title}: ${file}`,
        )
      }
})
