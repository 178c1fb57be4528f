import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { openFile } from '../../src/formats/open.js'
import type { RestoreResult } from '../../src/index.js'
import { imageDisk } from '../../src/operations/imaging/image.js'
import type { ImageDiskOptions } from '../../src/operations/imaging/image-options.js'
import type { ImageDiskResult } from '../../src/operations/imaging/image-result.js'
import { parseImageRecord } from '../../src/operations/imaging/record.js'
import { hash } from '../../src/operations/inspect/hash.js'
import { azureServer, blobName } from '../support/azure-server.js'
import { vdisk } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { diskLike, readAll } from '../support/content.js'
import { answer } from '../support/fault-server.js'
import { faultyDisk, faultyDiskMissing } from '../support/faulty-disk.js'
import { testFolder } from '../support/folder.js'
import { withFakeVolume } from '../support/fake-volumes.js'
import { hostileSftp } from '../support/hostile-sftp.js'
import { interrupted } from '../support/interrupted.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { OciServer } from '../support/oci-server.js'
import { partitionedDisk } from '../support/partitioned-disk.js'
import { listening } from '../support/ports.js'
import { noS3, S3Cli } from '../support/s3-plugin.js'
import { refuse, S3Server } from '../support/s3-server.js'
import { assertSchema } from '../support/schemas.js'
import { sshd, sshdMissing } from '../support/sshd.js'
import { run } from '../support/tools.js'
import { haveAll } from '../support/volumes.js'

const mebibyte = 1048576
const skip = loopsMissing() ?? false
const noMount = process.getuid?.() === 0 ? undefined : skipReason('mounting is tested as root')

/** The disk that an image holds, as far as the source went. */
function diskOf(path: string, size: number): Buffer {
  using image = openFile(path)
  return Buffer.from(readAll(image)).subarray(0, size)
}

/** The code of the error that making an image ends with, and all that it says. */
async function refusal(device: string, target: string, options: ImageDiskOptions = {}): Promise<[string, string]> {
  try {
    await imageDisk(device, target, options)
    return ['made', '']
  } catch (error) {
    if (!isImageError(error)) throw error
    return [error.code, `${error.message}\n${error.hint ?? ''}`]
  }
}

/** What a record says agrees with what the command said. */
function assertRecord(text: string, { digests, source }: Pick<ImageDiskResult, 'digests' | 'source'>): void {
  assertSchema('image-record', JSON.parse(text))
  const record = parseImageRecord(text)
  assert.equal(JSON.stringify([record.digests, record.source]), JSON.stringify([digests, source]))
}

test(
  'a disk is imaged to another computer by ssh: the bytes, the digests, the record, and who may read them',
  { skip: sshdMissing() ?? skip },
  async (t) => {
    const folder = testFolder(t)
    const there = join(folder, 'there')
    fs.mkdirSync(there)
    const { loop, path, content } = partitionedDisk(t, folder, 512)
    const { digests: own } = await hash(path, { from: 'raw', algorithm: 'tree', perPartition: true })
    const { digests: whole } = await hash(path, { from: 'raw', algorithm: 'tree' })
    const { host, env } = await sshd(t, folder)
    process.env['VDISK_SSH'] = env['VDISK_SSH']
    const address = (name: string): string => `ssh://${host}${there}/${name}`
    for (const [name, options] of [
      ['disk.raw', {}],
      ['disk.qcow2', { options: { compress: 'zlib' }, verify: true }],
      ['disk.vhdx', {}],
    ] as const) {
      const made = await imageDisk(loop, address(name), options)
      assert.ok(diskOf(join(there, name), content.length).equals(content), name)
      assertRecord(fs.readFileSync(join(there, `${name}.vdisk.json`), 'utf8'), made)
      // The second partition is not aligned to the blocks of the disk's digest.
      const digests = made.digests?.partitions.map(({ number, digest }) => [number, digest])
      assert.deepEqual(
        digests,
        own.map(({ partition, digest }) => [partition, digest]),
      )
      assert.equal(made.digests?.disk.digest, whole[0]?.digest)
      assert.equal(made.consistency.state, 'cold')
      for (const file of [name, `${name}.vdisk.json`])
        assert.equal(fs.statSync(join(there, file)).mode & 0o777, 0o600, file)
    }
    const part = await imageDisk(`${loop}@2`, address('part.qcow2'), { verify: true })
    assert.equal(part.digests?.disk.digest, own[1]?.digest)

    // What is there, or belongs to another image, is not replaced without --force.
    assert.equal((await refusal(loop, address('disk.raw')))[0], 'E_EXISTS')
    fs.unlinkSync(join(there, 'disk.raw'))
    assert.equal((await refusal(loop, address('disk.raw')))[0], 'E_EXISTS')
    await imageDisk(loop, address('disk.raw'), { force: true })
    const dry = await imageDisk(loop, address('dry.raw'), { dryRun: true })
    assert.ok(dry.plan.steps.some((step) => step.includes('send it to ssh://')))
    assert.equal(fs.readdirSync(there).length, 8, fs.readdirSync(there).join())
    for (const [options, code, text] of [
      [{ since: join(there, 'disk.raw') }, 'E_STREAM', /Leave out --since/],
      [{ since: join(there, 'disk.raw'), changed: 'one' }, 'E_STREAM', /Leave out --changed and --since/],
      [{ resume: true }, 'E_RESUME', /vdisk convert \S+ ADDRESS --resume/],
    ] as const) {
      const [found, said] = await refusal(loop, address('new.raw'), options)
      assert.equal(found, code)
      assert.match(said, text)
    }
    assert.match((await refusal(loop, address('new.qcow2.zst')))[1], /--compress/)

    // The disk of a virtual machine goes there like any other.
    const virtual = await imageDisk(join(there, 'disk.qcow2'), address('virtual.vhdx'), { verify: true })
    assertRecord(fs.readFileSync(join(there, 'virtual.vhdx.vdisk.json'), 'utf8'), virtual)
    assert.equal(virtual.digests?.disk.digest, whole[0]?.digest)
    assert.deepEqual([virtual.consistency.state, virtual.bytesRead > 0], ['cold', true])
    const qcow2 = join(there, 'disk.qcow2')
    const bitmap = await refusal(qcow2, address('child.qcow2'), { since: qcow2, changed: 'one' })
    assert.deepEqual(bitmap[0], 'E_STREAM')
    assert.match(bitmap[1], /Leave out --changed/)
    assert.equal((await refusal(loop, `ssh://${host}${folder}/nowhere/x.raw`))[0], 'E_NO_FOLDER')
  },
)

test(
  'bad sectors of a disk that is imaged to an address: all else is right, and the map is there before the image',
  { skip: faultyDiskMissing() ?? skip },
  async (t) => {
    const folder = testFolder(t)
    const there = join(folder, 'there')
    fs.mkdirSync(there)
    process.env['VDISK_SSH'] = hostileSftp(folder)
    const content = Buffer.from(diskLike(8 * mebibyte, 31))
    const bad = [
      [mebibyte + 8192, 4096],
      [5 * mebibyte - 4096, 4096],
    ] as const
    for (const [at, length] of bad) content.fill(0xa5, at, at + length)
    fs.writeFileSync(join(folder, 'medium'), content)
    const holed = Buffer.from(content)
    for (const [at, length] of bad) holed.fill(0, at, at + length)
    fs.writeFileSync(join(folder, 'holed.raw'), holed)
    const { digests } = await hash(join(folder, 'holed.raw'), { from: 'raw', algorithm: 'tree' })
    const disk = await faultyDisk(t, join(folder, 'medium'), { read: bad })
    const address = (host: string, name: string): string => `sftp://${host}${there}/${name}`
    for (const [name, options] of [
      ['disk.raw', {}],
      ['disk.qcow2', { compress: 'zlib' }],
      ['disk.raw.gz', {}],
    ] as const) {
      const made = await imageDisk(disk.path, address('honest', name), { options, verify: true })
      assert.deepEqual(
        [made.unreadable.bytes, made.unreadable.ranges, made.digests?.disk.digest],
        [8192, bad.map(([offset, length]) => ({ offset, length })), digests[0]?.digest],
        name,
      )
      assert.ok(diskOf(join(there, name), content.length).equals(holed), name)
      const map = fs.readFileSync(join(there, `${name}.map`), 'utf8')
      assert.match(
        map,
        /^0x00102000 {2}0x00001000 {2}-\n0x00103000 {2}0x003FC000 {2}\+\n0x004FF000 {2}0x00001000 {2}-$/m,
      )
      const record = parseImageRecord(fs.readFileSync(join(there, `${name}.vdisk.json`), 'utf8'))
      assert.deepEqual(record.unreadable, { bytes: 8192, map: `${name}.map` })
    }
    // An image that does not get its name leaves no map.
    fs.rmSync(there, { recursive: true })
    fs.mkdirSync(there)
    process.env['VDISK_SSH_TIMEOUT'] = '60'
    const [code, said] = await refusal(disk.path, address('flush-fails', 'disk.raw'))
    assert.equal(code, 'E_WRITE', said)
    assert.deepEqual(fs.readdirSync(there), [])
    // One that is whole takes the place of one that was not, and of its map.
    await imageDisk(disk.path, address('honest', 'disk.raw'))
    disk.setFaults({})
    await imageDisk(disk.path, address('honest', 'disk.raw'), { force: true })
    assert.deepEqual(fs.readdirSync(there).sort(), ['disk.raw', 'disk.raw.vdisk.json'])
  },
)

test('a disk is imaged into a store of objects, a registry and a page blob, with its record', { skip }, async (t) => {
  const folder = testFolder(t)
  const { loop, content } = partitionedDisk(t, folder, 512)
  fs.writeFileSync(join(folder, 'other'), '')
  fs.truncateSync(join(folder, 'other'), content.length + 16 * mebibyte)
  const other = loopDevice(t, join(folder, 'other'))
  /** Who restores it sees which disk it is of, as with a file. */
  const assertOrigin = async (address: string): Promise<void> => {
    const { code, stdout, stderr } = await vdisk(['restore', address, other, '--dry-run', '--json'], {
      cwd: folder,
      env,
    })
    assert.equal(code, 0, stdout.toString() + stderr)
    const { origin } = JSON.parse(stdout.toString()) as RestoreResult
    assert.deepEqual([origin?.source.path, origin?.source.size, origin?.verdict], [loop, content.length, 'other'])
  }
  const registry = await OciServer.start(t)
  const azure = await azureServer(t)
  const imaged = async (address: string, ...more: string[]): Promise<ImageDiskResult> => {
    const { code, stdout, stderr } = await vdisk(['image', loop, address, '--verify', '--json', ...more], {
      cwd: folder,
      env,
    })
    assert.equal(code, 0, stdout.toString() + stderr)
    const result = JSON.parse(stdout.toString()) as ImageDiskResult
    assertSchema('image', result)
    assert.ok(result.verified)
    return result
  }
  const store = noS3 === undefined ? await S3Server.start(t) : undefined
  const env = { ...(store === undefined ? {} : new S3Cli(folder, store.env).env), VDISK_SSH: hostileSftp(folder) }

  const pushed = await imaged(registry.address())
  const [manifest] = [...registry.manifests.values()].map(
    ({ bytes }) => JSON.parse(bytes.toString()) as { readonly annotations: Readonly<Record<string, string>> },
  )
  assertRecord(manifest?.annotations['vdisk.image-record'] ?? '', pushed)
  await assertOrigin(registry.address())

  const sent = await imaged(azure.address('disk.vhd'), '--for', 'azure-gen1')
  const blob = azure.blobs.get(blobName('disk.vhd'))
  assert.ok(blob)
  // The second table moves to the end of a whole number of MiB.
  assert.ok(blob.content.subarray(mebibyte, -mebibyte).includes(content.subarray(mebibyte, 24 * mebibyte)))
  assertRecord(blob.marks['x-ms-meta-vdiskimagerecord'] ?? '', sent)
  assert.equal(blob.lease, undefined)
  await assertOrigin(azure.address('disk.vhd'))

  // By SSH, and by a web server, the record lies beside the image; where there is none nothing is said.
  fs.mkdirSync(join(folder, 'www'))
  for (const name of ['disk.raw', 'bare.raw']) fs.writeFileSync(join(folder, 'www', name), content)
  fs.writeFileSync(join(folder, 'www/disk.raw.vdisk.json'), manifest?.annotations['vdisk.image-record'] ?? '')
  const web = http.createServer((request, response) => {
    const path = join(folder, 'www', basename(request.url ?? ''))
    if (fs.existsSync(path)) answer(request, response, fs.readFileSync(path))
    else response.writeHead(404).end('<html>There is no such page.</html>')
  })
  const www = `http://127.0.0.1:${await listening(t, web)}`
  await assertOrigin(`${www}/disk.raw`)
  await assertOrigin(`sftp://honest${folder}/www/disk.raw`)
  const bare = await vdisk(['restore', `${www}/bare.raw`, other, '--dry-run', '--json'], { cwd: folder, env })
  assert.equal(bare.code, 0, bare.stderr)
  const { origin, notes } = JSON.parse(bare.stdout.toString()) as RestoreResult
  assert.deepEqual([origin, notes.filter(({ code }) => code === 'W_RECORD')], [undefined, []])

  if (store === undefined) return
  const made = await imaged('s3://bucket/images/disk.qcow2')
  assert.deepEqual([...store.objects.keys()].sort(), ['images/disk.qcow2', 'images/disk.qcow2.vdisk.json'])
  const path = join(folder, 'disk.qcow2')
  fs.writeFileSync(path, store.objects.get('images/disk.qcow2')?.bytes ?? '')
  assert.ok(diskOf(path, content.length).equals(content))
  assertRecord(store.objects.get('images/disk.qcow2.vdisk.json')?.bytes.toString() ?? '', made)
  await assertOrigin('s3://bucket/images/disk.qcow2')
})

test('a run that is killed while it images a disk shows nothing at the address', { skip: noS3 ?? skip }, async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'disk'), diskLike(40 * mebibyte, 33))
  const loop = loopDevice(t, join(cwd, 'disk'))
  const store = await S3Server.start(t)
  const registry = await OciServer.start(t)
  const azure = await azureServer(t)
  const cli = new S3Cli(cwd, store.env)
  let child: ChildProcess | undefined
  let isDue = false
  /** It is killed at the first request that sends bytes, or as soon as it is known after that. */
  const killed = async (address: string, ...more: string[]): Promise<void> => {
    child = undefined
    isDue = false
    const { code, stderr } = await vdisk(['image', loop, address, '--progress', 'json', ...more], {
      cwd,
      env: cli.env,
      onError: (_text, started) => {
        child = started
        if (isDue) child.kill('SIGKILL')
      },
    })
    assert.equal(code, 'SIGKILL', stderr)
  }
  const kill = (): true => {
    isDue = true
    child?.kill('SIGKILL')
    return true
  }
  store.fault = ({ what }) => (what.startsWith('part') ? kill() : undefined)
  await killed('s3://bucket/disk.raw')
  assert.equal(store.objects.size, 0)
  registry.fault = ({ method }) => (method === 'PATCH' ? kill() : undefined)
  await killed(registry.address(), '--to', 'raw')
  assert.deepEqual([registry.tags.size, registry.manifests.size], [0, 0])
  azure.fault = ({ what }) => (what === 'page' ? kill() : undefined)
  await killed(azure.address('disk.vhd'), '--for', 'azure-gen1')
  // Its footer comes last.
  const blob = azure.blobs.get(blobName('disk.vhd'))
  assert.ok(blob?.content.subarray(-512).every((byte) => byte === 0) !== false)

  // What fails is taken back, and what stood there stays.
  store.fault = ({ what }, response) => {
    if (!what.startsWith('complete')) return undefined
    refuse(response, 400, 'InvalidPart')
    return true
  }
  const failed = await vdisk(['image', loop, 's3://bucket/disk.raw'], { cwd, env: cli.env })
  assert.equal(failed.code, 7, failed.stderr)
  assert.equal(store.objects.size, 0)
  // The record that cannot be written: the image is there, and that is said.
  store.fault = ({ what, url }, response) => {
    if (what !== 'put' || !url.pathname.endsWith('.vdisk.json')) return undefined
    refuse(response, 403, 'AccessDenied')
    return true
  }
  const bare = await vdisk(['image', loop, 's3://bucket/disk.raw'], { cwd, env: cli.env })
  assert.equal(bare.code, 7, bare.stderr)
  assert.match(bare.stderr, /The new image is complete and in place: s3:\/\/bucket\/disk\.raw/)
  assert.deepEqual([...store.objects.keys()], ['disk.raw'])
})

test(
  'a disk in use is not read twice: a raw image of it is sent, also compressed, or a frozen one',
  { skip: noMount ?? skip },
  async (t) => {
    const folder = testFolder(t)
    const there = join(folder, 'there')
    fs.mkdirSync(there)
    process.env['VDISK_SSH'] = hostileSftp(folder)
    const medium = join(folder, 'medium')
    fs.writeFileSync(medium, new Uint8Array(24 * mebibyte))
    run('mke2fs', '-q', '-F', '-t', 'ext4', medium)
    const loop = loopDevice(t, medium)
    const point = join(folder, 'mounted')
    fs.mkdirSync(point)
    run('mount', loop, point)
    try {
      const address = (name: string): string => `sftp://honest${there}/${name}`
      const [code, said] = await refusal(loop, address('disk.qcow2'))
      assert.equal(code, 'E_HOT_SOURCE')
      assert.match(said, /--snapshot auto[^]*--freeze[^]*--to raw/)
      for (const name of ['disk.raw', 'disk.raw.zst']) {
        const { consistency } = await imageDisk(loop, address(name), { verify: true })
        assert.equal(consistency.state, 'crash-consistent')
      }
      const { consistency } = await imageDisk(loop, address('disk.qcow2'), { freeze: true, verify: true })
      assert.equal(consistency.state, 'frozen')
      fs.writeFileSync(join(point, 'goes-on'), basename(point))
    } finally {
      run('umount', point)
    }
    assert.deepEqual(
      fs.readdirSync(there).sort(),
      ['disk.qcow2', 'disk.raw', 'disk.raw.zst'].flatMap((name) => [name, `${name}.vdisk.json`]),
    )
  },
)

test(
  'an image that is interrupted on its way to an address leaves nothing there',
  { skip: noS3 ?? skip },
  async (t) => {
    const cwd = testFolder(t)
    const there = join(cwd, 'there')
    fs.mkdirSync(there)
    fs.writeFileSync(join(cwd, 'disk'), diskLike(40 * mebibyte, 35))
    const loop = loopDevice(t, join(cwd, 'disk'))
    const [store, registry, azure] = [await S3Server.start(t), await OciServer.start(t), await azureServer(t)]
    const env = { ...new S3Cli(cwd, store.env).env, VDISK_SSH: hostileSftp(cwd) }
    for (const [address, left, ...more] of [
      [`sftp://honest${there}/disk.raw`, () => fs.readdirSync(there)],
      ['s3://bucket/disk.raw', () => [...store.objects.keys(), ...store.uploads.keys()]],
      [registry.address(), () => [...registry.tags.keys(), ...registry.uploads.keys()], '--to', 'raw'],
      [azure.address('disk.vhd'), () => [...azure.blobs.keys()]],
    ] as const) {
      const { code, stderr } = await interrupted(cwd, ['image', loop, address, ...more], {
        when: /"done":[1-9]/,
        act: (child) => child.kill('SIGINT'),
        again: () => {
          for (const name of fs.readdirSync(there)) fs.unlinkSync(join(there, name))
          for (const all of [store.objects, store.uploads, registry.tags, registry.uploads, azure.blobs]) all.clear()
        },
        rate: 8,
        env,
      })
      assert.equal(code, 130, `${address}: ${stderr}`)
      assert.deepEqual(left(), [], address)
    }
  },
)

test(
  'a snapshot is read for an image that is sent to an address, and removed, also where that is interrupted',
  { skip: noMount ?? skip },
  async (t) => {
    if (!haveAll(t, 'mke2fs', 'e2fsck', 'debugfs', 'fsfreeze')) return
    const cwd = testFolder(t)
    const there = join(cwd, 'there')
    fs.mkdirSync(there)
    const ssh = hostileSftp(cwd)
    await withFakeVolume(t, 'lvm', async (volume) => {
      fs.writeFileSync(join(volume.point, 'before'), 'written before\n'.repeat(1000))
      const env = { PATH: volume.path, VDISK_SSH: ssh }
      const words = ['image', volume.device, `sftp://honest${there}/disk.raw`, '--snapshot', 'lvm']
      const made = await vdisk([...words, '--verify', '--json'], { cwd, env })
      assert.equal(made.code, 0, made.stderr + made.stdout.toString())
      const { consistency } = JSON.parse(made.stdout.toString()) as ImageDiskResult
      assert.equal(consistency.state, 'filesystem-consistent')
      run('e2fsck', '-fn', join(there, 'disk.raw'))
      assert.equal(run('debugfs', '-R', 'cat /before', join(there, 'disk.raw')), 'written before\n'.repeat(1000))
      assert.deepEqual(volume.snapshots(), [])
      const empty = (): void => fs.readdirSync(there).forEach((name) => fs.unlinkSync(join(there, name)))
      empty()
      const stopped = await interrupted(cwd, words, {
        when: /"done":[1-9]/,
        act: (child) => child.kill('SIGTERM'),
        again: empty,
        rate: 8,
        env,
      })
      assert.equal(stopped.code, 130, stopped.stderr)
      assert.deepEqual([volume.snapshots(), fs.readdirSync(there)], [[], []])
    })
  },
)
