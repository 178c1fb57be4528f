import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative } from 'node:path'
import test from 'node:test'
import { installPlugin, makePlugin, root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

/** The JavaScript files that a command line opens, by their path in the package. */
function openedFiles(cwd: string, args: readonly string[], env: Record<string, string> = {}): string[] {
  const log = join(cwd, 'opened')
  const parameters = ['-f', '-qq', '-e', 'trace=openat', '-o', log, process.execPath, join(root, 'bin/run.js'), ...args]
  const { status, stderr } = spawnSync('strace', parameters, {
    cwd,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', HOME: cwd, VDISK_DATA_DIR: join(cwd, 'no-plugins'), ...env },
  })
  assert.equal(status, 0, stderr)
  return [...fs.readFileSync(log, 'utf8').matchAll(/openat\(.*"([^"]+\.[cm]?js)", .* = \d+$/gm)].map(([, path = '']) =>
    relative(root, path),
  )
}

test('info of a raw file opens few files, each once, and none of libraries that it does not need', (t) => {
  if (!have(t, 'strace')) return
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(65536, 7))
  for (const args of [
    ['info', 'a.raw'],
    ['info', 'a.raw', '--json'],
  ]) {
    const files = openedFiles(cwd, args, { VDISK_CODE_CACHE: 'off' })
    assert.ok(files.includes('bin/run.js'), 'nothing was seen')
    assert.ok(files.length <= 25, `${files.length} files:\n${files.join('\n')}`)
    assert.equal(new Set(files).size, files.length, `opened twice:\n${files.join('\n')}`)
    // koffi asks whether another program writes to the file.
    assert.deepEqual(
      files.filter((file) => !/^(bin|dist\/bundle|node_modules\/(koffi|@koromix))\//.test(file)),
      [],
    )
  }
})

test('commands about files load nothing of Node that is for networks or for digests', (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(65536, 7))
  const list = join(cwd, 'list.cjs')
  fs.writeFileSync(
    list,
    "process.on('exit', () => require('fs').writeFileSync('modules', process.moduleLoadList.join('\\n')))",
  )
  const withDigests = process.platform === 'linux' ? /^NativeModule crypto$/gm : /(?!)/
  for (const command of [
    ['info', 'a.raw'],
    ['convert', 'a.raw', 'a.qcow2'],
  ]) {
    const args = ['--require', list, join(root, 'bin/run.js'), ...command, '--json']
    const { status, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    const modules = fs.readFileSync(join(cwd, 'modules'), 'utf8')
    // A pipe to write to is a socket, of `net`.
    assert.match(modules, /NativeModule fs$/m, 'nothing was seen')
    assert.deepEqual(modules.match(/^NativeModule (?:https?2?|_http_\w+|tls|_tls_\w+|dns)$/gm), null)
    assert.deepEqual(modules.match(withDigests), null)
  }
})

test('what a command does not use is not in the files that it opens', (t) => {
  if (!have(t, 'strace')) return
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(65536, 7))
  const bundle = join(root, 'dist/bundle')
  const contents = JSON.parse(fs.readFileSync(join(bundle, 'contents.json'), 'utf8')) as Record<string, string[]>
  /** The modules in the files that a command opens; the parts of common.js only run when they are wanted. */
  const opened = (...args: string[]): string[] =>
    // Without packs, which hold all that was opened once.
    openedFiles(cwd, args, { VDISK_CODE_CACHE: 'off' }).flatMap(
      (file) => contents[relative(bundle, join(root, file))] ?? [],
    )
  const never =
    /chalk|\/table\/dist|\/sax\/lib|mount\/nbd\/transmission|src\/filesystem\/|inspect-page|src\/platforms\//
  const info = opened('info', 'a.raw', '--json')
  assert.ok(info.includes('dist/src/commands/info.js'), 'nothing was seen')
  assert.deepEqual(
    info.filter((module) => never.test(module) || /src\/engine\/copy/.test(module)),
    [],
  )
  const convert = opened('convert', 'a.raw', 'a.qcow2')
  assert.ok(convert.includes('dist/src/commands/convert.js') && convert.some((module) => /qcow2\/write/.test(module)))
  assert.deepEqual(
    convert.filter(
      (module) =>
        never.test(module) ||
        /operations\/resume\/|made-record/.test(module) ||
        /src\/partition\/|operations\/inspect\/|formats\/(?!qcow2)\w+\/(?:\w+\/)?(?:reader|repair|writer)/.test(
          module.replace('formats/raw/', ''),
        ),
    ),
    [],
  )
})

test('built-in commands behave the same whether oclif starts them or not', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), Buffer.alloc(65536, 7))
  fs.writeFileSync(join(cwd, '--json'), Buffer.alloc(512))
  const lines = [
    [],
    ['--version'],
    ['--help'],
    ['help'],
    ['help', 'info'],
    ['help', 'partition', 'list'],
    ['info'],
    ['info', '--help'],
    ['info', 'a.raw', '--help'],
    ['info', '--', '--help'],
    ['info', '-h'],
    ['info', 'a.raw'],
    ['info', 'a.raw', '--json'],
    ['info', 'a.raw', 'a.raw', 'missing.raw'],
    ['info', '--', '--json'],
    ['info', 'a.raw', '--frob'],
    ['info', 'a.raw', '--from'],
    ['info', 'a.raw', '--from', 'frob'],
    ['info', 'missing.raw', '--json'],
    ['info', 'missing.raw', '--debug'],
    ['info:a.raw'],
    ['Info', 'a.raw'],
    ['../commands/info', 'a.raw'],
    ['constructor'],
    ['--json', 'info', 'a.raw'],
    ['partition'],
    ['partition', 'list'],
    ['partition', 'list', 'a.raw'],
    ['partition', 'frob', 'a.raw'],
    ['partition', 'list:a', 'a.raw'],
    ['partition:list', 'a.raw'],
    ['list', 'a.raw'],
    ['mounts', 'frob'],
    ['mounts', '--frob'],
    ['mounts', 'a=b'],
    ['formats', 'qcow2'],
    ['convert', 'a.raw'],
    ['convert', 'a.raw', 'b.vhd', '--to', 'frob'],
    ['create', 'c.raw', '--size', 'nonsense'],
    ['check', 'a.raw', '--json'],
    ['compare', 'a.raw', '--', '--json'],
    ['frob'],
    [''],
  ]
  for (const args of lines) {
    const [direct, oclif] = await Promise.all(
      ['', 'oclif'].map((way) =>
        vdisk(args, { cwd, env: { VDISK_START: way, VDISK_RUNTIME_DIR: cwd, VDISK_CONFIG_DIR: cwd } }),
      ),
    )
    const shown = ({ code, stdout, stderr }: NonNullable<typeof direct>): unknown => ({
      code,
      stdout: stdout.toString().replace(/"seconds": [\d.e-]+|time +[\d.]+ s/, ''),
      // --debug shows where in the program an error arose, and that differs.
      stderr: args.includes('--debug') ? stderr.replace(/^ +at .*\n/gm, '') : stderr,
    })
    assert.deepEqual(shown(direct!), shown(oclif!), args.join(' '))
  }
})

test('a plug-in that imports vdisk has the classes of the program, and nothing is loaded twice', async (t) => {
  const cwd = testFolder(t)
  const plugin = makePlugin(cwd, 'importing', 'return []')
  fs.mkdirSync(join(plugin.root, 'node_modules'))
  fs.symlinkSync(root, join(plugin.root, 'node_modules/vdisk'))
  // The program's own module is the one that its command has loaded; the plug-in looks it up there.
  fs.writeFileSync(
    join(plugin.root, 'hook.js'),
    `import * as imported from 'vdisk'
    import { createRequire } from 'node:module'
    const required = createRequire(import.meta.url)('vdisk')
    export default async function () {
      const objects = (values) => values.filter((value) => typeof value === 'object' && value !== null)
      const files = Object.values(createRequire(import.meta.url).cache).map(({ exports }) => exports)
      const modules = objects(files)
      const parts = objects(files.flatMap((one) => [...(one?.made?.values() ?? [])].map(({ exports }) => exports)))
      const loaded = [...modules, ...parts].flatMap((one) =>
        Object.hasOwn(one, 'ImageError') ? [one.ImageError] : [])
      process.stderr.write([
        loaded.length > 1, loaded.every((one) => one === imported.ImageError),
        required.ImageError === imported.ImageError,
        new imported.ImageError('usage', 'E_X', 'x') instanceof required.ImageError,
      ].join(' '))
      return []
    }`,
  )
  const env = { VDISK_DATA_DIR: installPlugin(cwd, plugin) }
  const { code, stdout, stderr } = await vdisk(['formats', '--json'], { cwd, env })
  assert.equal(code, 0, stderr + stdout.toString())
  assert.equal(stderr, 'true true true true')
})

test('the direct way leaves nothing out: no hook of our own, no alias, nothing out of use', () => {
  const own = createRequire(join(root, 'package.json'))
  const skipped = ['init', 'prerun', 'postrun', 'finally', 'preparse', 'vdisk:formats']
  interface Manifest {
    readonly oclif: { readonly hooks?: object; readonly plugins?: readonly string[] }
  }
  const main = own('./package.json') as Manifest
  for (const name of ['.', ...(main.oclif.plugins ?? [])]) {
    const { oclif } = own(name === '.' ? './package.json' : `./node_modules/${name}/package.json`) as Manifest
    assert.deepEqual(
      Object.keys(oclif.hooks ?? {}).filter((event) => skipped.includes(event)),
      [],
      name,
    )
  }
  const { commands } = own('./oclif.manifest.json') as { commands: Record<string, Record<string, unknown>> }
  for (const [id, { aliases, hiddenAliases, state, deprecationOptions, relativePath }] of Object.entries(commands)) {
    assert.deepEqual(
      { aliases, hiddenAliases, state, deprecationOptions },
      { ...none, aliases: [], hiddenAliases: [] },
      id,
    )
    assert.deepEqual(relativePath, ['dist', 'bundle', 'commands', ...`${id}.js`.split(':')])
  }
})

const none = { state: undefined, deprecationOptions: undefined }
