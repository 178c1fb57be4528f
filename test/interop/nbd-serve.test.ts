import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { startServe } from '../support/nbd.js'
import { assertSchema } from '../support/schemas.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576
const images = [
  { title: 'raw', file: 'disk.raw', flags: [] },
  { title: 'VHD', file: 'disk.vhd', flags: [] },
  { title: 'VHDX', file: 'disk.vhdx', flags: [] },
  { title: 'QCOW2', file: 'disk.qcow2', flags: [] },
  { title: 'compressed QCOW2', file: 'disk.qcow2', flags: ['--compress', 'zlib'] },
] as const

/** A raw disk with content at both ends and a hole between. */
function makeRaw(cwd: string, name: string): string {
  const file = path.join(cwd, name)
  fs.writeFileSync(file, diskLike(9 * mebibyte, 7))
  fs.truncateSync(file, 40 * mebibyte)
  const end = fs.openSync(file, 'r+')
  fs.writeSync(end, diskLike(2 * mebibyte, 8), 0, 2 * mebibyte, 38 * mebibyte)
  fs.closeSync(end)
  return file
}

for (const { title, file, flags } of images) {
  test(`${title}: nbdinfo, nbdcopy, qemu-img and qemu-io read what the image holds`, async (t) => {
    if (!have(t, 'nbdcopy') || !have(t, 'nbdinfo') || !have(t, 'qemu-img')) return
    const cwd = testFolder(t)
    const raw = makeRaw(cwd, 'expected.img')
    assert.equal((await vdisk(['convert', 'expected.img', file, ...flags], { cwd })).code, 0)
    const { uri, process: server, ended } = await startServe(t, cwd, [file, '--persistent'])
    const {
      exports: [info],
    } = JSON.parse(run('nbdinfo', '--json', uri)) as { exports: readonly Record<string, unknown>[] }
    assert.deepEqual(
      [info?.['export-size'], info?.['is_read_only'], info?.['can_multi_conn'], info?.['can_df']],
      [40 * mebibyte, true, true, true],
    )
    const map = JSON.parse(run('nbdinfo', '--map', '--json', uri)) as { offset: number; length: number; type: number }[]
    assert.equal(
      map.reduce((sum, { length }) => sum + length, 0),
      40 * mebibyte,
    )
    // The hole is reported, whatever the format's unit.
    assert.ok(
      map.some(({ offset, length, type }) => type === 3 && offset <= 16 * mebibyte && offset + length >= 32 * mebibyte),
      JSON.stringify(map),
    )
    for (const flag of [[], ['--synchronous', '--connections=1'], ['--request-size=33554432']]) {
      run('nbdcopy', ...flag, uri, path.join(cwd, 'copy.img'))
      assert.ok(fs.readFileSync(path.join(cwd, 'copy.img')).equals(fs.readFileSync(raw)), `nbdcopy ${flag.join(' ')}`)
    }
    assert.match(run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', uri, raw), /identical/)
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', uri, path.join(cwd, 'converted.img'))
    assert.match(
      run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', path.join(cwd, 'converted.img'), raw),
      /identical/,
    )
    assert.throws(() => run('qemu-io', '-f', 'raw', '-c', 'write 0 512', uri), /Permission denied/)
    server.kill('SIGTERM')
    const { code, output } = await ended
    assert.equal(code, 0, output)
    assert.match(output, /everything is written and closed/)
    assert.deepEqual(
      fs.readdirSync(cwd).filter((name) => name.endsWith('.sock')),
      [],
    )
  })
}

/** Also those of several files, and what was not given back there until it is compacted. */
const written = [
  ...images,
  { title: 'VDI', file: 'disk.vdi', flags: [] },
  { title: 'VMDK split', file: 'disk.vmdk', flags: ['--subformat', 'twoGbMaxExtentSparse'] },
] as const

for (const { title, file, flags } of written) {
  test(
    `${title}: qemu-io, nbdcopy and qemu-img write into it; it passes check, and qemu-img reads the ` + 'same',
    async (t) => {
      if (!have(t, 'nbdcopy') || !have(t, 'qemu-io')) return
      const cwd = testFolder(t)
      const raw = makeRaw(cwd, 'expected.img')
      assert.equal((await vdisk(['convert', 'expected.img', file, ...flags], { cwd })).code, 0)
      const { uri, process: server, ended } = await startServe(t, cwd, [file, '--write', '--persistent'])
      const changes = [
        '-c',
        'write -P 17 5000 70000',
        '-c',
        'write -P 18 20M 3M',
        '-c',
        'write -z 1M 1M',
        '-c',
        'write -z -u 38M 1M',
        '-c',
        'discard 2M 128k',
        '-c',
        'write -f -P 19 12345 1',
        '-c',
        'flush',
      ]
      run('qemu-io', '-f', 'raw', ...changes, uri)
      run('qemu-io', '-f', 'raw', ...changes, raw)
      // What was discarded may read as anything in one, and is zero in the other.
      run('qemu-io', '-f', 'raw', '-c', 'write -z 2M 128k', raw)
      assert.match(run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', uri, raw), /identical/)
      // The image is taken: nobody else changes it meanwhile.
      const second = await vdisk(['resize', file, '+1M'], { cwd })
      assert.equal(second.code, 3, second.stderr)
      const other = path.join(cwd, 'other.img')
      fs.writeFileSync(other, diskLike(40 * mebibyte, 99))
      run('nbdcopy', other, uri)
      assert.match(run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', uri, other), /identical/)
      run('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', raw, uri)
      server.kill('SIGINT')
      assert.equal((await ended).code, 0)
      const compared = await vdisk(['compare', file, 'expected.img'], { cwd })
      assert.equal(compared.code, 0, compared.stderr)
      if (file === 'disk.vmdk') assert.equal((await vdisk(['compact', file, '--in-place'], { cwd })).code, 0)
      if (file !== 'disk.raw') {
        const checked = await vdisk(['check', file], { cwd })
        assert.equal(checked.code, 0, checked.stdout.toString())
      }
    },
  )
}

for (const { title, file, flags } of images.slice(1)) {
  test(`${title}: after kill -9 the image has no error, and what was flushed is there`, async (t) => {
    if (!have(t, 'qemu-io')) return
    const cwd = testFolder(t)
    makeRaw(cwd, 'expected.img')
    assert.equal((await vdisk(['convert', 'expected.img', file, ...flags], { cwd })).code, 0)
    const { uri, process: server, ended } = await startServe(t, cwd, [file, '--write', '--persistent'])
    run(
      'qemu-io',
      '-f',
      'raw',
      '-c',
      'write -P 17 15M 9M',
      '-c',
      'discard 4M 2M',
      '-c',
      'flush',
      '-c',
      'write -P 18 30M 3M',
      uri,
    )
    server.kill('SIGKILL')
    await ended
    const checked = await vdisk(['check', file, '--json'], { cwd })
    const { layers } = JSON.parse(checked.stdout.toString()) as {
      layers: readonly { findings: readonly { severity: string }[] }[]
    }
    assert.deepEqual(
      layers.flatMap(({ findings }) => findings).filter(({ severity }) => severity === 'error'),
      [],
    )
    const again = await startServe(t, cwd, [file])
    run('qemu-io', '-r', '-f', 'raw', '-c', 'read -P 17 15M 9M', again.uri)
    assert.equal((await again.ended).code, 0)
  })
}

test('an overlay takes the changes, the image keeps its bytes; several exports; the last client ends it', async (t) => {
  if (!have(t, 'nbdinfo') || !have(t, 'qemu-io')) return
  const cwd = testFolder(t)
  makeRaw(cwd, 'a.img')
  assert.equal((await vdisk(['convert', 'a.img', 'a.vhdx'], { cwd })).code, 0)
  const before = fs.readFileSync(path.join(cwd, 'a.vhdx'))
  const first = await startServe(t, cwd, ['a.vhdx', '--overlay', 'changes.qcow2'])
  run('qemu-io', '-f', 'raw', '-c', 'write -P 17 3M 70000', first.uri)
  const { code, output } = await first.ended
  assert.equal(code, 0)
  assert.match(output, /changes.qcow2, made now/)
  assert.match(output, /Ended with the last client; 1 connection/)
  assert.ok(fs.readFileSync(path.join(cwd, 'a.vhdx')).equals(before))
  assert.match(run('qemu-img', 'check', path.join(cwd, 'changes.qcow2')), /No errors/)
  const both = await startServe(t, cwd, [
    'a.vhdx',
    'changes.qcow2',
    '--tcp',
    '0',
    '--persistent',
    '--allow-reference',
    'a.vhdx',
  ])
  assert.match(both.uris[1] ?? '', /^nbd:\/\/127\.0\.0\.1:\d+\/changes\.qcow2$/)
  const listed = JSON.parse(run('nbdinfo', '--list', '--json', (both.uris[0] ?? '').replace(/[^/]*$/, ''))) as {
    exports: readonly Record<string, unknown>[]
  }
  assert.deepEqual(
    listed.exports.map((one) => one['export-name']),
    ['a.vhdx', 'changes.qcow2'],
  )
  run('qemu-io', '-r', '-f', 'raw', '-c', 'read -P 17 3M 70000', both.uris[1] ?? '')
  assert.match(
    run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', both.uris[0] ?? '', path.join(cwd, 'a.img')),
    /identical/,
  )
  both.process.kill('SIGTERM')
  assert.equal((await both.ended).code, 0)
})

test('serve --json: one document when clients can connect; a dead socket is replaced, a live one is not', async (t) => {
  const cwd = testFolder(t)
  makeRaw(cwd, 'a.img')
  const first = await startServe(t, cwd, ['a.img', '--socket', 's', '--persistent'])
  const refused = await vdisk(['serve', 'a.img', '--socket', 's'], { cwd })
  assert.equal(refused.code, 3, refused.stderr)
  first.process.kill('SIGKILL')
  await first.ended
  assert.ok(fs.existsSync(path.join(cwd, 's')))
  const second = await vdisk(['serve', 'a.img', '--socket', 's', '--json'], {
    cwd,
    onOutput: (_text, child) => void child.kill('SIGTERM'),
  })
  assert.equal(second.code, 0, second.stderr)
  assertSchema('serve', JSON.parse(second.stdout.toString()))
  for (const [flags, code] of [
    [['--tls-cert', 'nothing', '--tls-key', 'a.img'], 2],
    [['--name', 'a', '--name', 'b'], 2],
    [['--socket', 'x'.repeat(200)], 7],
    [['--overlay', 'x', '--write'], 2],
    [['--tcp', '99999'], 2],
  ] as const) {
    const wrong = await vdisk(['serve', 'a.img', ...flags], { cwd })
    assert.equal(wrong.code, code, wrong.stderr)
  }
})
