import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { program, vdisk, type CliResult } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { ociRegistry, registryMissing } from '../support/oci-registry.js'
import { OciServer, password, refuse, user, type OciFault } from '../support/oci-server.js'
import { isInstalled, run, runIn } from '../support/tools.js'
import { skipReason } from '../support/complete.js'

const mebibyte = 1048576
const noQemu = isInstalled('qemu-img') ? undefined : skipReason('qemu-img is not installed')

function is({ code, stdout, stderr }: CliResult, expected: number, message = /^/): void {
  assert.equal(code, expected, stderr + stdout.toString())
  assert.match(stderr + stdout.toString(), message)
  assert.doesNotMatch(stderr + stdout.toString(), new RegExp(`${password}|Bearer|Basic `))
}

/** 40 MiB with 37 MiB of content: three chunks. */
function makeDisk(folder: string): void {
  const disk = Buffer.concat([diskLike(36 * mebibyte, 21), Buffer.alloc(3 * mebibyte), diskLike(mebibyte, 22)])
  fs.writeFileSync(join(folder, 'disk.raw'), disk)
}

test('oci: what is pushed is what skopeo takes out', { skip: registryMissing() ?? noQemu }, async (t) => {
  const cwd = testFolder(t)
  makeDisk(cwd)
  const host = await ociRegistry(t, cwd)
  const address = `oci://${host}/team/vm:v1`
  const pushed = await vdisk(['convert', 'disk.raw', address, '--for', 'kubevirt', '--verify'], { cwd })
  is(pushed, 0, /containerDisk: image: 127\.0\.0\.1:\d+\/team\/vm:v1/)
  const skopeo = (...args: string[]) => run('skopeo', '--insecure-policy', ...args)
  const inspected = JSON.parse(skopeo('inspect', '--tls-verify=false', `docker://${host}/team/vm:v1`)) as {
    readonly Os: string
    readonly Layers: readonly string[]
  }
  assert.equal(inspected.Os, 'linux')
  assert.equal(inspected.Layers.length, 1)
  // Every digest is compared on the way, that of what is in the layer too.
  skopeo('copy', '--quiet', '--src-tls-verify=false', `docker://${host}/team/vm:v1`, `dir:${join(cwd, 'copy')}`)
  const layer = join(cwd, 'copy', (inspected.Layers[0] ?? '').replace('sha256:', ''))
  const listed = run('tar', '--numeric-owner', '-tvf', layer).trim().split('\n')
  assert.match(listed[0] ?? '', /^dr-xr-xr-x 107\/107 +0 .* disk\/$/)
  assert.match(listed[1] ?? '', /^-r--r----- 107\/107 .* disk\/disk\.qcow2$/)
  assert.equal(listed.length, 2)
  runIn(cwd, 'tar', '--no-same-owner', '--no-same-permissions', '-xf', layer, 'disk/disk.qcow2')
  run('qemu-img', 'compare', join(cwd, 'disk/disk.qcow2'), join(cwd, 'disk.raw'))
  run('qemu-img', 'check', join(cwd, 'disk/disk.qcow2'))

  is(await vdisk(['convert', 'disk.raw', address], { cwd }), 7, /exists already[^]*--force/)
  // A compressed image, whose length is not known before; and a raw one.
  is(await vdisk(['convert', 'disk.raw', address, '--compress', 'zstd', '--force', '--verify'], { cwd }), 0)
  is(await vdisk(['convert', 'disk.raw', `oci://${host}/team/vm:raw`, '--to', 'raw', '--verify'], { cwd }), 0)
  for (const tag of ['v1', 'raw']) is(await vdisk(['compare', `oci://${host}/team/vm:${tag}`, 'disk.raw'], { cwd }), 0)
  // A compressed source, which is read as a stream, into the same tag.
  run('gzip', '-k1', join(cwd, 'disk.raw'))
  is(await vdisk(['convert', 'disk.raw.gz', address, '--force'], { cwd }), 0)
  is(await vdisk(['compare', address, 'disk.raw'], { cwd }), 0)
  is(await vdisk(['convert', address, address, '--force'], { cwd }), 3, /is what is being read/)
})

interface Setting {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly server: OciServer
  readonly convert: (...more: string[]) => Promise<CliResult>
  readonly compare: () => Promise<CliResult>
}

async function setting(t: TestContext): Promise<Setting> {
  const cwd = testFolder(t)
  makeDisk(cwd)
  const server = await OciServer.start(t)
  fs.mkdirSync(join(cwd, '.docker'))
  const auth = Buffer.from(`${user}:${password}`).toString('base64')
  fs.writeFileSync(join(cwd, '.docker/config.json'), JSON.stringify({ auths: { [server.host]: { auth } } }))
  return {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', HOME: cwd, VDISK_DATA_DIR: join(cwd, 'no-plugins') },
    server,
    convert: async (...more) => await vdisk(['convert', 'disk.raw', server.address(), ...more], { cwd }),
    compare: async () => await vdisk(['compare', server.address(), 'disk.raw'], { cwd }),
  }
}

test('oci: an upload through faults is the right image', async (t) => {
  const { server, convert, compare } = await setting(t)
  server.login = 'token'
  server.tokenLasts = 4
  const met = new Map<string, number>()
  /** Each kind of request once: refused, done with its answer lost, or broken off. */
  server.fault = ({ what, method, body }, response) => {
    const kind = `${what} ${method}${body.length > 0 ? ' with bytes' : ''}`
    const count = met.get(kind) ?? 0
    met.set(kind, count + 1)
    if (what === 'token' || method === 'GET') return undefined
    if (count === 0) {
      response.writeHead(503, { 'Retry-After': '0' }).end()
      return true
    }
    return count === 1 && method !== 'POST' ? 'after' : undefined
  }
  is(await convert(), 0)
  server.fault = undefined
  assert.deepEqual([...server.tags.keys()], ['v1'])
  for (const kind of ['upload PATCH with bytes', 'upload PUT', 'manifest PUT PUT with bytes'])
    assert.ok((met.get(kind) ?? 0) > 1, `${kind}: ${[...met.keys()].join(', ')}`)
  is(await compare(), 0)
  // The same disk is the same image: only its identity differs.
  assert.equal(server.manifests.size, 1)
})

test('oci: an upload that fails leaves nothing, and what stood at the tag', async (t) => {
  const { server, convert } = await setting(t)
  const faults: readonly (readonly [name: string, fault: OciFault, code: number, message: RegExp])[] = [
    [
      'no permission',
      ({ method }, response) => {
        if (method !== 'POST') return undefined
        refuse(response, 403, 'DENIED')
        return true
      },
      7,
      /cannot be written: the registry answers 403: DENIED, denied[^]*skopeo login/,
    ],
    [
      'bytes that change on the way',
      ({ what, method, path }) => {
        const id = path.replace('blobs/uploads/', '')
        const held = server.uploads.get(id)
        if (what === 'upload' && method === 'PUT' && held !== undefined && held.length > 0)
          held[5000] = (held[5000] ?? 0) ^ 1
        return undefined
      },
      8,
      /has other bytes than were sent/,
    ],
    [
      'an upload that is gone',
      ({ what, method }) => {
        if (what === 'upload' && method === 'PATCH') server.uploads.clear()
        return undefined
      },
      7,
      /404: BLOB_UPLOAD_UNKNOWN/,
    ],
    [
      'a place elsewhere, unencrypted',
      ({ method }, response) => {
        if (method !== 'POST') return undefined
        response.writeHead(202, { Location: 'ftp://evil.example/' }).end()
        return true
      },
      7,
      /names an address that is not followed/,
    ],
    [
      'a manifest that is refused',
      ({ method, what }, response) => {
        if (what !== 'manifest PUT' || method !== 'PUT') return undefined
        refuse(response, 400, 'MANIFEST_INVALID')
        return true
      },
      7,
      /MANIFEST_INVALID[^]*has no name in the registry/,
    ],
  ]
  for (const [name, fault, code, message] of faults) {
    server.fault = fault
    is(await convert(), code, message)
    server.fault = undefined
    assert.equal(server.tags.size, 0, name)
    assert.equal(server.uploads.size, 0, name)
  }
  // Somebody takes the tag meanwhile.
  const other = server.put([{ mediaType: 'x', bytes: Buffer.from('other') }], 'other')
  server.fault = ({ method, what }) => {
    if (what === 'upload' && method === 'PATCH') server.tags.set('v1', other)
    return undefined
  }
  is(await convert(), 7, /exists by now/)
  assert.equal(server.tags.get('v1'), other)
  server.fault = ({ method, what }) => {
    if (what === 'upload' && method === 'PATCH') server.tags.delete('v1')
    return undefined
  }
  is(await convert('--force'), 3, /was removed by somebody else/)
})

test('oci: an upload that is interrupted is taken back', async (t) => {
  const { server, cwd, env } = await setting(t)
  const child = spawn(process.execPath, [program, 'convert', 'disk.raw', server.address()], { cwd, env, stdio: 'pipe' })
  let said = ''
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
  // The answer to the first chunk never comes.
  server.fault = ({ method }) => {
    if (method !== 'PATCH') return undefined
    child.kill('SIGINT')
    return true
  }
  const [code] = (await once(child, 'close')) as [number | null]
  assert.equal(code, 130, said)
  assert.equal(server.uploads.size, 0, said)
  assert.equal(server.tags.size, 0)
})
