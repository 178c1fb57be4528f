import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { vdisk, type CliResult } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { layerOf, layerType, ociLayout } from '../support/oci-layers.js'
import { ociRegistry, registryMissing } from '../support/oci-registry.js'
import { OciServer, digestOf, password, user, refuse } from '../support/oci-server.js'
import { isInstalled, run } from '../support/tools.js'
import { skipReason } from '../support/complete.js'

const mebibyte = 1048576
const noQemu = isInstalled('qemu-img') ? undefined : skipReason('qemu-img is not installed')
const empty = new Uint8Array(0)

const digest = ({ code, stdout, stderr }: CliResult): string => {
  assert.equal(code, 0, stderr)
  return stdout.toString().split(' ')[0] ?? ''
}

function is({ code, stdout, stderr }: CliResult, expected: number, message: RegExp): void {
  assert.equal(code, expected, stderr + stdout.toString())
  assert.match(stderr + stdout.toString(), message)
  assert.doesNotMatch(stderr + stdout.toString(), new RegExp(`${password}|Bearer|Basic `))
}

test(
  'oci: what skopeo pushes to a registry is read, compressed or not',
  { skip: registryMissing() ?? noQemu },
  async (t) => {
    const cwd = testFolder(t)
    const raw = Buffer.concat([diskLike(5 * mebibyte, 3), Buffer.alloc(20 * mebibyte), diskLike(mebibyte, 4)])
    fs.writeFileSync(join(cwd, 'disk.raw'), raw)
    run('qemu-img', 'convert', '-O', 'qcow2', join(cwd, 'disk.raw'), join(cwd, 'disk.qcow2'))
    const layer = layerOf([
      ['disk/', empty],
      ['disk/disk.qcow2', fs.readFileSync(join(cwd, 'disk.qcow2'))],
    ])
    ociLayout(join(cwd, 'layout'), [{ mediaType: layerType, bytes: layer }])
    const host = await ociRegistry(t, cwd)
    for (const [tag, ...options] of [
      ['plain', '--preserve-digests'],
      ['gzip'],
      ['zstd', '--dest-compress-format', 'zstd'],
      ['docker', '--format', 'v2s2'],
    ] as const)
      run(
        'skopeo',
        'copy',
        '--quiet',
        '--insecure-policy',
        '--dest-tls-verify=false',
        ...options,
        `oci:${join(cwd, 'layout')}`,
        `docker://${host}/vm/disk:${tag}`,
      )
    const expected = digest(await vdisk(['hash', 'disk.raw'], { cwd }))
    for (const tag of ['plain', 'gzip', 'zstd', 'docker'])
      assert.equal(digest(await vdisk(['hash', `oci://${host}/vm/disk:${tag}`], { cwd })), expected, tag)
    const address = `docker://${host}/vm/disk:plain`
    const converted = await vdisk(['convert', address, 'out.vhdx', '--verify'], { cwd })
    assert.equal(converted.code, 0, converted.stderr)
    run('qemu-img', 'compare', join(cwd, 'out.vhdx'), join(cwd, 'disk.raw'))
    is(
      await vdisk(['info', `oci://${host}/vm/disk:none`], { cwd }),
      2,
      /E_NOT_FOUND[^]*MANIFEST_UNKNOWN|MANIFEST_UNKNOWN/,
    )
  },
)

test('oci: an uncompressed layer is read by ranges, and its digest compared where all of it was read', async (t) => {
  const cwd = testFolder(t)
  const server = await OciServer.start(t)
  const disk = diskLike(24 * mebibyte, 5)
  const layer = layerOf([['disk/disk.img', disk]])
  const pinned = server.put([{ mediaType: layerType, bytes: layer }])
  const env = { VDISK_HTTP_CONNECTIONS: '3' }
  const info = await vdisk(['info', server.address()], { cwd, env })
  assert.equal(info.code, 0, info.stderr)
  assert.ok(server.requests.length <= 4, `${server.requests.length} requests`)
  server.requests.length = 0
  const read = await vdisk(['convert', server.address(pinned), 'out.raw'], { cwd, env })
  assert.equal(read.code, 0, read.stderr)
  assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(disk))
  const fetched = server.requests.reduce((sum, { bytes }) => sum + bytes, 0)
  assert.ok(fetched <= layer.length * 1.01, `${fetched} of ${layer.length} bytes`)

  // One byte of the middle is another one: found at the end, when all was read.
  const damaged = Buffer.from(layer)
  damaged[12 * mebibyte] = (damaged[12 * mebibyte] ?? 0) ^ 1
  server.blobs.set(digestOf(layer), damaged)
  is(
    await vdisk(['convert', server.address(), 'wrong.raw'], { cwd, env }),
    4,
    /sends other bytes than those of sha256:/,
  )
  assert.ok(!fs.existsSync(join(cwd, 'wrong.raw')))
  // One byte behind the disk, which converting it does not read: the rest is read for that.
  const tail = Buffer.from(layer)
  tail[layer.length - 1] = 1
  server.blobs.set(digestOf(layer), tail)
  is(await vdisk(['hash', server.address()], { cwd, env }), 4, /sends other bytes than those of sha256:/)
  // Compressed.
  const packed = gzipSync(layer, { level: 1 })
  server.put(
    [{ mediaType: `${layerType}+gzip`, bytes: gzipSync(damaged, { level: 1 }), digest: digestOf(packed) }],
    'gz',
  )
  is(await vdisk(['convert', server.address('gz'), 'wrong.raw'], { cwd, env }), 4, /sends other bytes|bytes of sha256:/)
  assert.ok(!fs.existsSync(join(cwd, 'wrong.raw')))
})

test('oci: the layer that has the disk is found, and of several disks the one that is named', async (t) => {
  const cwd = testFolder(t)
  const server = await OciServer.start(t)
  const [a, b] = [diskLike(mebibyte, 6), diskLike(mebibyte, 7)]
  const base = gzipSync(
    layerOf([
      ['etc/', empty],
      ['etc/passwd', Buffer.from('root')],
      ['disk/old.img', a],
    ]),
  )
  const top = layerOf([
    ['./disk/', empty],
    ['./disk/vm', b],
    ['disk/.wh.old.img', empty],
  ])
  const gzip = `${layerType}+gzip`
  server.put(
    [
      { mediaType: gzip, bytes: base },
      { mediaType: layerType, bytes: top },
    ],
    'layers',
  )
  server.put(
    [
      { mediaType: gzip, bytes: base },
      { mediaType: layerType, bytes: layerOf([['disk/b.img', b]]) },
    ],
    'two',
  )
  server.put(
    [
      { mediaType: gzip, bytes: gzipSync(layerOf([['etc/hosts', Buffer.from('x')]])) },
      { mediaType: layerType, bytes: layerOf([['bin/sh', b]]) },
    ],
    'container',
  )
  server.put(
    [
      {
        mediaType: layerType,
        bytes: layerOf([
          ['disk/a.img', a],
          ['disk/b.img', b],
        ]),
      },
    ],
    'both',
  )
  const title = (name: string) => ({ 'org.opencontainers.image.title': name })
  server.put([{ mediaType: 'application/octet-stream', bytes: a, annotations: title('a.raw') }], 'artifact')
  server.put(
    [
      { mediaType: 'text/plain', bytes: Buffer.from('notes'), annotations: title('README') },
      { mediaType: 'application/x', bytes: b, annotations: title('b.raw') },
    ],
    'named',
  )
  server.put(
    [
      {
        mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
        bytes: a,
        urls: ['http://evil.example/'],
      },
    ],
    'foreign',
  )
  const sums = { a: '', b: '' }
  fs.writeFileSync(join(cwd, 'a.raw'), a)
  fs.writeFileSync(join(cwd, 'b.raw'), b)
  sums.a = digest(await vdisk(['hash', 'a.raw'], { cwd }))
  sums.b = digest(await vdisk(['hash', 'b.raw'], { cwd }))
  const hash = async (tag: string) => await vdisk(['hash', server.address(tag)], { cwd })
  const same = async (tag: string, sum: string) => assert.equal(digest(await hash(tag)), sum, tag)
  const refused = async (tag: string, code: number, message: RegExp) => is(await hash(tag), code, message)
  await Promise.all([
    same('layers', sums.b),
    same('two@disk=old.img', sums.a),
    same('both@disk=disk/b.img', sums.b),
    same('artifact', sums.a),
    same('named', sums.b),
    refused('two', 2, /several files: b\.img, old\.img[^]*@disk=b\.img/),
    refused('both', 2, /several disks: disk\/a\.img, disk\/b\.img/),
    refused('two@disk=none', 2, /no disk none[^]*b\.img, old\.img/),
    refused('container', 2, /no file in its folder disk\//),
    refused('named@disk=c', 2, /no disk c[^]*README, b\.raw/),
    refused('foreign', 5, /lie elsewhere/),
  ])
})

test('oci: of several images that of the platform is read, and which one is said', async (t) => {
  const cwd = testFolder(t)
  const server = await OciServer.start(t)
  const disks = { amd64: diskLike(mebibyte, 8), arm64: diskLike(mebibyte, 9) }
  const manifests = (['amd64', 'arm64'] as const).map((architecture) => {
    fs.writeFileSync(join(cwd, `${architecture}.raw`), disks[architecture])
    const bytes = layerOf([['disk/disk.img', disks[architecture]]])
    const named = server.put([{ mediaType: layerType, bytes }], architecture)
    return {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: named,
      size: 1,
      platform: { os: 'linux', architecture },
    }
  })
  const attestation = { ...manifests[0], platform: { os: 'unknown', architecture: 'unknown' } }
  server.putManifest({ schemaVersion: 2, manifests: [...manifests, attestation] }, 'v1')
  for (const architecture of ['amd64', 'arm64']) {
    const read = await vdisk(['compare', server.address(), `${architecture}.raw`], {
      cwd,
      env: { VDISK_OCI_PLATFORM: `linux/${architecture}` },
    })
    is(read, 0, new RegExp(`lists several images: that for linux/${architecture} is read`))
  }
  const missing = await vdisk(['info', server.address()], { cwd, env: { VDISK_OCI_PLATFORM: 'linux/s390x' } })
  is(missing, 2, /no image for linux\/s390x; it lists linux\/amd64 @sha256:\w+, linux\/arm64 @sha256:/)
})

test('oci: who asks is said where the registry wants to know, and again when a token has expired', async (t) => {
  const cwd = testFolder(t)
  const server = await OciServer.start(t)
  const disk = diskLike(20 * mebibyte, 10)
  server.put([{ mediaType: layerType, bytes: layerOf([['disk/disk.img', disk]]) }])
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
  const compared = async (env: Readonly<Record<string, string>> = {}) =>
    await vdisk(['compare', server.address(), 'disk.raw'], { cwd, env })
  server.login = 'basic'
  is(await compared(), 2, /does not give it out[^]*skopeo login 127\.0\.0\.1:/)
  const pair = Buffer.from(`${user}:${password}`).toString('base64')
  fs.mkdirSync(join(cwd, '.docker'))
  fs.writeFileSync(join(cwd, '.docker/config.json'), JSON.stringify({ auths: { [server.host]: { auth: pair } } }))
  is(await compared(), 0, /are the same/)
  server.login = 'token'
  server.tokenLasts = 4
  is(await compared({ VDISK_HTTP_CONNECTIONS: '1' }), 0, /are the same/)
  assert.ok(server.count('token') > 1, 'one token was enough')
  // A token that is never good: once more, and then an end.
  server.tokenLasts = 0
  server.requests.length = 0
  is(await compared(), 2, /does not give it out/)
  assert.equal(server.count('manifest GET'), 2)
  server.tokenLasts = Infinity
  // A program that keeps passwords is started where the file names it, and for this registry alone.
  const tools = join(cwd, 'tools')
  fs.mkdirSync(tools)
  fs.writeFileSync(
    join(tools, 'docker-credential-test'),
    `#!/bin/sh\nread host\necho "$1 $host" >> asked\necho '{"Username":"${user}","Secret":"${password}"}'\n`,
    { mode: 0o755 },
  )
  const env = { PATH: `${tools}:${process.env['PATH'] ?? ''}`, REGISTRY_AUTH_FILE: join(cwd, 'auth.json') }
  fs.writeFileSync(
    join(cwd, 'auth.json'),
    JSON.stringify({ credHelpers: { [server.host]: 'test', 'other.example': '../x' } }),
  )
  is(await compared(env), 0, /are the same/)
  assert.equal(fs.readFileSync(join(cwd, 'asked'), 'utf8'), `get ${server.host}\n`)
  for (const [text, message] of [
    [JSON.stringify({ credHelpers: { [server.host]: '../test' } }), /no name of a program/],
    [
      JSON.stringify({ auths: { [server.host]: { auth: Buffer.from(password).toString('base64') } } }),
      /no name and password/,
    ],
    [`{"auths": {"${password}`, /no JSON object/],
  ] as const) {
    fs.writeFileSync(join(cwd, 'auth.json'), text)
    is(await compared(env), 2, message)
  }
})

test('oci: a registry with faults gives the right bytes or the right error', async (t) => {
  const cwd = testFolder(t)
  const server = await OciServer.start(t)
  const disk = diskLike(3 * mebibyte, 11)
  server.put([{ mediaType: layerType, bytes: layerOf([['disk/disk.img', disk]]) }])
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
  const hash = async (tag = 'v1') =>
    await vdisk(['hash', server.address(tag)], { cwd, env: { VDISK_HTTP_TIMEOUT: '30' } })
  const expected = digest(await vdisk(['hash', 'disk.raw'], { cwd }))
  const met = new Set<string>()
  server.fault = ({ what }, response) => {
    if (met.size >= 4 || met.has(`${what}${met.size % 2}`)) return undefined
    met.add(`${what}${met.size % 2}`)
    if (met.size % 2 === 0) response.writeHead(429, { 'Retry-After': '0' }).end()
    // A body that breaks off.
    else response.writeHead(200, { 'Content-Length': 1000 }).write('{"schema', () => response.destroy())
    return true
  }
  assert.equal(digest(await hash()), expected)
  assert.ok(met.size >= 2)
  server.fault = ({ what }, response) => {
    if (what !== 'manifest GET') return undefined
    response
      .writeHead(200, { 'Docker-Content-Digest': digestOf(Buffer.from('other')) })
      .end('{"schemaVersion":2,"layers":[]}')
    return true
  }
  is(await hash(), 4, /sends another manifest than sha256:/)
  server.fault = ({ what }, response) => {
    if (what !== 'blob') return undefined
    refuse(response, 404, 'BLOB_UNKNOWN')
    return true
  }
  is(await hash(), 2, /BLOB_UNKNOWN/)
  server.fault = undefined
  const [one] = [digestOf(disk)]
  const layer = { mediaType: layerType, digest: one, size: disk.length }
  const hostile: readonly (readonly [tag: string, manifest: unknown, code: number, message: RegExp])[] = [
    ['text', Buffer.from('<html>'), 4, /no JSON/],
    ['long', Buffer.alloc(5 * mebibyte, ' '), 4, /more than 4194304 bytes/],
    ['first', { schemaVersion: 1 }, 5, /docker's first kind/],
    ['nothing', { schemaVersion: 2, layers: [] }, 2, /no file with a disk/],
    ['path', { schemaVersion: 2, layers: [{ ...layer, digest: 'sha256:../../../../etc/passwd' }] }, 4, /no digest/],
    ['negative', { schemaVersion: 2, layers: [{ ...layer, size: -1 }] }, 4, /no size/],
    ['size', { schemaVersion: 2, layers: [{ ...layer, size: 2 ** 52 }] }, 2, /BLOB_UNKNOWN/],
    ['many', { schemaVersion: 2, layers: Array.from({ length: 2000 }, () => layer) }, 4, /names 2000 parts/],
    ['circle', { schemaVersion: 2, manifests: [{ ...layer, mediaType: 'x' }] }, 2, /MANIFEST_UNKNOWN/],
  ]
  for (const [tag, manifest] of hostile) server.putManifest(manifest, tag)
  await Promise.all(hostile.map(async ([tag, , code, message]) => is(await hash(tag), code, message)))
  const bytes = layerOf([['disk/disk.img', disk]])
  server.put([{ mediaType: layerType, bytes, size: bytes.length + 512 }], 'longer')
  is(await hash('longer'), 4, /its manifest says/)
})
