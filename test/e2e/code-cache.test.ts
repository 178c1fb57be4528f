import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { root } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

/** An installation of its own, without a cache, and a small image in it. */
function installation(t: TestContext): { folder: string; run: (...args: string[]) => string; caches: () => string[] } {
  const folder = testFolder(t)
  for (const name of ['bin', 'package.json', 'oclif.manifest.json'])
    fs.cpSync(join(root, name), join(folder, name), { recursive: true })
  fs.cpSync(join(root, 'dist/bundle'), join(folder, 'dist/bundle'), {
    recursive: true,
    filter: (path) => !path.endsWith('code-cache'),
  })
  fs.symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  fs.writeFileSync(join(folder, 'a.raw'), Buffer.alloc(65536, 7))
  const cache = join(folder, 'dist/bundle/code-cache')
  return {
    folder,
    run(...args) {
      const [mode = '', ...rest] = args
      const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'bin/run.js'), ...rest], {
        cwd: folder,
        encoding: 'utf8',
        env: {
          PATH: process.env['PATH'] ?? '',
          HOME: folder,
          VDISK_DATA_DIR: join(folder, 'none'),
          VDISK_CODE_CACHE: mode,
        },
      })
      assert.equal(status, 0, stderr)
      assert.equal(stderr, '')
      return stdout
    },
    caches: () => (fs.existsSync(cache) ? fs.readdirSync(cache).map((name) => join(cache, name)) : []),
  }
}

/** The names of files, and what changes when one is written anew. */
const states = (files: readonly string[]): string[] =>
  files.map((file) => `${file} ${fs.statSync(file, { bigint: true }).ino}`)

test('the first two runs of a command keep what they have compiled, and the next only reads that', (t) => {
  const { run, caches } = installation(t)
  const first = run('', 'info', 'a.raw')
  // The pack, and what is compiled of it, which the second run does.
  assert.deepEqual(
    caches().map((file) => file.replace(/^.*[-/]/, '')),
    ['info.js', 'info.bin'],
  )
  assert.equal(run('', 'info', 'a.raw'), first)
  const before = states(caches())
  assert.equal(run('', 'info', 'a.raw'), first)
  assert.deepEqual(states(caches()), before)
  run('', 'hash', 'a.raw')
  assert.equal(caches().length, 4)
  // Words that are no command make no file of their own.
  run('', '--version')
  run('', '--help')
  assert.equal(caches().length, 5)
})

test('a run opens the pack instead of its files, and goes on without one that does not fit', (t) => {
  if (!have(t, 'strace')) return
  const { folder, run, caches } = installation(t)
  const first = run('', 'info', 'a.raw')
  run('', 'info', 'a.raw')
  /** The files of the bundle that a run opens. */
  const opened = (): string[] => {
    const log = join(folder, 'opened')
    const command = [process.execPath, join(folder, 'bin/run.js'), 'info', 'a.raw']
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder, VDISK_DATA_DIR: join(folder, 'none') }
    const args = ['-f', '-qq', '-e', 'trace=openat', '-o', log, ...command]
    const { status, stdout } = spawnSync('strace', args, { cwd: folder, encoding: 'utf8', env })
    assert.equal(status, 0)
    assert.equal(stdout, first)
    return [...fs.readFileSync(log, 'latin1').matchAll(/"[^"]*\/dist\/bundle\/([^"]+\.js)", .* = \d+$/gm)].map(
      ([, name = '']) => name,
    )
  }
  assert.deepEqual(opened(), ['code-cache/info.js'])
  const pack = caches().find((file) => file.endsWith('info.js')) ?? ''
  const text = fs.readFileSync(pack, 'latin1')
  const damaged = ['', '//[]\n({})', text.replace('Raw disk image', 'New disk image')]
  for (const other of damaged) {
    fs.writeFileSync(pack, other, 'latin1')
    // It is made anew, and then compiled.
    for (let run = 0; run < 3; run++) opened()
    assert.deepEqual(opened(), ['code-cache/info.js'], other.slice(0, 20))
  }
})

test('a pack that an odd run has made, of few files, is made anew by the next', (t) => {
  const { run, caches } = installation(t)
  const holdsCommand = (): boolean =>
    fs.readFileSync(caches().find((file) => file.endsWith('.js')) ?? '', 'latin1').includes('"commands/info.js":')
  run('', 'info', '-h')
  assert.equal(holdsCommand(), false)
  run('', 'info', 'a.raw')
  assert.equal(holdsCommand(), true)
})

test('what a run of much data has compiled counts for the next run too', (t) => {
  const { folder, run } = installation(t)
  fs.truncateSync(join(folder, 'a.raw'), 128 * 1024 * 1024)
  run('', 'convert', 'a.raw', 'a.qcow2')
  // V8 works with other flags while much is copied; it refuses what was compiled with others than it has.
  const watch = join(folder, 'watch.cjs')
  fs.writeFileSync(
    watch,
    `const vm = require('node:vm')
    const { Script } = vm
    const refused = []
    vm.Script = class extends Script {
      constructor(text, options) {
        super(text, options)
        if (this.cachedDataRejected) refused.push(options.filename)
      }
    }
    process.on('exit', () => require('node:fs').writeFileSync('refused', refused.join('\\n')))`,
  )
  fs.truncateSync(join(folder, 'a.raw'), 1024 * 1024)
  const { status, stderr } = spawnSync(
    process.execPath,
    ['-r', watch, join(folder, 'bin/run.js'), 'convert', 'a.raw', 'a.qcow2', '--force'],
    { cwd: folder, encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '', HOME: folder } },
  )
  assert.equal(status, 0, stderr)
  assert.equal(fs.readFileSync(join(folder, 'refused'), 'utf8'), '')
})

test('VDISK_CODE_CACHE=off writes nothing', (t) => {
  const { run, caches } = installation(t)
  run('off', 'info', 'a.raw')
  assert.deepEqual(caches(), [])
})

test('an installation that cannot be written works', (t) => {
  const { folder, run, caches } = installation(t)
  // In place of the folder, which root could always write to.
  fs.writeFileSync(join(folder, 'dist/bundle/code-cache'), '')
  assert.match(run('', 'info', 'a.raw'), /Raw disk image/)
  fs.rmSync(join(folder, 'dist/bundle/code-cache'))
  assert.deepEqual(caches(), [])
})

test('nobody but the owner of the installation writes in it', (t) => {
  if (process.getuid?.() !== 0) {
    t.skip('needs root: a folder that belongs to somebody else')
    return
  }
  const { folder, run, caches } = installation(t)
  fs.chownSync(join(folder, 'dist/bundle'), 12345, 12345)
  run('', 'info', 'a.raw')
  assert.deepEqual(caches(), [])
})

test('what was compiled from another file is not run', (t) => {
  const { folder, run } = installation(t)
  run('', 'info', 'a.raw')
  // Of the same length: V8 itself would take the old code for it.
  const bundle = join(folder, 'dist/bundle')
  const files = fs.readdirSync(bundle, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'))
  const changed = files.filter((name) => {
    const text = fs.readFileSync(join(bundle, name), 'utf8')
    if (!text.includes('Raw disk image')) return false
    fs.writeFileSync(join(bundle, name), text.replaceAll('Raw disk image', 'New disk image'))
    return true
  })
  assert.ok(changed.length > 0)
  assert.match(run('', 'info', 'a.raw'), /New disk image/)
  assert.match(run('', 'info', 'a.raw'), /New disk image/)
})

test('a cache that is no cache is made anew', (t) => {
  const { run, caches } = installation(t)
  const shown = run('', 'info', 'a.raw')
  const entry = '{"cli/program.js":[65536,100,1,1]}'
  for (const text of ['', 'x', '{}', entry, `{"entries":${entry},"parts":{"cli/program.js":[1,1]}}`]) {
    const cache = caches().find((file) => file.endsWith('.bin')) ?? ''
    fs.writeFileSync(cache, text)
    assert.equal(run('', 'info', 'a.raw'), shown)
    assert.ok(fs.statSync(cache).size > 65536)
  }
})
