import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { installPlugin, makePlugin, root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'
import { haveAll } from '../support/volumes.js'
import { assertGone, mountingMissing, mountPlace } from '../support/mounted.js'

const example = { name: 'vdisk-plugin-hexdisk', root: join(root, 'plugins/template') }

/** A disk that is data, zeros and repetition. */
function exampleDisk(): Buffer {
  const disk = Buffer.alloc(40 * 65536 + 512)
  for (let block = 0; block < 40; block += 3) disk.fill(`block ${block} `, block * 65536, (block + 1) * 65536)
  randomFillSync(disk, 65536, 65536)
  disk.write('the end', disk.length - 7)
  return disk
}

test('the example plug-in adds a format that is written and read like any other', async (t) => {
  const cwd = testFolder(t)
  const env = { VDISK_DATA_DIR: installPlugin(cwd, example) }
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await vdisk(args, { cwd, env })
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return stdout.toString()
  }
  const disk = exampleDisk()
  fs.writeFileSync(join(cwd, 'a.raw'), disk)
  assert.match(await run('formats', '--verbose'), /^hexdisk .*yes .*brotli .*vdisk-plugin-hexdisk$/m)

  await run('convert', 'a.raw', 'plain.hexdisk', '--verify')
  const plain = fs.readFileSync(join(cwd, 'plain.hexdisk'))
  assert.equal(plain.toString('latin1', 0, 25), `HEXDISK1 ${disk.length.toString(16).padStart(16, '0')}`)
  await run('convert', 'plain.hexdisk', 'back.raw', '--verify', '--threads', '2')
  assert.ok(fs.readFileSync(join(cwd, 'back.raw')).equals(disk))

  for (const [name, args] of [
    ['by-flag', ['--compress', 'brotli']],
    ['by-option', ['-o', 'compress=brotli', '--threads', '0']],
  ] as const) {
    await run('convert', 'a.raw', `${name}.hexdisk`, '--verify', ...args)
    const packed = fs.readFileSync(join(cwd, `${name}.hexdisk`))
    assert.ok(packed.length < plain.length / 4, `${packed.length} bytes compressed, ${plain.length} not`)
    await run('convert', `${name}.hexdisk`, `${name}.raw`, '--threads', '2')
    assert.ok(fs.readFileSync(join(cwd, `${name}.raw`)).equals(disk))
    await run('compare', `${name}.hexdisk`, 'plain.hexdisk')
  }
  assert.match(await run('info', 'by-flag.hexdisk', '--headers'), /capacity/)

  // Without the plug-in the format is not known.
  assert.equal((await vdisk(['convert', 'plain.hexdisk', 'b.raw', '--from', 'hexdisk'], { cwd })).code, 2)
})

test('what the example plug-in finds damaged is reported as of any format', async (t) => {
  const cwd = testFolder(t)
  const env = { VDISK_DATA_DIR: installPlugin(cwd, example) }
  fs.writeFileSync(join(cwd, 'a.raw'), exampleDisk())
  const args = ['convert', 'a.raw', 'a.hexdisk', '--compress', 'brotli']
  assert.equal((await vdisk(args, { cwd, env })).code, 0)
  const good = fs.readFileSync(join(cwd, 'a.hexdisk'))
  const position = parseInt(good.toString('latin1', 64, 80), 16)
  const cases: [string, (bytes: Buffer) => Buffer, string][] = [
    ['a letter in the table', (bytes) => (bytes.write('x', 64), bytes), 'E_HEADER'],
    ['a table behind the end', (bytes) => bytes.subarray(0, 100), 'E_HEADER'],
    ['a block behind the end', (bytes) => (bytes.write('f', 64 + 8), bytes), 'E_HEADER'],
    [
      'another byte in a compressed block',
      (bytes) => (bytes.fill(0xff, position, position + 4), bytes),
      'E_COMPRESSED',
    ],
  ]
  for (const [what, change, code] of cases) {
    fs.writeFileSync(join(cwd, 'bad.hexdisk'), change(Buffer.from(good)))
    for (const threads of ['0', '2']) {
      const result = await vdisk(['convert', 'bad.hexdisk', 'out.raw', '--json', '--threads', threads], { cwd, env })
      assert.equal(result.code, 4, `${what}: ${result.stdout.toString()}${result.stderr}`)
      assert.match(result.stdout.toString(), new RegExp(code), what)
      assert.ok(!fs.existsSync(join(cwd, 'out.raw')))
    }
  }
})

test('the example plugin adds a scheme: its addresses are read like files, and never written', async (t) => {
  const cwd = testFolder(t)
  const env = { VDISK_DATA_DIR: installPlugin(cwd, example) }
  const bytes = Buffer.from('A disk of 512 bytes in its own address.'.padEnd(512, '.'))
  const address = `hexdata:${bytes.toString('hex')}`
  const converted = await vdisk(['convert', address, 'a.qcow2', '--verify'], { cwd, env })
  assert.equal(converted.code, 0, converted.stderr)
  assert.equal((await vdisk(['compare', address, 'a.qcow2'], { cwd, env })).code, 0)
  const target = await vdisk(['convert', 'a.qcow2', address], { cwd, env })
  assert.equal(target.code, 2)
  assert.match(target.stderr, /a disk in its own address, which is only read/)
  const odd = await vdisk(['hash', 'hexdata:123'], { cwd, env })
  assert.equal(odd.code, 2)
  assert.match(odd.stderr, /hexdata:123 is not hexdata: and pairs/)
  // Without the plugin it is the name of a file, and there is none.
  assert.equal((await vdisk(['hash', address.slice(0, 100)], { cwd })).code, 2)
})

test('the format of a plugin is mounted like any other', { skip: mountingMissing() ?? false }, async (t) => {
  const place = mountPlace(t)
  const { at, folder, runtime } = place
  const env = { VDISK_DATA_DIR: installPlugin(folder, example), VDISK_RUNTIME_DIR: runtime }
  const bytes = exampleDisk()
  fs.writeFileSync(at('a.raw'), bytes)
  const made = await vdisk(['convert', 'a.raw', 'a.hexdisk', '--compress', 'brotli'], { cwd: folder, env })
  assert.equal(made.code, 0, made.stderr)
  const mounted = await vdisk(['mount', 'a.hexdisk', '--json'], { cwd: folder, env })
  assert.equal(mounted.code, 0, mounted.stdout.toString() + mounted.stderr)
  const { session } = JSON.parse(mounted.stdout.toString()) as { session: { folder: string; format: string } }
  assert.equal(session.format, 'hexdisk')
  assert.ok(fs.readFileSync(join(session.folder, 'disk.img')).equals(bytes))
  assert.equal((await vdisk(['unmount', 'a.hexdisk'], { cwd: folder, env })).code, 0)
  await assertGone(place)
})

test('plugins that do not fit are refused by name', async (t) => {
  const cwd = testFolder(t)
  const cases: [string, string, RegExp][] = [
    ['old-contract', 'return [{ ...toy, apiVersion: 2 }]', /E_PLUGIN_API_VERSION/],
    ['taken-id', 'return [{ ...toy, id: "qcow2" }]', /E_PLUGIN_ID_TAKEN/],
    ['no-list', 'return toy', /E_PLUGIN_DRIVER/],
    ['no-probe', 'return [{ ...toy, probe: 1 }]', /E_PLUGIN_DRIVER/],
    ['throws', 'throw new Error("broken inside")', /E_PLUGIN_FAILED/],
  ]
  for (const [name, body, code] of cases) {
    const env = { VDISK_DATA_DIR: installPlugin(cwd, makePlugin(cwd, name, body)) }
    const result = await vdisk(['formats', '--json'], { cwd, env })
    assert.equal(result.code, 5, `${name}: ${result.stderr}`)
    assert.match(result.stdout.toString(), code)
    assert.match(result.stdout.toString(), new RegExp(name))
  }
})

interface Changes {
  readonly changes: readonly { readonly name: string; readonly action: string; readonly version?: string }[]
}

/** Runs vdisk with a data folder of its own; npm has no network. */
function pluginRunner(cwd: string) {
  const env = { VDISK_DATA_DIR: join(cwd, "the user's data"), npm_config_offline: 'true', HOME: cwd }
  const run = (...args: string[]) => vdisk(args, { cwd, env })
  const change = async (...args: string[]): Promise<Changes['changes']> => {
    const { code, stdout, stderr } = await run('plugins', ...args, '--json')
    assert.equal(code, 0, stdout.toString() + stderr)
    const document: unknown = JSON.parse(stdout.toString())
    assertSchema('plugins-change', document)
    return (document as Changes).changes
  }
  return { run, change, data: env.VDISK_DATA_DIR }
}

test('a plug-in copied from plugins/template is installed, listed, updated and uninstalled', async (t) => {
  if (!haveAll(t, 'npm')) return
  const cwd = testFolder(t)
  const { run, change, data } = pluginRunner(cwd)
  // As docs/extending.md says it.
  fs.cpSync(example.root, join(cwd, 'my-plugin'), { recursive: true })
  const manifest = join(cwd, 'my-plugin/package.json')
  const own = { ...(JSON.parse(fs.readFileSync(manifest, 'utf8')) as object), name: 'vdisk-plugin-mine' }
  fs.writeFileSync(manifest, JSON.stringify({ ...own, version: '1.0.0' }))
  assert.match((await run('plugins')).stdout.toString(), /^No plug-in is installed/)
  assert.deepEqual(await change('install', './my-plugin'), [
    { name: 'vdisk-plugin-mine', action: 'installed', version: '1.0.0' },
  ])
  assert.match((await run('formats', '--verbose')).stdout.toString(), /^hexdisk .*vdisk-plugin-mine$/m)
  const listed: unknown = JSON.parse((await run('plugins', '--json')).stdout.toString())
  assertSchema('plugins', listed)
  fs.writeFileSync(manifest, JSON.stringify({ ...own, version: '1.1.0' }))
  assert.deepEqual(await change('update'), [
    { name: 'vdisk-plugin-mine', action: 'updated', version: '1.1.0', before: '1.0.0' },
  ])
  assert.deepEqual(await change('uninstall', 'vdisk-plugin-mine'), [
    { name: 'vdisk-plugin-mine', action: 'uninstalled', version: '1.1.0' },
  ])
  // As if none had ever been there: vdisk starts without looking for plug-ins.
  assert.ok(!fs.existsSync(join(data, 'package.json')))
})

test('a plug-in in an archive is installed again and updated, wherever its data folder is', async (t) => {
  if (!haveAll(t, 'npm', 'tar')) return
  const cwd = testFolder(t)
  const { change } = pluginRunner(cwd)
  const pack = (version: string): void => {
    fs.cpSync(example.root, join(cwd, 'package'), { recursive: true })
    const manifest = join(cwd, 'package/package.json')
    const own = JSON.parse(fs.readFileSync(manifest, 'utf8')) as object
    fs.writeFileSync(manifest, JSON.stringify({ ...own, name: 'vdisk-plugin-mine', version }))
    execFileSync('tar', ['-czf', 'mine.tgz', 'package'], { cwd })
    fs.rmSync(join(cwd, 'package'), { recursive: true })
  }
  pack('1.0.0')
  for (const spec of ['./mine.tgz', 'mine.tgz'])
    assert.deepEqual(await change('install', spec), [
      { name: 'vdisk-plugin-mine', action: 'installed', version: '1.0.0' },
    ])
  pack('1.1.0')
  assert.deepEqual(await change('update'), [
    { name: 'vdisk-plugin-mine', action: 'updated', version: '1.1.0', before: '1.0.0' },
  ])
})

test('a linked plug-in is used from its folder; where that is gone, one line says what to do', async (t) => {
  const cwd = testFolder(t)
  const { run, change } = pluginRunner(cwd)
  const { root: folder, name } = makePlugin(cwd, 'linked', 'return [toy]')
  assert.deepEqual(await change('link', folder), [{ name, action: 'linked', version: '1.0.0' }])
  const listed = await run('formats', '--verbose')
  assert.match(listed.stdout.toString(), /linked$/m)
  assert.equal(listed.stderr, '')
  fs.renameSync(folder, join(cwd, 'elsewhere'))
  const gone = await run('formats')
  assert.equal(gone.code, 0)
  assert.match(gone.stderr, /^Warning: a plug-in cannot be loaded: .*vdisk plugins uninstall NAME.*\n$/)
  assert.match((await run('plugins')).stderr, /^linked cannot be loaded from .*no package in its folder$/m)
  assert.equal((await change('uninstall', name))[0]?.action, 'uninstalled')
  assert.equal((await run('formats')).stderr, '')
  assert.ok(fs.existsSync(join(cwd, 'elsewhere/hook.js')), 'the folder stays')
})

test('a plug-in that ends every command is still listed and uninstalled', async (t) => {
  const cwd = testFolder(t)
  const { run, change } = pluginRunner(cwd)
  const { root: folder, name } = makePlugin(cwd, 'broken', 'throw new Error("broken inside")')
  await change('link', folder)
  const failed = await run('formats')
  assert.equal(failed.code, 5)
  const [, advised = ''] = /vdisk (plugins uninstall \S+)/.exec(failed.stderr) ?? []
  assert.equal(advised, `plugins uninstall ${name}`, failed.stderr)
  assert.match((await run('plugins')).stdout.toString(), /^broken /m)
  await change(...advised.split(' ').slice(1))
  assert.equal((await run('formats')).code, 0)
})

test('what is no plug-in is refused by name, and leaves nothing behind', async (t) => {
  const cwd = testFolder(t)
  const { run, data } = pluginRunner(cwd)
  const refused = async (code: string, exit: number, ...args: string[]): Promise<string> => {
    const result = await run('plugins', ...args, '--json')
    const document = JSON.parse(result.stdout.toString()) as { readonly code: string; readonly hint: string }
    assert.equal(document.code, code, args.join(' '))
    assert.equal(result.code, exit)
    return document.hint
  }
  fs.mkdirSync(join(cwd, 'plain'))
  fs.writeFileSync(join(cwd, 'plain/package.json'), JSON.stringify({ name: 'plain', version: '1.0.0' }))
  await refused('E_NOT_A_PLUGIN', 2, 'link', 'plain')
  await refused('E_NOT_A_PLUGIN', 2, 'link', 'nowhere')
  await refused('E_NOT_FOUND', 2, 'install', './nowhere')
  assert.match(await refused('E_NO_PLUGIN', 2, 'uninstall', 'x'), /None is installed/)
  await refused('E_NO_PLUGIN', 2, 'update', 'x')
  if (haveAll(t, 'npm')) {
    await refused('E_NOT_A_PLUGIN', 2, 'install', './plain')
    await refused('E_TOOL', 5, 'install', 'a-name-that-is-not-cached-anywhere')
  }
  assert.ok(!fs.existsSync(join(data, 'package.json')))
  fs.mkdirSync(data, { recursive: true })
  fs.writeFileSync(join(data, 'package.json'), '{ "oclif": ')
  await refused('E_PLUGIN_LIST', 4)
  // A command that needs no plug-in goes on, and says what is wrong in a line.
  fs.writeFileSync(join(cwd, 'disk.raw'), Buffer.alloc(65536))
  const goesOn = async (): Promise<void> => {
    const { code, stderr } = await run('info', 'disk.raw', '--from', 'raw')
    assert.equal(code, 0, stderr)
    assert.match(stderr, /^Warning: no plug-in is loaded, since their list cannot be read: .*"vdisk plugins" n/m)
    assert.equal(stderr.match(/their list cannot be read/g)?.length, 1)
  }
  await goesOn()
  fs.rmSync(join(data, 'package.json'))
  fs.mkdirSync(join(data, 'package.json'))
  await goesOn()
  await refused('E_PLUGIN_LIST', 4)
})

test('without npm: what would be run', async (t) => {
  const cwd = testFolder(t)
  const answer = await vdisk(['plugins', 'install', '@scope/vdisk-plugin@1.2'], {
    cwd,
    env: { VDISK_DATA_DIR: join(cwd, 'data'), PATH: cwd },
  })
  assert.equal(answer.code, 5)
  assert.match(
    answer.stderr,
    /npm cannot be started[^]*npm install --prefix \S+\/data .*-- @scope\/vdisk-plugin@1\.2$/m,
  )
})
