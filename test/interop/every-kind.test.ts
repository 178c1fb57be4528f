import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { dmgImage, dmgType } from '../../fixtures/spec-writer/dmg.js'
import { ewfImage } from '../../fixtures/spec-writer/ewf.js'
import { androidSparseImage, bochsImage } from '../../fixtures/spec-writer/read-only.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { by } from '../support/compress.js'
import { fixture, fixtures } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { fileHash, mountingMissing, mountPlace } from '../support/mounted.js'
import { startServe } from '../support/nbd.js'
import { ovfText } from '../support/ova-bytes.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A source: what it is called, its file, and the digest of its disk. */
interface Source {
  readonly path: string
  readonly digest: string
}

/** One fixture of each kind whose content is known; the disk of a folder is named by that. @param kindOf its kind. */
function ofEachKind(kindOf: (fixture: (typeof fixtures)[number]) => string): Source[] {
  const kinds = new Map<string, Source>()
  for (const each of fixtures) {
    const { path, guestSha256, capacity = Infinity, error } = each
    if (guestSha256 !== undefined && error === undefined && capacity <= 32 * mebibyte)
      kinds.set(kindOf(each), { path: fixture(path), digest: guestSha256 })
  }
  return [...kinds.values()]
}

/** A raw disk in each kind of compressed file and archive. */
function compressed(folder: string, disk: Buffer): Source[] {
  const digest = sha256(disk)
  const raw = join(folder, 'disk.raw')
  fs.writeFileSync(raw, disk)
  const packed = (name: string, bytes: Uint8Array): Source => {
    fs.writeFileSync(join(folder, name), bytes)
    return { path: join(folder, name), digest }
  }
  const inZip = join(folder, 'disk.raw.zip')
  run('7z', 'a', '-bd', inZip, raw)
  return [
    packed('disk.raw.gz', by('gzip', ['-1c'], disk)),
    packed(
      'members.raw.gz',
      Buffer.concat([disk.subarray(0, mebibyte), disk.subarray(mebibyte)].map((half) => by('gzip', ['-c'], half))),
    ),
    packed('disk.raw.bz2', by('bzip2', ['-1c'], disk)),
    packed('disk.raw.xz', by('xz', ['-0c', '-T1'], disk)),
    packed('blocks.raw.xz', by('xz', ['-0c', '-T1', '--block-size=1MiB'], disk)),
    packed('x86.raw.xz', by('xz', ['-c', '-T1', '--x86', '--lzma2=preset=0'], disk)),
    packed('disk.raw.lzma', by('xz', ['--format=lzma', '-0c'], disk)),
    packed('disk.raw.zst', by('zstd', ['-qc'], disk)),
    packed('disk.raw.lz4', by('lz4', ['-qc'], disk)),
    { path: inZip, digest },
  ]
}

/** Appliances: of a disk, and of one that lies over another in the same archive. */
async function appliances(folder: string, disk: Buffer): Promise<Source[]> {
  const at = (name: string): string => join(folder, name)
  const changed = Buffer.from(disk)
  changed.fill('changed', 100_000, 200_000)
  fs.writeFileSync(at('changed.raw'), changed)
  await convert(at('disk.raw'), at('vm.ova'), { flush: false })
  await convert(at('disk.raw'), at('base.vmdk'), { options: { subformat: 'streamOptimized' }, flush: false })
  await convert(at('changed.raw'), at('child.vmdk'), { parent: at('base.vmdk'), flush: false })
  const disks = [
    { id: 'base', href: 'base.vmdk' },
    { id: 'child', href: 'child.vmdk', attributes: 'ovf:parentRef="base"' },
  ]
  fs.writeFileSync(at('chain.ovf'), ovfText(disks))
  run('tar', '-C', folder, '--format=ustar', '-cf', at('chain.ova'), 'chain.ovf', 'base.vmdk', 'child.vmdk')
  for (const name of ['changed.raw', 'chain.ovf', 'base.vmdk', 'child.vmdk']) fs.rmSync(at(name))
  return [
    { path: at('vm.ova'), digest: sha256(disk) },
    { path: `${at('chain.ova')}@disk=child.vmdk`, digest: sha256(changed) },
  ]
}

/** Nothing but zeros is in it in places, so that all of its kinds of blocks are met. */
function content(): Buffer {
  const disk = Buffer.alloc(3 * mebibyte + 512)
  for (let at = 0; at < disk.length; at += 4096 * 3) disk.write(`block at ${at}`.repeat(90), at)
  return disk
}

const tools = ['tar', 'gzip', 'bzip2', 'xz', 'zstd', 'lz4', '7z'] as const

test('what any kind of image is served as is what it is converted to', async (t) => {
  if (!have(t, 'nbdcopy') || !tools.every((tool) => have(t, tool))) return
  const folder = testFolder(t)
  const disk = content()
  const sources = [
    ...ofEachKind(({ format, subformat, parent }) => `${format} ${subformat} ${parent === undefined ? '' : 'child'}`),
    ...compressed(folder, disk),
    ...(await appliances(folder, disk)),
  ]
  assert.ok(sources.length >= 56, `${sources.length} kinds`)
  const names = sources.map((_, index) => `disk-${index}`)
  const { uris } = await startServe(t, folder, [
    '--persistent',
    ...sources.map(({ path }) => path),
    ...names.flatMap((name) => ['--name', name]),
  ])
  const copy = join(folder, 'copy')
  for (const [index, { path, digest }] of sources.entries()) {
    fs.rmSync(copy, { force: true })
    run('nbdcopy', uris[index] ?? '', copy)
    assert.equal(sha256(fs.readFileSync(copy)), digest, `${path}, served`)
    fs.rmSync(copy)
    await convert(path, copy, { to: 'raw', flush: false })
    assert.equal(sha256(fs.readFileSync(copy)), digest, `${path}, converted`)
  }
})

const mounting = mountingMissing()

test(
  'images of every format, and of what images lie in, are mounted as their disks',
  { skip: mounting ?? false },
  async (t) => {
    if (!tools.every((tool) => have(t, tool))) return
    const place = mountPlace(t)
    const disk = content()
    const sources = [
      ...ofEachKind(({ format }) => format),
      ...compressed(place.folder, disk),
      ...(await appliances(place.folder, disk)),
    ]
    for (const { path, digest } of sources) {
      const { folder, files } = await place.mount(path)
      assert.equal(fileHash(join(folder, files[0]?.name ?? '')), digest, path)
      await place.unmount(folder)
    }
  },
)

test('what a filesystem uses is the same whatever the disk is stored in', async (t) => {
  if (!have(t, 'mke2fs') || !tools.every((tool) => have(t, tool))) return
  const folder = testFolder(t)
  const raw = join(folder, 'disk.raw')
  fs.writeFileSync(raw, '')
  fs.truncateSync(raw, 8 * mebibyte)
  fs.mkdirSync(join(folder, 'tree'))
  fs.writeFileSync(join(folder, 'tree/file'), 'content of a file '.repeat(40_000))
  run('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', '-d', join(folder, 'tree'), raw)
  const disk = fs.readFileSync(raw)
  disk.write('what the filesystem does not know of', 7 * mebibyte)
  const sources = compressed(folder, disk).map(({ path }) => path)
  const write = (name: string, bytes: Uint8Array): void => {
    fs.writeFileSync(join(folder, name), bytes)
    sources.push(join(folder, name))
  }
  write('disk.E01', Buffer.concat(ewfImage({ content: disk, kind: 'encase6' })))
  write('disk.dmg', dmgImage({ content: disk, chunkSectors: 256, types: [dmgType.zlib] }))
  write('disk.simg', androidSparseImage(disk, 4096, 0, 'zeros'))
  write('disk.bochs', bochsImage(disk, 2))
  for (const [name, subformat] of [
    ['disk.vhd', 'dynamic'],
    ['disk.vhdx', 'dynamic'],
    ['disk.qcow2', undefined],
    ['sparse.vmdk', 'monolithicSparse'],
    ['flat.vmdk', 'monolithicFlat'],
    ['split.vmdk', 'twoGbMaxExtentSparse'],
    ['split-flat.vmdk', 'twoGbMaxExtentFlat'],
    ['stream.vmdk', 'streamOptimized'],
    ['disk.vdi', 'dynamic'],
    ['fixed.vdi', 'fixed'],
    ['disk.ova', undefined],
  ] as const) {
    await convert(raw, join(folder, name), { options: subformat === undefined ? {} : { subformat }, flush: false })
    sources.push(join(folder, name))
  }
  const out = join(folder, 'out.raw')
  const used = async (path: string): Promise<Buffer> => {
    const { volumes = [] } = await convert(path, out, { usedOnly: {}, flush: false, size: disk.length, force: true })
    assert.deepEqual(
      volumes.map(({ filesystem }) => filesystem),
      ['ext4'],
      path,
    )
    return fs.readFileSync(out)
  }
  const expected = await used(raw)
  assert.ok(!expected.equals(disk) && expected.includes('content of a file '))
  for (const path of sources) assert.ok((await used(path)).equals(expected), path)
})
