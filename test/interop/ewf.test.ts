import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ewfImage } from '../../fixtures/spec-writer/ewf.js'
import { exitCodes, type ImageError } from '../../src/errors.js'
import { check } from '../../src/operations/check/check.js'
import { infoLater } from '../../src/operations/inspect/info.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { vdisk as program, type CliResult } from '../support/cli.js'
import { diskLike, sha256 } from '../support/content.js'
import { fixture } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { mountingMissing, mountPlace } from '../support/mounted.js'
import { have, isInstalled, run } from '../support/tools.js'

const vdisk = (...args: readonly string[]): Promise<CliResult> => program(args, { cwd: tmpdir() })
const disk = fixture('partitioned-disk.vhdx')
const file = 'home/user/photo.raw'

/** The disk as raw, and the segments that ewfacquire makes of it. */
async function acquired(folder: string, ...flags: readonly string[]): Promise<{ raw: string; first: string }> {
  const raw = join(folder, 'disk.raw')
  await convert(disk, raw, {})
  run('ewfacquire', '-u', '-q', '-t', join(folder, 'disk'), ...flags, '-C', 'case 7', '-e', 'Ann', raw)
  const first = fs.readdirSync(folder).find((name) => /^disk\.[es]01$/i.test(name))
  assert.ok(first !== undefined)
  return { raw, first: join(folder, first) }
}

for (const flags of [
  ['-f', 'encase6', '-c', 'none', '-S', '8M', '-d', 'sha1'],
  ['-f', 'smart', '-c', 'fast', '-S', '1M', '-b', '16'],
])
  test(`what ewfacquire ${flags.join(' ')} makes of a disk is that disk`, async (t) => {
    if (!have(t, 'ewfacquire')) return
    const folder = testFolder(t)
    const { raw, first } = await acquired(folder, ...flags)
    const hash = sha256(fs.readFileSync(raw))
    await convert(first, join(folder, 'vdisk.raw'), {})
    assert.equal(sha256(fs.readFileSync(join(folder, 'vdisk.raw'))), hash)
    run('ewfexport', '-u', '-q', '-f', 'raw', '-t', join(folder, 'ewfexport'), first)
    assert.equal(sha256(fs.readFileSync(join(folder, 'ewfexport.raw'))), hash)
    assert.deepEqual((await check(first, { deep: true })).counts, { error: 0, leak: 0, warning: 0 })
    const info = await vdisk('info', first, '--verbose')
    assert.match(String(info.stdout), /Case number +case 7/)
    assert.match(String(info.stdout), new RegExp(`MD5 +${run('md5sum', raw).slice(0, 32)}`))
    assert.match(String(info.stdout), /Error granularity/)
    // Every segment is opened for it, and its ends are not looked at as images.
    assert.ok(fs.readdirSync(folder).filter((name) => /^disk\.[es]\d\d$/i.test(name)).length > 1)
    const shown = await vdisk('cat', `${first}@2:/${file}`)
    assert.deepEqual(shown.stdout, (await vdisk('cat', `${raw}@2:/${file}`)).stdout)
    assert.ok(shown.stdout.length > 0)
  })

test('The Sleuth Kit lists and reads the same files in an E01 as vdisk', async (t) => {
  if (!have(t, 'ewfacquire') || !have(t, 'fls')) return
  const { first } = await acquired(testFolder(t), '-f', 'encase6', '-c', 'fast')
  const start = '26624'
  assert.match(run('mmls', first), /26624 .* root/)
  const entries = run('fls', '-r', '-p', '-F', '-o', start, first)
    .split('\n')
    .flatMap((line) => {
      const [, inode, name] = /^r\/r (\d+):\t(.*)$/.exec(line) ?? []
      return inode === undefined || name === undefined ? [] : [{ inode, name }]
    })
  assert.ok(entries.length > 0)
  for (const { inode, name } of entries.slice(0, 8)) {
    const read = spawnSync('icat', ['-o', start, first, inode], { maxBuffer: 2 ** 26 })
    const copy = join(testFolder(t), 'file')
    assert.equal((await vdisk('cp', `${first}@2:/${name}`, copy)).code, 0, name)
    assert.equal(sha256(fs.readFileSync(copy)), sha256(read.stdout), name)
  }
})

test('an E01 mounts, and its files are those of the disk', { skip: mountingMissing() ?? false }, async (t) => {
  if (!have(t, 'ewfacquire')) return
  const place = mountPlace(t)
  const { raw, first } = await acquired(place.folder, '-f', 'encase6', '-c', 'fast', '-S', '1M')
  const { folder } = await place.mount(first)
  assert.equal(sha256(fs.readFileSync(join(folder, 'disk.img'))), sha256(fs.readFileSync(raw)))
  await place.unmount(first)
})

test('ewfacquirestream writes what vdisk gives it, and vdisk reads that', async (t) => {
  if (!have(t, 'ewfacquirestream')) return
  const folder = testFolder(t)
  const content = Buffer.from(diskLike(3 * 1048576, 7))
  const made = spawnSync('ewfacquirestream', ['-q', '-t', join(folder, 'x'), '-f', 'ftk', '-c', 'best'], {
    input: content,
  })
  assert.equal(made.status, 0, String(made.stderr))
  await convert(join(folder, 'x.E01'), join(folder, 'x.raw'), {})
  assert.equal(sha256(fs.readFileSync(join(folder, 'x.raw'))), sha256(content))
})

const content = Buffer.from(diskLike(96 * 4096, 3))

/** A set of three segments in a folder, under names that `ewfexport` would take. */
function writtenSet(folder: string, name: string, set = 0): string {
  const setIdentifier = Buffer.alloc(16, set + 1)
  for (const [index, bytes] of ewfImage({ content, chunksPerSegment: 40, setIdentifier }).entries())
    fs.writeFileSync(join(folder, `${name}.E0${index + 1}`), bytes)
  return join(folder, `${name}.E01`)
}

test('segments that are missing, swapped, cut off or changed are named, and nothing is read instead', async (t) => {
  const cases: readonly (readonly [
    what: string,
    spoil: (at: (name: string) => string) => void,
    exit: number,
    says: RegExp,
  ])[] = [
    ['the last is missing', (at) => fs.rmSync(at('x.E03')), 6, /segment 3, x\.E03, is missing/],
    ['the second is missing', (at) => fs.rmSync(at('x.E02')), 6, /segment 2, x\.E02, is missing/],
    ['two are exchanged', (at) => swap(at('x.E02'), at('x.E03')), 6, /x\.E02 is segment 3 of a set, not 2/],
    ['the first is another', (at) => swap(at('x.E01'), at('x.E02')), 6, /x\.E01 is segment 2 of a set, not the first/],
    ['one of another set', (at) => fs.copyFileSync(at('y.E02'), at('x.E02')), 6, /x\.E02 is a segment of another set/],
    ['one cut off', (at) => fs.truncateSync(at('x.E02'), 50_000), 4, /x\.E02/],
    ['one empty', (at) => fs.truncateSync(at('x.E02'), 0), 4, /x\.E02/],
    ['one of zeros', (at) => fs.writeFileSync(at('x.E02'), Buffer.alloc(9999)), 4, /x\.E02 is no segment/],
    [
      'one is a folder',
      (at) => {
        fs.rmSync(at('x.E02'))
        fs.mkdirSync(at('x.E02'))
      },
      6,
      /x\.E02/,
    ],
    ['a bit flipped in a chunk', (at) => flip(at('x.E02'), 60_000), 4, /x\.E02/],
  ]
  for (const [what, spoil, exit, says] of cases) {
    const folder = testFolder(t)
    const first = writtenSet(folder, 'x')
    writtenSet(folder, 'y', 1)
    const target = join(folder, 'target.raw')
    spoil((name) => join(folder, name))
    await assert.rejects(convert(first, target, {}), (error: ImageError) => {
      assert.equal(exitCodes[error.kind], exit, `${what}: ${error.message}`)
      assert.match(error.message, says, what)
      return true
    })
    assert.ok(!fs.existsSync(target), what)
    // Looking at it gives the same error, or what can be known.
    await infoLater(first).catch((error: unknown) => {
      assert.equal(exitCodes[(error as ImageError).kind], exit, what)
    })
  }
})

test('W_VOLUME_CHECKSUM: the disk is described in every segment, and one description is enough', async (t) => {
  const folder = testFolder(t)
  const first = writtenSet(folder, 'x')
  const at = fs.readFileSync(first).indexOf('volume\0') + 76
  flip(first, at + 100)
  const { layers } = await check(first, { deep: true })
  assert.deepEqual(
    layers[0]?.groups.map(({ code }) => code),
    ['W_VOLUME_CHECKSUM'],
  )
})

test('names of segments in another case, a link to the first, and a set in a zip', async (t) => {
  const folder = testFolder(t)
  const first = writtenSet(folder, 'x')
  fs.renameSync(join(folder, 'x.E02'), join(folder, 'X.e02'))
  fs.symlinkSync(first, join(folder, 'link'))
  for (const path of [first, join(folder, 'link')]) {
    const target = join(folder, 'target.raw')
    await convert(path, target, { force: true })
    assert.equal(sha256(fs.readFileSync(target)), sha256(content))
  }
  if (!isInstalled('7z')) return
  run('7z', 'a', join(folder, 'x.zip'), first)
  const inside = await vdisk('convert', join(folder, 'x.zip'), join(folder, 'zipped.raw'))
  assert.equal(inside.code, 6, inside.stderr)
  assert.match(inside.stderr, /segment 2, x\.E02, is missing/)
})

function swap(one: string, other: string): void {
  const bytes = fs.readFileSync(one)
  fs.copyFileSync(other, one)
  fs.writeFileSync(other, bytes)
}

function flip(path: string, position: number): void {
  const bytes = fs.readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position)
  fs.writeFileSync(path, bytes)
}
