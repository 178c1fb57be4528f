import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { isInstalled, run, runIn, scratch } from '../support/tools.js'

interface Manifest {
  readonly commands: Readonly<Record<string, { readonly id: string; readonly hidden?: boolean }>>
}

const { commands } = JSON.parse(fs.readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as Manifest
const pages = Object.values(commands)
  .filter(({ hidden }) => hidden !== true)
  .map(({ id }) => `vdisk-${id.replaceAll(':', '-')}.1`)
  .concat('vdisk.1')
  .sort()

const missing = (...programs: readonly string[]): string | undefined => {
  const absent = programs.find((program) => !isInstalled(program))
  return absent === undefined ? undefined : skipReason(`${absent} is not installed`)
}

test('every command has a manual page', { skip: missing('groff') }, (t) => {
  const at = scratch(t)
  run(process.execPath, join(root, 'packaging/man-pages.js'), at('man'))
  assert.deepEqual(fs.readdirSync(at('man')).sort(), pages)
  for (const page of pages) {
    const shown = run('groff', '-ww', '-man', '-Tutf8', '-P-cbou', at(`man/${page}`))
    for (const heading of ['NAME', 'SYNOPSIS', 'EXIT STATUS', 'SEE ALSO']) assert.match(shown, new RegExp(heading))
  }
})

test('the npm package holds the program, its declarations and its manual, and no more', () => {
  const [packed] = JSON.parse(runIn(root, 'npm', 'pack', '--dry-run', '--json', '--ignore-scripts')) as readonly [
    { readonly files: readonly { readonly path: string }[]; readonly unpackedSize: number },
  ]
  const others = packed.files
    .map(({ path }) => path)
    .filter((path) => !/^(bin|dist\/bundle|dist\/types(-commonjs)?|docs|samples)\//.test(path))
  const top = ['CHANGELOG.md', 'LICENSE', 'README.md', 'oclif.manifest.json', 'package.json']
  assert.deepEqual(others.sort(), top)
  // Users wait for these bytes when they install it.
  assert.ok(packed.unpackedSize < 8_000_000, `${packed.unpackedSize} bytes`)
})

test('the Debian package runs where it is unpacked', { skip: missing('dpkg-deb', 'gzip') }, (t) => {
  const at = scratch(t)
  const path = run(process.execPath, join(root, 'packaging/debian.js'), at('packages')).trim()
  assert.match(run('dpkg-deb', '--field', path), /^Package: vdisk$[^]*^Depends: nodejs/m)
  run('dpkg-deb', '--extract', path, at('system'))
  const share = at('system/usr/share')
  assert.deepEqual(
    fs.readdirSync(join(share, 'man/man1')).sort(),
    pages.map((page) => `${page}.gz`),
  )
  for (const completion of [
    'bash-completion/completions/vdisk',
    'zsh/vendor-completions/_vdisk',
    'fish/vendor_completions.d/vdisk.fish',
  ])
    assert.match(fs.readFileSync(join(share, completion), 'utf8'), /convert/)
  const vdisk = at('system/usr/bin/vdisk')
  const source = join(root, 'fixtures/partitioned-disk.vhdx')
  runIn(at('.'), vdisk, 'convert', source, 'disk.qcow2', '--verify', '--compress', 'zstd')
  assert.match(runIn(at('.'), vdisk, 'compare', source, 'disk.qcow2'), /same|equal/i)
  assert.match(runIn(at('.'), vdisk, 'convert', '--help'), /USAGE/)
})
