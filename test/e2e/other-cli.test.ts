import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root } from '../support/cli.js'
import { testFolder } from '../support/folder.js'

test('vdisk is a plug-in of another oclif CLI: its commands, JSON and exit codes are there', (t) => {
  const cwd = testFolder(t)
  const host = join(cwd, 'host')
  fs.mkdirSync(join(host, 'node_modules/@oclif'), { recursive: true })
  // As npm installs it: oclif finds a plug-in's folder by its name.
  const installed = join(host, 'node_modules/vdisk')
  for (const part of ['bin', 'dist/bundle', 'package.json', 'oclif.manifest.json'])
    fs.cpSync(join(root, part), join(installed, part), { recursive: true })
  fs.symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'))
  fs.symlinkSync(join(root, 'node_modules/@oclif/core'), join(host, 'node_modules/@oclif/core'))
  fs.writeFileSync(
    join(host, 'package.json'),
    JSON.stringify({
      name: 'host',
      version: '1.0.0',
      type: 'module',
      dependencies: { vdisk: '*' },
      oclif: { bin: 'host', dirname: 'host', topicSeparator: ' ', plugins: ['vdisk'] },
    }),
  )
  fs.writeFileSync(
    join(host, 'run.js'),
    `import { execute } from '@oclif/core'\nawait execute({ dir: import.meta.url })\n`,
  )
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(host, 'run.js'), ...args], {
      cwd,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: cwd, TERM: 'dumb' },
    })
  fs.copyFileSync(join(root, 'fixtures/partitioned-disk.vhdx'), join(cwd, 'server.vhdx'))
  const converted = run('convert', 'server.vhdx', 'server.qcow2', '--verify')
  assert.equal(converted.status, 0, converted.stderr)
  assert.match(converted.stdout, /^Converted\n[^]*every byte of the disk/)
  const { images } = JSON.parse(run('info', 'server.qcow2', '--json').stdout) as {
    readonly images: readonly { readonly format: string }[]
  }
  assert.equal(images[0]?.format, 'qcow2')
  assert.match(run('partition', 'list', 'server.qcow2').stdout, /EFI System/)
  const missing = run('info', 'missing.vhdx')
  assert.equal(missing.status, 2)
  assert.match(missing.stderr, /^Error: .*missing\.vhdx/)
  assert.match(run('--help').stdout, /convert +Convert an image/)
})
