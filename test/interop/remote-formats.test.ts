import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { convert, Registry } from '../../src/index.js'
import { azureServer, blobName } from '../support/azure-server.js'
import { diskLike } from '../support/content.js'
import { answer } from '../support/fault-server.js'
import { fixture, fixtures } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { hashAddressesProgram } from '../support/hash-addresses.js'
import { hostileSftp } from '../support/hostile-sftp.js'
import { layerOf, layerType } from '../support/oci-layers.js'
import { OciServer } from '../support/oci-server.js'
import { listening } from '../support/ports.js'
import { noS3, s3Registry } from '../support/s3-plugin.js'
import { S3Server } from '../support/s3-server.js'
import { isInstalled, run } from '../support/tools.js'
import { skipReason } from '../support/complete.js'

/** Every format over every scheme: what the addresses give is what the files give, and what their makers meant. */

const mebibyte = 1048576
const noQemu = isInstalled('qemu-img') ? undefined : skipReason('qemu-img is not installed')

type Environment = Readonly<Record<string, string | undefined>>

/** The digest of each disk, or the code of the error. */
async function hashes(env: Environment, addresses: readonly string[]): Promise<string[]> {
  const child = spawn(process.execPath, [hashAddressesProgram], { env: { ...process.env, ...env }, stdio: 'pipe' })
  child.stdin.end(JSON.stringify(addresses))
  const [said, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  assert.notEqual(said, '', errors)
  return JSON.parse(said) as string[]
}

/** Images of one file, one of each kind and format. */
function images(): readonly { readonly name: string; readonly path: string; readonly digest: string }[] {
  const kinds = new Map<string, (typeof fixtures)[number]>()
  for (const each of fixtures) {
    const kind = `${each.format} ${each.subformat}`
    const isOne = Object.keys(each.files).length === 1 && each.parent === undefined
    // Most have a few MiB; the disks of some are large and empty.
    if (isOne && each.guestSha256 !== undefined && !kinds.has(kind)) kinds.set(kind, each)
  }
  return [...kinds.values()].map(({ path, guestSha256: digest = '' }, index) => ({
    name: `${index}-${basename(path)}`,
    path: fixture(path),
    digest,
  }))
}

/** Puts the images on a server of one scheme. */
type Serve = (
  t: TestContext,
  folder: string,
  all: ReturnType<typeof images>,
) => Promise<{ readonly env: Environment; readonly address: (name: string) => string }>

const serving: Readonly<Record<string, Serve>> = {
  http: async (t, _folder, all) => {
    const server = http.createServer((request, response) => {
      const found = all.find(({ name }) => request.url === `/${name}`)
      if (found === undefined) response.writeHead(404).end()
      else answer(request, response, fs.readFileSync(found.path))
    })
    const url = `http://127.0.0.1:${await listening(t, server)}`
    return { env: {}, address: (name) => `${url}/${name}` }
  },
  sftp: (_t, folder, all) => {
    for (const { name, path } of all) fs.copyFileSync(path, join(folder, name))
    const env = { VDISK_SSH: hostileSftp(folder) }
    return Promise.resolve({ env, address: (name) => `sftp://honest${folder}/${name}` })
  },
  s3: async (t, _folder, all) => {
    const server = await S3Server.start(t)
    for (const { name, path } of all) server.objects.set(name, { bytes: fs.readFileSync(path), tag: 'one' })
    return { env: server.env, address: (name) => `s3://bucket/${name}` }
  },
  oci: async (t, _folder, all) => {
    const server = await OciServer.start(t)
    for (const { name, path } of all)
      server.put([{ mediaType: layerType, bytes: layerOf([[`disk/${name}`, fs.readFileSync(path)]]) }], name)
    return { env: {}, address: (name) => server.address(name) }
  },
}

test('every format that is read is read over every scheme', async (t) => {
  const all = images()
  const here = await hashes(
    {},
    all.map(({ path }) => path),
  )
  // What a file gives, and what another tool says that it holds.
  const known = all.filter(({ digest }, index) => here[index] === digest)
  const formats = new Set(
    fixtures.filter(({ path }) => known.some((one) => one.path === fixture(path))).map((one) => one.format),
  )
  t.diagnostic(`${known.length} of ${all.length} images, ${formats.size} formats: ${[...formats].join(' ')}`)
  assert.ok(formats.size >= 15, [...formats].join(' '))
  for (const [scheme, serve] of Object.entries(serving)) {
    if (scheme === 's3' && noS3 !== undefined) continue
    await t.test(scheme, async (subtest) => {
      const { env, address } = await serve(subtest, testFolder(subtest), known)
      const there = await hashes(
        env,
        known.map(({ name }) => address(name)),
      )
      assert.deepEqual(
        known.map(({ name }, index) => [name, there[index]]),
        known.map(({ name, digest }) => [name, digest]),
      )
    })
  }
})

const targets = [
  ['raw', 'raw', {}],
  ['qcow2', 'qcow2', {}],
  ['qcow2', 'qcow2', { compress: 'zlib' }],
  ['vdi', 'vdi', {}],
  ['vhd', 'vpc', {}],
  ['vhd', 'vpc', { subformat: 'fixed' }],
  ['vhdx', 'vhdx', {}],
  ['vmdk', 'vmdk', {}],
  ['vmdk', 'vmdk', { subformat: 'streamOptimized' }],
] as const

test('every format that is written is written to every scheme', { skip: noS3 ?? noQemu }, async (t) => {
  const folder = testFolder(t)
  const disk = join(folder, 'disk.raw')
  fs.writeFileSync(disk, diskLike(3 * mebibyte, 95))
  fs.truncateSync(disk, 5 * mebibyte)
  const [s3, oci, azure] = [await S3Server.start(t), await OciServer.start(t), await azureServer(t)]
  const inS3 = await s3Registry(t, s3.env)
  const before = process.env['VDISK_SSH']
  process.env['VDISK_SSH'] = hostileSftp(folder)
  t.after(() => (before === undefined ? Reflect.deleteProperty(process.env, 'VDISK_SSH') : undefined))
  const there = join(folder, 'there')
  fs.mkdirSync(there)
  const own = new Registry()
  /** Where it is sent, and the file that is found there. */
  const places: readonly (readonly [
    scheme: string,
    address: (name: string) => string,
    found: (name: string) => Buffer,
  ])[] = [
    ['sftp', (name) => `sftp://honest${there}/${name}`, (name) => fs.readFileSync(join(there, name))],
    ['s3', (name) => `s3://bucket/${name}`, (name) => s3.objects.get(name)?.bytes ?? Buffer.alloc(0)],
    [
      'oci',
      (name) => oci.address(name),
      (name) => {
        const { bytes } = oci.manifests.get(oci.tags.get(name) ?? '') ?? {}
        const { layers } = JSON.parse(String(bytes)) as { readonly layers: readonly { readonly digest: string }[] }
        const layer = oci.blobs.get(layers[0]?.digest ?? '') ?? Buffer.alloc(0)
        // Behind the heads of the folder and the file.
        return layer.subarray(1024, 1024 + parseInt(layer.toString('latin1', 512 + 124, 512 + 135), 8))
      },
    ],
  ]
  for (const [scheme, address, found] of places)
    for (const [index, [to, format, options]] of targets.entries()) {
      const name = `${index}.${to}`
      await convert(disk, address(name), { to, options, registry: scheme === 's3' ? inS3 : own })
      const file = join(folder, `${scheme}-${name}`)
      fs.writeFileSync(file, found(name))
      run('qemu-img', 'compare', '-f', format, '-F', 'raw', file, disk)
      fs.rmSync(file)
    }
  // Azure takes one kind.
  await convert(disk, azure.address('disk.vhd'), { registry: own })
  const { content = Buffer.alloc(0) } = azure.blobs.get(blobName('disk.vhd')) ?? {}
  const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
  assert.equal(digest(content.subarray(0, -512)), digest(fs.readFileSync(disk)))
})
