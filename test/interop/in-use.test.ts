import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { compact } from '../../src/operations/change/compact.js'
import { resize } from '../../src/operations/change/resize.js'
import { repair } from '../../src/operations/check/repair.js'
import { clone } from '../../src/operations/device/clone.js'
import { restore } from '../../src/operations/device/restore.js'
import { openReadable } from '../../src/operations/open/opening.js'
import { openExposed } from '../../src/operations/serve/exposed-disk.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { create } from '../../src/operations/transfer/create.js'
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
