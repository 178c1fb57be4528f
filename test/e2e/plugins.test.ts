import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { installPlugin, makePlugin, root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { assertGone, mountingMissing, mountPlace } from '../support/mounted.js'

const example = { name: 'vdisk-plugin-hexdisk', root: join(root, 'test/support/example-plugin') }

test('the example plugin adds a format that formats shows and convert reads', async (t) => {
  const cwd = testFolder(t)
  const env = { VDISK_DATA_DIR: installPlugin(cwd, example) }
  const bytes = Buffer.from('A disk of 1024 bytes, written down in hexadecimal.'.padEnd(1024, '.'))
  fs.writeFileSync(join(cwd, 'a.hexdisk'), `HEXDISK1\n${bytes.toString('hex')}\n`)
  const formats = await vdisk(['formats'], { cwd, env })
  assert.equal(formats.code, 0, formats.stderr)
  assert.match(formats.stdout.toString(), /^hexdisk .*vdisk-plugin-hexdisk$/m)
  const converted = await vdisk(['convert', 'a.hexdisk', 'a.raw', '--verify'], { cwd, env })
  assert.equal(converted.code, 0, converted.stderr)
  assert.ok(fs.readFileSync(join(cwd, 'a.raw')).equals(bytes))
  const onwards = await vdisk(['convert', 'a.hexdisk', 'a.qcow2', '--verify', '--threads', '2'], { cwd, env })
  assert.equal(onwards.code, 0, onwards.stderr)
  // Without the plugin the format is not known: its file is named after nothing we know, and so is raw.
  assert.equal((await vdisk(['convert', 'a.hexdisk', 'b.raw', '--from', 'hexdisk'], { cwd })).code, 2)
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
  // Without the plugin it is the name of a file, and there is none.
  assert.equal((await vdisk(['hash', address.slice(0, 100)], { cwd })).code, 2)
})

test('the format of a plugin is mounted like any other', { skip: mountingMissing() ?? false }, async (t) => {
  const place = mountPlace(t)
  const { at, folder, runtime } = place
  const env = { VDISK_DATA_DIR: installPlugin(folder, example), VDISK_RUNTIME_DIR: runtime }
  const bytes = Buffer.from('A disk of 4096 bytes, written down in hexadecimal.'.padEnd(4096, '.'))
  fs.writeFileSync(at('a.hexdisk'), `HEXDISK1\n${bytes.toString('hex')}\n`)
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
