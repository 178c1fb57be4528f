import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { KnownBlocks } from '../../src/operations/imaging/blocks-file.js'
import { imageDisk } from '../../src/operations/imaging/image.js'
import type { ImageDiskOptions } from '../../src/operations/imaging/image-options.js'
import type { ImageDiskResult } from '../../src/operations/imaging/image-result.js'
import { readImageRecord } from '../../src/operations/imaging/record.js'
import { vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { startPeer } from '../support/nbd.js'
import { assertSchema } from '../support/schemas.js'
import { have, runIn } from '../support/tools.js'

const mebibyte = 1048576

interface Machine {
  readonly cwd: string
  /** Writes to its disk, as qemu-io says it. */
  readonly io: (...commands: string[]) => void
  readonly bitmap: (...args: string[]) => void
  readonly image: (source: string, target: string, options?: ImageDiskOptions) => Promise<ImageDiskResult>
  /** That no image is made. @returns what is said. */
  readonly refused: (code: string, source: string, options?: ImageDiskOptions) => Promise<string>
}

/** A virtual machine with a disk of 40 MiB and 4 KiB, whose partitions end at no whole block. */
function machine(t: TestContext): Machine | undefined {
  if (!have(t, 'qemu-img') || !have(t, 'qemu-io') || !have(t, 'sfdisk')) return undefined
  const cwd = testFolder(t)
  const at = (name: string): string => join(cwd, name)
  fs.writeFileSync(at('disk.raw'), '')
  fs.truncateSync(at('disk.raw'), 40 * mebibyte + 4096)
  runIn(cwd, 'sh', '-c', 'printf "start=2048,size=20001\\nstart=22528,size=59001\\n" | sfdisk -q --label dos disk.raw')
  runIn(cwd, 'qemu-img', 'convert', '-O', 'qcow2', 'disk.raw', 'vm.qcow2')
  const io = (...commands: string[]): void => {
    runIn(cwd, 'qemu-io', '-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), 'vm.qcow2')
  }
  io('write -q -P 5 2M 9M', 'write -q -P 6 20M 1M', 'write -q -P 7 39M 1M')
  const image: Machine['image'] = async (source, target, { since, ...options } = {}) =>
    await imageDisk(source.includes(':') ? source : at(source), at(target), {
      threads: 0,
      since: since === undefined ? undefined : at(since),
      ...options,
    })
  return {
    cwd,
    io,
    bitmap: (...args) => {
      runIn(cwd, 'qemu-img', 'bitmap', ...args.slice(0, -1), '-f', 'qcow2', 'vm.qcow2', args.at(-1) ?? '')
    },
    image,
    refused: async (code, source, options) => {
      let said = ''
      await assert.rejects(image(source, 'refused.qcow2', options), (error) => {
        said = isImageError(error) ? `${error.message} ${error.hint ?? ''}` : String(error)
        return isImageError(error) && error.code === code
      })
      assert.deepEqual(
        fs.readdirSync(cwd).filter((name) => name.includes('refused')),
        [],
      )
      return said
    },
  }
}

/** That a child is what the disk is, and its digests are those of all of it. */
async function assertSameDisk({ cwd, image }: Machine, child: string): Promise<void> {
  runIn(cwd, 'qemu-img', 'compare', '-q', 'vm.qcow2', child)
  runIn(cwd, 'qemu-img', 'check', '-q', child)
  await image('vm.qcow2', 'whole.qcow2', { force: true })
  const [whole, found] = ['whole.qcow2', child].map((name) => readImageRecord(join(cwd, name))?.digests)
  assert.deepEqual(found, whole, 'digests of the disk and of its partitions')
  using one = new KnownBlocks(join(cwd, 'whole.qcow2'))
  using other = new KnownBlocks(join(cwd, child))
  for (let offset = 0; offset < one.diskSize; offset += one.blockLength)
    assert.deepEqual(other.digests(offset, 1, one.diskSize), one.digests(offset, 1, one.diskSize), `block ${offset}`)
}

const changes = ['write -q -P 8 3M 128k', 'write -q -z 5M 2M', 'write -q -P 9 30M 64k', 'write -q -P 10 40960k 4k']

for (const place of ['a qcow2 image', 'an export of QEMU'])
  test(`${place}: only what its dirty bitmap lists is read, into a child that is the disk`, async (t) => {
    const here = machine(t)
    if (here === undefined || !have(t, 'qemu-nbd')) return
    const { cwd, io, bitmap } = here
    let served = 0
    const image = async (bitmaps: string[], target: string, options?: ImageDiskOptions): Promise<ImageDiskResult> => {
      if (place === 'a qcow2 image') return await here.image('vm.qcow2', target, options)
      // A disk that is served for reading has bitmaps that nobody writes.
      for (const name of bitmaps) bitmap('--disable', name)
      const socket = join(cwd, `socket${served++}`)
      const shown = bitmaps.flatMap((each) => ['-B', each])
      const args = ['-r', '-t', '-e', '8', '-f', 'qcow2', ...shown, '-k', socket, join(cwd, 'vm.qcow2')]
      const server = await startPeer(t, 'qemu-nbd', args, socket)
      const made = await here.image(`nbd+unix:///?socket=${socket}`, target, options)
      const ended = new Promise((next) => server.once('exit', next))
      server.kill('SIGKILL')
      await ended
      for (const name of bitmaps) bitmap('--enable', name)
      return made
    }
    bitmap('--add', 'one')
    await image(['one'], 'monday.qcow2')
    assert.deepEqual(readImageRecord(join(cwd, 'monday.qcow2'))?.bitmaps, [{ name: 'one', bytes: 0 }])

    io(...changes)
    bitmap('--add', 'two')
    const tuesday = { since: 'monday.qcow2', changed: 'one', verify: true }
    const made = await image(['one', 'two'], 'tuesday.qcow2', tuesday)
    assert.deepEqual([made.parent?.compared, made.bytesRead <= 12 * mebibyte], ['bitmap', true], String(made.bytesRead))
    assert.equal(made.plan.guards.find(({ guard }) => guard === 'bitmap')?.verdict, 'passed')
    assert.ok(fs.statSync(join(cwd, 'tuesday.qcow2')).size < 3 * mebibyte)
    await assertSameDisk(here, 'tuesday.qcow2')

    // The next one goes by its own bitmap, and the one after that by the digests.
    io('write -q -P 11 12M 1M', 'discard -q 2M 1M')
    await image(['one', 'two'], 'wednesday.qcow2', { since: 'tuesday.qcow2', changed: 'two' })
    await assertSameDisk(here, 'wednesday.qcow2')
    io('write -q -P 12 15M 64k')
    const thursday = await image([], 'thursday.qcow2', { since: 'wednesday.qcow2' })
    assert.equal(thursday.parent?.compared, 'digests')
    await assertSameDisk(here, 'thursday.qcow2')
  })

test('a disk that grew: what is new is read, whatever the bitmap lists', async (t) => {
  const here = machine(t)
  if (here === undefined) return
  const { cwd, io, bitmap, image } = here
  bitmap('--add', 'one')
  await image('vm.qcow2', 'monday.qcow2')
  runIn(cwd, 'qemu-img', 'resize', '-q', 'vm.qcow2', '52M')
  io('write -q -P 8 51M 64k', 'write -q -P 9 4M 64k')
  const words = ['image', 'vm.qcow2', 'tuesday.qcow2', '--since', 'monday.qcow2', '--changed', 'one', '--verify']
  const { code, stdout, stderr } = await vdisk([...words, '--json'], { cwd })
  assert.equal(code, 0, stderr)
  assertSchema('image', JSON.parse(stdout.toString()))
  assertSchema('image-record', JSON.parse(fs.readFileSync(join(cwd, 'tuesday.qcow2.vdisk.json'), 'utf8')))
  await assertSameDisk(here, 'tuesday.qcow2')
})

test('a bitmap that does not list all that has changed is refused, by name', async (t) => {
  const here = machine(t)
  if (here === undefined) return
  const { cwd, io, bitmap, image, refused } = here
  await image('vm.qcow2', 'monday.qcow2')
  const late = { since: 'monday.qcow2', changed: 'late' }
  await refused('E_NO_BITMAP', 'vm.qcow2', late)
  // Begun when the disk had changed already.
  io('write -q -P 8 3M 64k')
  bitmap('--add', 'late')
  io('write -q -P 9 30M 64k')
  const said = await refused('E_BITMAP_UNPROVEN', 'vm.qcow2', late)
  assert.match(said, /its record does not name it.*--allow-unproven-bitmap/)
  // What the hint says; and a block that shows that it is wrong.
  const shown = await refused('E_BITMAP_INCOMPLETE', 'vm.qcow2', { ...late, allowUnprovenBitmap: true })
  assert.match(shown, /the block at offset 3145728.*Leave out --changed/)
  await image('vm.qcow2', 'tuesday.qcow2', { since: 'monday.qcow2' })

  // Begun anew under the same name.
  io('write -q -P 10 33M 64k')
  await image('vm.qcow2', 'wednesday.qcow2', { since: 'tuesday.qcow2' })
  bitmap('--clear', 'late')
  io('write -q -P 11 34M 64k')
  const anew = { since: 'wednesday.qcow2', changed: 'late' }
  assert.match(await refused('E_BITMAP_UNPROVEN', 'vm.qcow2', anew), /lists 65536 bytes, and listed 131072/)
  const { plan } = await image('vm.qcow2', 'thursday.qcow2', { ...anew, allowUnprovenBitmap: true })
  assert.equal(plan.guards.find(({ guard }) => guard === 'bitmap')?.verdict, 'overridden')
  runIn(cwd, 'qemu-img', 'compare', '-q', 'vm.qcow2', 'thursday.qcow2')

  // Digests that are gone, and an image of what is in use alone, are no ground to stand on.
  fs.rmSync(join(cwd, 'thursday.qcow2.blocks'))
  const last = { since: 'thursday.qcow2', changed: 'late' }
  assert.match(await refused('E_BITMAP_UNPROVEN', 'vm.qcow2', last), /thursday\.qcow2\.blocks, which cannot be used/)
  await image('vm.qcow2', 'used.qcow2', { usedOnly: { ifDirty: 'whole' } })
  await refused('E_BITMAP_UNPROVEN', 'vm.qcow2', { since: 'used.qcow2', changed: 'late' })

  // A machine that was killed did not write it back.
  await image('vm.qcow2', 'friday.qcow2')
  const file = fs.readFileSync(join(cwd, 'vm.qcow2'))
  file.writeBigUInt64BE(0n, 88)
  fs.writeFileSync(join(cwd, 'vm.qcow2'), file)
  await refused('E_BITMAP_STALE', 'vm.qcow2', { since: 'friday.qcow2', changed: 'late' })
})

test('what is of other sources is refused', async (t) => {
  const here = machine(t)
  if (here === undefined) return
  const { cwd, image, refused } = here
  await refused('E_NOT_A_DEVICE', 'disk.raw')
  await refused('E_NOT_A_DEVICE', 'vm.qcow2', { freeze: true })
  await refused('E_NOT_A_DEVICE', 'vm.qcow2', { snapshot: 'auto' })
  await refused('E_RESUME', 'vm.qcow2', { resume: true })
  await refused('E_NO_BITMAP', 'disk.raw', { since: 'disk.raw', changed: 'one' })
  // The disk itself is never what is replaced.
  const before = fs.readFileSync(join(cwd, 'vm.qcow2'))
  await assert.rejects(image('vm.qcow2', 'vm.qcow2', { force: true }), { code: 'E_SAME_FILE' })
  assert.ok(fs.readFileSync(join(cwd, 'vm.qcow2')).equals(before))
})
