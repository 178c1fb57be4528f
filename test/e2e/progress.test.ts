import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { root, vdisk } from '../support/cli.js'
import { mountingMissing, mountPlace } from '../support/mounted.js'
import { assertSchema } from '../support/schemas.js'
import { scratch } from '../support/tools.js'

/** Commands whose work is short whatever they are given, or belongs to somebody else: their clients, a browser. */
const withoutLongWork: readonly string[] = [
  'autocomplete',
  'backup init',
  'backup list',
  'backup schedule',
  'backup show',
  'chain relink',
  'commands',
  'disks',
  'formats',
  'mounts',
  'platforms',
  'plugins',
  'plugins link',
  'sample',
  'unmount',
  'version',
  'view',
  'which',
]

function phases(stderr: string): string[] {
  const lines = stderr.split('\n').filter((line) => line.startsWith('{'))
  return lines.map((line) => {
    const event: unknown = JSON.parse(line)
    assertSchema('progress', event)
    return (event as { phase: string }).phase
  })
}

test('every command that may take long has --progress', () => {
  const { commands } = JSON.parse(fs.readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
    readonly commands: Readonly<Record<string, { readonly flags: object }>>
  }
  const without = Object.entries(commands).filter(([, { flags }]) => !('progress' in flags))
  assert.deepEqual(without.map(([id]) => id.replace(':', ' ')).sort(), withoutLongWork)
})

/** A QCOW2 image that must be unpacked before it can be looked at. */
function packed(at: (name: string) => string): void {
  fs.writeFileSync(at('disk.raw'), Buffer.alloc(16 * 1048576, 7))
  fs.writeFileSync(at('disk.raw.gz'), gzipSync(fs.readFileSync(at('disk.raw')), { level: 1 }))
}

test('what must be unpacked first says how far that is', async (t) => {
  const at = scratch(t)
  const cwd = at('.')
  packed(at)
  for (const words of [['chain', 'show'], ['map'], ['partition', 'list'], ['info'], ['doctor']]) {
    const { code, stderr } = await vdisk([...words, 'disk.raw.gz', '--progress', 'json'], { cwd })
    assert.ok(code === 0 || words[0] === 'doctor', stderr)
    assert.ok(phases(stderr).includes('unpack'), `${words.join(' ')}: ${stderr}`)
  }
  let ready = false
  const served = await vdisk(['serve', 'disk.raw.gz', '--socket', 's', '--json', '--progress', 'json'], {
    cwd,
    onOutput: (_bytes, child) => {
      // A second signal would end it at once.
      if (!ready) child.kill('SIGTERM')
      ready = true
    },
  })
  assert.equal(served.code, 0, served.stderr)
  assert.ok(phases(served.stderr).includes('unpack'), served.stderr)
})

test(
  'mount says it too, though another process does it',
  { skip: mountingMissing() ?? false },
  async (t: TestContext) => {
    const place = mountPlace(t)
    packed(place.at)
    const { code, stderr } = await place.vdisk('mount', 'disk.raw.gz', '--progress', 'json')
    assert.equal(code, 0, stderr)
    assert.ok(phases(stderr).includes('unpack'), stderr)
    await place.unmount(place.at('disk.raw.gz'))
  },
)

test('npm that runs for a plug-in is shown', async (t) => {
  const cwd = scratch(t)('.')
  const data = join(cwd, 'data')
  const { code, stderr } = await vdisk(['plugins', 'install', join(root, 'plugins/template'), '--progress', 'json'], {
    cwd,
    env: { VDISK_DATA_DIR: data, npm_config_offline: 'true' },
  })
  assert.equal(code, 0, stderr)
  assert.deepEqual(phases(stderr), ['npm', 'npm'])
})
