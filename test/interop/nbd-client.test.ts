import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { root, vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { startPeer, startServe } from '../support/nbd.js'
import { assertSchema } from '../support/schemas.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576

/** 24 MiB with content, zeros that are stored, and a hole, as raw and QCOW2. */
function makeDisk(cwd: string): { raw: string; qcow2: string } {
  const raw = path.join(cwd, 'expected.img')
  fs.writeFileSync(raw, diskLike(7 * mebibyte, 21))
  fs.truncateSync(raw, 24 * mebibyte)
  const end = fs.openSync(raw, 'r+')
  fs.writeSync(end, diskLike(mebibyte, 22), 0, mebibyte, 23 * mebibyte)
  fs.closeSync(end)
  const qcow2 = path.join(cwd, 'disk.qcow2')
  run('qemu-img', 'convert', '-c', '-O', 'qcow2', raw, qcow2)
  return { raw, qcow2 }
}

test('from qemu-nbd: convert, compare, map, hash, info and inspect see the disk', async (t) => {
  if (!have(t, 'qemu-nbd')) return
  const cwd = testFolder(t)
  const { raw, qcow2 } = makeDisk(cwd)
  const socket = path.join(cwd, 'q.sock')
  await startPeer(t, 'qemu-nbd', ['-r', '-t', '-e', '8', '-f', 'qcow2', '-x', 'a disk', '-k', socket, qcow2], socket)
  const uri = `nbd+unix:///a%20disk?socket=${socket}`
  const converted = await vdisk(['convert', uri, 'out.vhdx', '--verify', '--json'], { cwd })
  assert.equal(converted.code, 0, converted.stderr)
  assertSchema('convert', JSON.parse(converted.stdout.toString()))
  assert.match(run('qemu-img', 'compare', raw, path.join(cwd, 'out.vhdx')), /identical/)
  assert.equal((await vdisk(['compare', uri, 'disk.qcow2'], { cwd })).code, 0)
  assert.equal((await vdisk(['compare', uri, 'out.vhdx'], { cwd })).code, 0)
  const mapped = await vdisk(['map', uri, '--json'], { cwd })
  assert.equal(mapped.code, 0, mapped.stderr)
  const { extents } = JSON.parse(mapped.stdout.toString()) as {
    extents: readonly { offset: number; length: number; kind: string }[]
  }
  const theirs = JSON.parse(run('qemu-img', 'map', '--output=json', '-f', 'raw', uri)) as {
    start: number
    length: number
    zero: boolean
  }[]
  assert.deepEqual(
    extents.map(({ offset, length, kind }) => [offset, length, kind === 'hole']),
    theirs.map(({ start, length, zero }) => [start, length, zero]),
  )
  const [ours, plain] = await Promise.all([vdisk(['hash', uri], { cwd }), vdisk(['hash', 'expected.img'], { cwd })])
  assert.equal(ours.stdout.toString().split(' ')[0], plain.stdout.toString().split(' ')[0])
  assert.equal((await vdisk(['hash', uri, '--algorithm', 'tree'], { cwd })).code, 0)
  for (const command of ['info', 'inspect']) assert.equal((await vdisk([command, uri], { cwd })).code, 0, command)
  // It is in no file of this machine.
  assert.doesNotMatch((await vdisk(['info', uri], { cwd })).stdout.toString(), /^\s*File/m)
  assert.equal((await vdisk(['check', uri], { cwd })).code, 0)
  const elsewhere = await vdisk(['resize', uri, '+1M'], { cwd })
  assert.equal(elsewhere.code, 2)
  assert.match(
    elsewhere.stderr,
    /is an export of an NBD server, not an image file[^]*Copy it to a file first: vdisk convert 'nbd/,
  )
  const stream = await vdisk(['convert', uri, '-', '--to', 'qcow2'], { cwd })
  fs.writeFileSync(path.join(cwd, 'piped.qcow2'), stream.stdout)
  assert.match(run('qemu-img', 'compare', raw, path.join(cwd, 'piped.qcow2')), /identical/)
  const wrong = await vdisk(['convert', uri.replace('a%20disk', 'b'), 'x.qcow2'], { cwd })
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /does not give the export b/)
  assert.ok(!fs.existsSync(path.join(cwd, 'x.qcow2')))
})

test('files are listed and read from an export, as from its image', async (t) => {
  if (!have(t, 'qemu-nbd')) return
  const cwd = testFolder(t)
  const image = path.join(root, 'fixtures/partitioned-disk.vhdx')
  const socket = path.join(cwd, 'q.sock')
  await startPeer(t, 'qemu-nbd', ['-r', '-t', '-e', '8', '-f', 'vhdx', '-k', socket, image], socket)
  const uri = `nbd+unix:///?socket=${socket}`
  const [ours, theirs] = await Promise.all([
    vdisk(['ls', '-lR', `${uri}@1:/`], { cwd }),
    vdisk(['ls', '-lR', `${image}@1:/`], { cwd }),
  ])
  assert.deepEqual([ours.code, theirs.code], [0, 0], ours.stderr)
  assert.match(ours.stdout.toString(), /EFI/)
  assert.equal(ours.stdout.toString(), theirs.stdout.toString())
})

test(
  'from nbdkit: no structured replies, no multi-conn, blocks of 4096 bytes, and a disk inside an image ' +
    'inside an export',
  async (t) => {
    if (!have(t, 'nbdkit')) return
    const cwd = testFolder(t)
    const { raw, qcow2 } = makeDisk(cwd)
    const cases: readonly (readonly [name: string, args: readonly string[], flags: readonly string[]])[] = [
      ['simple', ['--no-sr', 'file', raw], []],
      ['alone', ['--filter=multi-conn', '--filter=noextents', 'file', raw, 'multi-conn-mode=disable'], []],
      [
        'blocks',
        [
          '--filter=blocksize-policy',
          'file',
          raw,
          'blocksize-minimum=4096',
          'blocksize-preferred=65536',
          'blocksize-maximum=131072',
          'blocksize-error-policy=error',
        ],
        [],
      ],
      ['image', ['file', qcow2], ['--from', 'qcow2']],
    ]
    for (const [name, args, flags] of cases) {
      const socket = path.join(cwd, `${name}.sock`)
      await startPeer(t, 'nbdkit', ['--foreground', '--readonly', '--unix', socket, ...args], socket)
      const compared = await vdisk(['compare', `nbd+unix:///?socket=${socket}`, 'expected.img', ...flags], { cwd })
      assert.equal(compared.code, 0, `${name}: ${compared.stderr}${compared.stdout.toString()}`)
      const listed = await vdisk(['inspect', `nbd+unix:///?socket=${socket}`, ...flags], { cwd })
      assert.equal(listed.code, 0, `${name}: ${listed.stderr}`)
    }
  },
)

test(
  'onto exports of qemu-nbd, nbdkit and vdisk: zeros announced or written, flushed, verified; refused without ' +
    '--force, when small, and read-only',
  async (t) => {
    if (!have(t, 'qemu-nbd') || !have(t, 'nbdkit')) return
    const cwd = testFolder(t)
    const { raw } = makeDisk(cwd)
    const old = (name: string, length: number): string => {
      const file = path.join(cwd, name)
      fs.writeFileSync(file, diskLike(length, 77))
      return file
    }
    const socket = (name: string): string => path.join(cwd, `${name}.sock`)
    const target = (name: string): string => `nbd+unix:///?socket=${socket(name)}`
    await startPeer(
      t,
      'qemu-nbd',
      ['-t', '-e', '8', '-f', 'raw', '-k', socket('qemu'), old('qemu.img', 24 * mebibyte)],
      socket('qemu'),
    )
    await startPeer(
      t,
      'nbdkit',
      ['--foreground', '--unix', socket('kit'), '--filter=nozero', 'file', old('kit.img', 24 * mebibyte)],
      socket('kit'),
    )
    await startPeer(
      t,
      'nbdkit',
      [
        '--foreground',
        '--unix',
        socket('blocks'),
        '--filter=blocksize-policy',
        'file',
        old('blocks.img', 26 * mebibyte),
        'blocksize-minimum=65536',
        'blocksize-preferred=65536',
        'blocksize-maximum=131072',
        'blocksize-error-policy=error',
      ],
      socket('blocks'),
    )
    const before = fs.readFileSync(path.join(cwd, 'qemu.img'))
    const refused = await vdisk(['convert', 'disk.qcow2', target('qemu')], { cwd })
    assert.equal(refused.code, 7)
    assert.match(refused.stderr, /--force/)
    const dry = await vdisk(['convert', 'disk.qcow2', target('qemu'), '--force', '--dry-run', '--json'], { cwd })
    assert.equal(dry.code, 0, dry.stderr)
    assertSchema('convert', JSON.parse(dry.stdout.toString()))
    assert.ok(fs.readFileSync(path.join(cwd, 'qemu.img')).equals(before))
    for (const name of ['qemu', 'kit', 'blocks']) {
      const written = await vdisk(['convert', 'disk.qcow2', target(name), '--force', '--verify', '--json'], { cwd })
      assert.equal(written.code, 0, `${name}: ${written.stderr}`)
      assertSchema('convert', JSON.parse(written.stdout.toString()))
      const held = fs.readFileSync(path.join(cwd, `${name}.img`))
      assert.ok(held.subarray(0, 24 * mebibyte).equals(fs.readFileSync(raw)), name)
      assert.ok(
        held.subarray(24 * mebibyte).every((byte) => byte === 0),
        name,
      )
    }
    // Ours is empty: nothing to replace.
    assert.equal((await vdisk(['create', 'new.vhdx', '24M'], { cwd })).code, 0)
    const ours = await startServe(t, cwd, ['new.vhdx', '--write'])
    const written = await vdisk(['convert', 'disk.qcow2', ours.uri], { cwd })
    assert.equal(written.code, 0, written.stderr)
    assert.equal((await ours.ended).code, 0)
    assert.equal((await vdisk(['compare', 'new.vhdx', 'disk.qcow2'], { cwd })).code, 0)
    assert.equal((await vdisk(['check', 'new.vhdx'], { cwd })).code, 0)
    assert.equal((await vdisk(['create', 'small.vhdx', '8M'], { cwd })).code, 0)
    const small = await startServe(t, cwd, ['small.vhdx', 'new.vhdx', '--persistent'])
    for (const [at, message] of [
      [0, /reading only/],
      [1, /reading only/],
    ] as const) {
      const wrong = await vdisk(['convert', 'disk.qcow2', small.uris[at] ?? '', '--force'], { cwd })
      assert.equal(wrong.code, 7)
      assert.match(wrong.stderr, message)
    }
    await startPeer(
      t,
      'qemu-nbd',
      ['-t', '-f', 'raw', '-k', socket('small'), old('small.img', mebibyte)],
      socket('small'),
    )
    assert.match(
      (await vdisk(['convert', 'disk.qcow2', target('small'), '--force'], { cwd })).stderr,
      /has 1048576 bytes, and the disk 25165824/,
    )
    for (const flags of [
      ['--to', 'qcow2'],
      ['--parent', 'disk.qcow2'],
    ])
      assert.equal((await vdisk(['convert', 'disk.qcow2', target('qemu'), '--force', ...flags], { cwd })).code, 2)
    assert.equal((await vdisk(['convert', target('qemu'), target('qemu'), '--force'], { cwd })).code, 3)
  },
)

/** An authority and a certificate of it, as libnbd and vdisk take them (--tls-certificates=DIR). */
function makeCertificates(t: TestContext, cwd: string, name: string): string | undefined {
  if (!have(t, 'openssl')) return undefined
  const folder = path.join(cwd, name)
  fs.mkdirSync(folder)
  const at = (file: string): string => path.join(folder, file)
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const
  const openssl = (command: string, ...parameters: readonly string[]): void =>
    void run('openssl', command, ...parameters)
  const authority = ['-keyout', at('ca-key.pem'), '-out', at('ca-cert.pem')]
  openssl('req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=authority ${name}`, ...authority)
  fs.writeFileSync(at('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
  for (const who of ['server', 'client']) {
    const [key, request] = [at(`${who}-key.pem`), at(`${who}.csr`)]
    const subject = `/CN=${who === 'server' ? 'localhost' : who}`
    openssl('req', ...newKey, '-subj', subject, '-keyout', key, '-out', request)
    const signed = ['-CA', at('ca-cert.pem'), '-CAkey', at('ca-key.pem'), '-CAcreateserial', '-days', '2']
    openssl('x509', '-req', '-in', request, ...signed, '-extfile', at('names'), '-out', at(`${who}-cert.pem`))
  }
  return folder
}

test(
  'TLS: libnbd, qemu-img and vdisk with the right certificate; without TLS, with a wrong one or none they ' +
    'are refused',
  async (t) => {
    if (!have(t, 'nbdinfo') || !have(t, 'qemu-img')) return
    const cwd = testFolder(t)
    const { raw } = makeDisk(cwd)
    const [right, wrong] = [makeCertificates(t, cwd, 'right'), makeCertificates(t, cwd, 'wrong')]
    if (right === undefined || wrong === undefined) return
    const tls = [
      '--tls-cert',
      `${right}/server-cert.pem`,
      '--tls-key',
      `${right}/server-key.pem`,
      '--tls-ca',
      `${right}/ca-cert.pem`,
    ]
    const {
      uri,
      ended,
      process: server,
    } = await startServe(t, cwd, ['disk.qcow2', '--tcp', 'localhost:0', '--persistent', ...tls])
    assert.match(uri, /^nbds:\/\/localhost:\d+\/$/)
    const port = /:(\d+)\//.exec(uri)?.[1] ?? ''
    assert.equal(run('nbdinfo', '--size', `${uri}?tls-certificates=${right}`).trim(), String(24 * mebibyte))
    run('nbdcopy', `${uri}?tls-certificates=${right}`, path.join(cwd, 'copy.img'))
    assert.ok(fs.readFileSync(path.join(cwd, 'copy.img')).equals(fs.readFileSync(raw)))
    run(
      'qemu-img',
      'convert',
      '--object',
      `tls-creds-x509,id=tls,endpoint=client,dir=${right}`,
      '--image-opts',
      `driver=nbd,host=localhost,port=${port},tls-creds=tls`,
      '-O',
      'raw',
      path.join(cwd, 'qemu.img'),
    )
    assert.match(run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', path.join(cwd, 'qemu.img'), raw), /identical/)
    const ours = await vdisk(['compare', `${uri}?tls-certificates=${right}`, 'expected.img'], { cwd })
    assert.equal(ours.code, 0, ours.stderr)
    // A client of another authority, one without a certificate, one that does not trust the server, and one without
    // TLS.
    assert.throws(() => run('nbdinfo', '--size', `${uri}?tls-certificates=${wrong}`))
    fs.mkdirSync(path.join(cwd, 'mixed'))
    fs.copyFileSync(`${right}/ca-cert.pem`, path.join(cwd, 'mixed/ca-cert.pem'))
    const anonymous = `${uri}?tls-certificates=${path.join(cwd, 'mixed')}`
    assert.throws(() => run('nbdinfo', '--size', anonymous))
    for (const file of ['client-cert.pem', 'client-key.pem'])
      fs.copyFileSync(path.join(wrong, file), path.join(cwd, 'mixed', file))
    assert.throws(() => run('nbdinfo', '--size', anonymous))
    for (const refused of [anonymous, `${uri}?tls-certificates=${wrong}`, uri]) {
      const { code } = await vdisk(['compare', refused, 'expected.img'], { cwd })
      assert.ok(code === 4 || code === 5, `${refused}: ${code}`)
    }
    assert.throws(() => run('nbdinfo', '--size', uri.replace('nbds:', 'nbd:')), /TLS/i)
    const plain = await vdisk(['compare', uri.replace('nbds:', 'nbd:'), 'expected.img'], { cwd })
    assert.equal(plain.code, 5)
    assert.match(plain.stderr, /nbds:\/\//)
    // It is still there for those who may.
    assert.equal(run('nbdinfo', '--size', `${uri}?tls-certificates=${right}`).trim(), String(24 * mebibyte))
    server.kill('SIGTERM')
    assert.equal((await ended).code, 0)
  },
)

test('a socket and an export with a plus, a space and a percent sign in their names', async (t) => {
  if (!have(t, 'qemu-nbd')) return
  const cwd = testFolder(t)
  const { raw, qcow2 } = makeDisk(cwd)
  const socket = path.join(cwd, 'a+b %c.sock')
  await startPeer(t, 'qemu-nbd', ['-r', '-t', '-e', '4', '-f', 'qcow2', '-x', 'x+y/../z', '-k', socket, qcow2], socket)
  const written = socket.replaceAll('%', '%25').replaceAll(' ', '%20')
  const uri = `nbd+unix:///x+y/../z?socket=${written}`
  const compared = await vdisk(['compare', uri, raw], { cwd })
  assert.equal(compared.code, 0, compared.stderr)
  const other = await vdisk(['compare', `nbd+unix:///z?socket=${written}`, raw], { cwd })
  assert.notEqual(other.code, 0)
})
