import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import {
  commitChain,
  convertPartitionTable,
  createSnapshot,
  deleteSnapshot,
  extractPartition,
  extractSnapshot,
  fixTable,
  injectPartition,
  rebaseChain,
  relinkChain,
} from '../../src/index.js'
import { compact } from '../../src/operations/change/compact.js'
import { resize } from '../../src/operations/change/resize.js'
import { repair } from '../../src/operations/check/repair.js'
import { clone } from '../../src/operations/device/clone.js'
import { restore } from '../../src/operations/device/restore.js'
import { imageDisk } from '../../src/operations/imaging/image.js'
import { resumeImage } from '../../src/operations/imaging/resume.js'
import { openReadable } from '../../src/operations/open/opening.js'
import { openExposed } from '../../src/operations/serve/exposed-disk.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { create } from '../../src/operations/transfer/create.js'
import { vdisk } from '../support/cli.js'
import { farFolder } from '../support/far-folder.js'
import { faultyDisk, faultyDiskMissing } from '../support/faulty-disk.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576

async function codeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
    return 'done'
  } catch (error) {
    if (!isImageError(error)) throw error
    return `${error.kind} ${error.code}`
  }
}

function raw(path: string): string {
  fs.writeFileSync(path, '')
  fs.truncateSync(path, 16 * mebibyte)
  return path
}

/** A folder that is gone after the test, with what is mounted in it. */
function place(t: TestContext): (name: string) => string {
  const folder = fs.mkdtempSync('/tmp/vdisk-in-use-')
  t.after(() => {
    spawnSync('umount', [`${folder}/point`])
    fs.rmSync(folder, { recursive: true, force: true })
  })
  return (name) => `${folder}/${name}`
}

function mounted(device: string, point: string): void {
  run('mkfs.ext4', '-q', '-F', device)
  fs.mkdirSync(point)
  run('mount', device, point)
}

test(
  'a file that is mounted through a loop is changed, replaced and read by nobody unsaid',
  { skip: loopsMissing() },
  async (t) => {
    const at = place(t)
    const [image, other] = [raw(at('a.raw')), raw(at('b.raw'))]
    fs.linkSync(image, at('hard.raw'))
    fs.symlinkSync(image, at('link.raw'))
    mounted(loopDevice(t, image), at('point'))
    for (const name of [image, at('hard.raw'), at('link.raw')]) {
      for (const work of [
        () => resize(name, { capacity: 32 * mebibyte }),
        () => compact(name, { inPlace: true }),
        () => compact(name, { inPlace: true, allowInUse: true }),
        () => convert(other, name, { force: true }),
        () => convert(other, name, { force: true, dryRun: true }),
        () => create(name, { size: mebibyte, force: true }),
      ])
        assert.equal(await codeOf(work), 'refused E_MOUNTED', name)
      assert.throws(() => openExposed(name, { mode: 'write' }), { code: 'E_MOUNTED' })
    }
    assert.equal(fs.statSync(image).size, 16 * mebibyte)
    const codes = (options: { readonly allowInUse?: boolean }): string[] => {
      using opened = openReadable(image, options)
      return opened.notes.map(({ code }) => code)
    }
    assert.deepEqual(codes({}), ['W_IN_USE'])
    assert.deepEqual(codes({ allowInUse: true }), [])
  },
)

/** A parent and its child, a snapshot in either, as files that can be attached by loops. */
async function family(at: (name: string) => string): Promise<{ base: string; child: string }> {
  const [base, child] = [at('base.qcow2'), at('child.qcow2')]
  fs.writeFileSync(at('content.raw'), Buffer.alloc(16 * mebibyte, 'content '))
  await convert(at('content.raw'), base)
  await create(child, { parent: base })
  for (const name of [base, child]) await createSnapshot(name, 'kept')
  return { base, child }
}

test(
  'chains, snapshots and tables of a file that is mounted through a loop are changed by nobody',
  { skip: loopsMissing() },
  async (t) => {
    const at = place(t)
    const { base, child } = await family(at)
    await create(at('other.qcow2'), { size: 16 * mebibyte })
    // A filesystem beside the image's own bytes: where it lies in the file does not matter, the file is in use.
    const changes: readonly [string, string, () => Promise<unknown>][] = [
      ['chain commit', child, () => commitChain(child)],
      ['chain commit into it', base, () => commitChain(child, { allowOtherChildren: true })],
      ['chain commit --dry-run', base, () => commitChain(child, { dryRun: true })],
      ['chain rebase', child, () => rebaseChain(child, at('other.qcow2'))],
      ['chain rebase --no-parent', child, () => rebaseChain(child, undefined)],
      ['chain rebase --dry-run', child, () => rebaseChain(child, undefined, { dryRun: true })],
      ['chain relink', child, () => Promise.resolve().then(() => relinkChain(child, base))],
      ['chain relink --dry-run', child, () => Promise.resolve().then(() => relinkChain(child, base, { dryRun: true }))],
      ['snapshot create', base, () => createSnapshot(base, 'new')],
      ['snapshot create --dry-run', base, () => createSnapshot(base, 'new', { dryRun: true })],
      ['snapshot delete', base, () => deleteSnapshot(base, 'kept')],
      ['snapshot delete --dry-run', base, () => deleteSnapshot(base, 'kept', { dryRun: true })],
      [
        'snapshot extract over it',
        at('other.qcow2'),
        () => extractSnapshot(child, 'kept', at('other.qcow2'), { force: true }),
      ],
      ['repair', base, () => repair(base, { inPlace: true })],
      ['repair --dry-run', base, () => repair(base, { inPlace: true, dryRun: true })],
      ['compact', base, () => compact(base, { inPlace: true })],
      ['resize', base, () => resize(base, { capacity: 32 * mebibyte })],
      ['serve --write', base, () => Promise.resolve().then(() => openExposed(base, { mode: 'write' }))],
    ]
    for (const [name, held, work] of changes) {
      const bytes = [base, child].map((path) => fs.readFileSync(path))
      const { size } = fs.statSync(held)
      // Room for a filesystem at the end of the file, which is cut off again.
      fs.truncateSync(held, size + 4 * mebibyte)
      const device = run('losetup', '--find', '--show', '--offset', String(size), held).trim()
      try {
        mounted(device, at('point'))
        assert.equal(await codeOf(work), 'refused E_MOUNTED', name)
      } finally {
        spawnSync('umount', [at('point')])
        fs.rmSync(at('point'), { recursive: true, force: true })
        run('losetup', '--detach', device)
        fs.truncateSync(held, size)
      }
      for (const [index, path] of [base, child].entries())
        assert.ok(bytes[index]?.equals(fs.readFileSync(path)), `${name}: ${path} was changed`)
    }
    t.diagnostic(`${changes.length} changes`)
  },
)

test(
  'an image that is mounted through a loop is neither completed nor replaced',
  { skip: faultyDiskMissing() },
  async (t) => {
    const at = place(t)
    const far = farFolder(t)
    fs.writeFileSync(at('medium'), Buffer.alloc(16 * mebibyte, 7))
    const disk = await faultyDisk(t, at('medium'), { read: [[mebibyte, 4096]] })
    const target = `${far}/disk.raw`
    assert.equal((await imageDisk(disk.path, target)).unreadable.bytes, 4096)
    disk.setFaults({})
    const image = fs.readFileSync(target)
    const device = loopDevice(t, target, 512, '--offset', String(8 * mebibyte))
    for (const work of [
      () => resumeImage(disk.path, target),
      () => resumeImage(disk.path, target, { dryRun: true }),
      () => imageDisk(disk.path, target, { force: true }),
    ])
      assert.equal(await codeOf(work), 'refused E_IN_USE')
    assert.ok(image.equals(fs.readFileSync(target)))
    const { code, stderr } = await vdisk(['image', disk.path, target, '--resume'], { cwd: far })
    assert.equal(code, 3, stderr)
    assert.match(stderr, /--allow-in-use/)
    mounted(device, at('point'))
    for (const allowInUse of [false, true])
      for (const work of [
        () => resumeImage(disk.path, target, { allowInUse }),
        () => resumeImage(disk.path, target, { dryRun: true, allowInUse }),
        () => imageDisk(disk.path, target, { force: true, allowInUse }),
      ])
        assert.equal(await codeOf(work), 'refused E_MOUNTED')
    run('umount', at('point'))
    // What the filesystem wrote into the image is no part of the disk.
    fs.writeFileSync(target, image)
    const done = await vdisk(['image', disk.path, target, '--resume', '--allow-in-use'], { cwd: far })
    assert.equal(done.code, 0, done.stderr)
  },
)

test('a table and a partition of a mounted file are changed by nobody', { skip: loopsMissing() }, async (t) => {
  const at = place(t)
  const disk = raw(at('disk.raw'))
  const label = 'label: gpt\nfirst-lba: 2048\nsize=4MiB\nsize=8MiB\n'
  const made = spawnSync('sfdisk', ['-q', disk], { input: label, encoding: 'utf8' })
  assert.equal(made.status, 0, made.stderr)
  const content = at('content.raw')
  fs.writeFileSync(content, Buffer.alloc(mebibyte, 1))
  const device = loopDevice(t, disk, 512, '--offset', String(5 * mebibyte), '--sizelimit', String(8 * mebibyte))
  mounted(device, at('point'))
  const before = fs.readFileSync(disk).subarray(0, 5 * mebibyte)
  for (const [name, work] of [
    ['fix', () => fixTable(disk, { inPlace: true, newIds: true })],
    ['fix, allowed in use', () => fixTable(disk, { inPlace: true, newIds: true, allowInUse: true })],
    ['inject', () => injectPartition(`${disk}@1`, content, { inPlace: true })],
    ['inject --dry-run', () => injectPartition(`${disk}@1`, content, { inPlace: true, dryRun: true })],
    ['convert over it', () => convertPartitionTable(content, disk, { force: true })],
    ['extract over it', () => extractPartition(`${disk}@1`, disk, { force: true })],
  ] as const)
    assert.match(await codeOf(work), /^(refused E_(MOUNTED|SAME_FILE)|usage E_NO_TABLE)$/, name)
  assert.ok(before.equals(fs.readFileSync(disk).subarray(0, 5 * mebibyte)))
})

test('a file that is only attached is refused, and its one flag lets it pass', { skip: loopsMissing() }, async (t) => {
  const image = raw(place(t)('a.raw'))
  loopDevice(t, image, 512, '--offset', String(mebibyte))
  assert.equal(await codeOf(() => resize(image, { capacity: 32 * mebibyte })), 'refused E_IN_USE')
  assert.equal(await codeOf(() => resize(image, { capacity: 32 * mebibyte }, { allowInUse: true })), 'done')
})

test('disks are refused by their bytes', { skip: loopsMissing() }, async (t) => {
  const at = place(t)
  const [image, other] = [raw(at('a.raw')), raw(at('b.raw'))]
  const options = { dryRun: true, allowNoTable: true }
  const [one, two] = [loopDevice(t, image), loopDevice(t, image, 512, '--offset', String(mebibyte))]
  assert.match(await codeOf(() => clone(two, one, options)), /^refused (E_HELD|E_SOURCE_ON_TARGET)$/)
  assert.equal(
    await codeOf(() => clone(two, one, { ...options, allowHeld: true, fit: true })),
    'refused E_SOURCE_ON_TARGET',
  )
  const above = loopDevice(t, one)
  assert.match(await codeOf(() => restore(image, above, options)), /^refused/)
  mounted(one, at('point'))
  for (const target of [two, above])
    assert.equal(await codeOf(() => restore(other, target, options)), 'refused E_MOUNTED')
})

test(
  'the second device of a btrfs and a journal of its own are refused by the dry run too',
  { skip: loopsMissing() },
  async (t) => {
    if (!have(t, 'mkfs.btrfs')) return
    const at = place(t)
    const devices = ['a.raw', 'b.raw'].map((name) => {
      fs.writeFileSync(at(name), '')
      fs.truncateSync(at(name), 128 * mebibyte)
      return loopDevice(t, at(name))
    })
    run('mkfs.btrfs', '-q', '-f', ...devices)
    run('btrfs', 'device', 'scan', ...devices)
    fs.mkdirSync(at('point'))
    run('mount', devices[0] ?? '', at('point'))
    const source = raw(at('source.raw'))
    for (const device of devices)
      assert.match(
        await codeOf(() => restore(source, device, { dryRun: true, allowNoTable: true })),
        /^refused E_(MOUNTED|DEVICE_BUSY)$/,
        device,
      )
  },
)

test('what qemu-nbd writes to is neither changed nor replaced, and read with a warning', async (t) => {
  if (!have(t, 'qemu-nbd')) return
  const at = place(t)
  const image = at('vm.qcow2')
  await create(image, { size: 8 * mebibyte })
  const server = spawn('qemu-nbd', ['-f', 'qcow2', '-k', at('socket'), '-t', image], { stdio: 'ignore' })
  t.after(() => server.kill())
  while (!fs.existsSync(at('socket'))) await pause(50)
  const source = raw(at('b.raw'))
  for (const work of [
    () => convert(source, image, { force: true }),
    () => resize(image, { capacity: 16 * mebibyte }),
    () => repair(image, { inPlace: true, dryRun: true }),
    () => compact(image, { inPlace: true, allowInUse: true }),
  ])
    assert.equal(await codeOf(work), 'refused E_LOCKED')
  const { notes } = await convert(image, at('copy.raw'))
  assert.deepEqual(
    notes.map(({ code }) => code),
    ['W_IN_USE'],
  )
})

test('what vdisk shows for reading is not changed meanwhile', async (t) => {
  const image = raw(place(t)('a.raw'))
  {
    using _shown = openExposed(image, { mode: 'read-only' })
    assert.equal(await codeOf(() => resize(image, { capacity: 32 * mebibyte })), 'refused E_LOCKED')
    assert.equal(_shown.disk.capacity, 16 * mebibyte)
  }
  assert.equal(await codeOf(() => resize(image, { capacity: 32 * mebibyte })), 'done')
})
