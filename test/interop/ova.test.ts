import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { decodeTarHeader, encodeTarHeader } from '../../src/binary/tar-header.js'
import { check } from '../../src/operations/check/check.js'
import { info } from '../../src/operations/inspect/info.js'
import { openDisk } from '../../src/operations/open/opening.js'
import { convert, type ConvertOptions } from '../../src/operations/transfer/convert.js'
import { bios, boots, emulator, haveUefi } from '../support/boots.js'
import { vdisk } from '../support/cli.js'
import { diskLike, readAll } from '../support/content.js'
import { fixture } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { have, run, scratch } from '../support/tools.js'

const mebibyte = 2 ** 20
const tools = ['tar', 'qemu-img', 'xmllint'] as const

interface Made {
  readonly folder: string
  readonly raw: string
  readonly ova: string
  readonly content: Uint8Array
}

async function made(t: TestContext, options: ConvertOptions = {}): Promise<Made> {
  const folder = testFolder(t)
  const content = diskLike(3 * mebibyte + 512 * 3, 4)
  const raw = join(folder, 'disk.raw')
  fs.writeFileSync(raw, content)
  const ova = join(folder, 'server.ova')
  await convert(raw, ova, options)
  return { folder, raw, ova, content }
}

test('OVA: tar, xmllint, sha256 and qemu-img agree with what is written', async (t) => {
  if (!tools.every((tool) => have(t, tool))) return
  const { folder, raw, ova } = await made(t, {
    verify: true,
    appliance: {
      cpus: 2,
      memory: 4096 * mebibyte,
      firmware: 'uefi',
      os: 'debian12',
      name: 'A & "B" <C>',
      networks: ['lan'],
    },
  })
  const names = run('tar', '-tf', ova).trim().split('\n')
  assert.deepEqual(names, ['server.ovf', 'server.mf', 'server-disk1.vmdk'])
  run('tar', '-C', folder, '-xf', ova)
  const at = (name: string): string => join(folder, name)
  run('xmllint', '--noout', at('server.ovf'))
  const [, digests] = [0, fs.readFileSync(at('server.mf'), 'utf8')]
  const lines = ['server.ovf', 'server-disk1.vmdk'].map(
    (name) =>
      `SHA256(${name})= ${createHash('sha256')
        .update(fs.readFileSync(at(name)))
        .digest('hex')}\n`,
  )
  assert.equal(digests, lines.join(''))
  run('qemu-img', 'compare', '-f', 'raw', '-F', 'vmdk', raw, at('server-disk1.vmdk'))
  const value = (path: string): string =>
    run(
      'xmllint',
      '--xpath',
      `string(${path.replaceAll(/\/(\w+)/g, "/*[local-name()='$1']")})`,
      at('server.ovf'),
    ).trim()
  assert.equal(value('/Envelope/VirtualSystem/Name'), 'A & "B" <C>')
  assert.equal(
    value('/Envelope/References/File/@*[local-name()="size"]'),
    String(fs.statSync(at('server-disk1.vmdk')).size),
  )
  assert.equal(value('/Envelope/DiskSection/Disk/@*[local-name()="capacity"]'), String(fs.statSync(raw).size))
  // The schema wants the elements of an item in the order of the alphabet.
  const items = fs.readFileSync(at('server.ovf'), 'utf8').match(/<Item>[^]*?<\/Item>/g) ?? []
  assert.equal(items.length, 5)
  for (const item of items) {
    const order = [...item.matchAll(/<rasd:(\w+)>/g)].map(([, name = '']) => name)
    assert.deepEqual(order, order.toSorted())
  }
})

test('OVA: qemu-img reads the disk where it lies in the archive', async (t) => {
  if (!have(t, 'qemu-img')) return
  const { raw, ova } = await made(t)
  const bytes = fs.readFileSync(ova)
  const offset = bytes.indexOf('KDMV')
  const size = decodeTarHeader(bytes.subarray(offset - 512, offset))?.size
  const inner = { driver: 'vmdk', file: { driver: 'raw', offset, size, file: { driver: 'file', filename: ova } } }
  run('qemu-img', 'compare', '-f', 'raw', raw, `json:${JSON.stringify(inner)}`)
})

test('OVA: what is written is read again, the machine too, and check finds nothing', async (t) => {
  const { ova, content } = await made(t, {
    appliance: {
      cpus: 3,
      memory: 1536 * mebibyte,
      firmware: 'uefi',
      os: 'ubuntu24.04',
      name: 'x',
      networks: ['a', 'b', 'a'],
    },
    options: { adapter: 'pvscsi', 'hardware-version': 19 },
  })
  using opened = openDisk(ova, {})
  assert.deepEqual(readAll(opened), content)
  const { appliance, notes } = info(ova)
  assert.deepEqual(notes, [])
  assert.deepEqual(appliance?.machines, [
    {
      name: 'x',
      os: 'ubuntu64Guest',
      cpus: 3,
      memory: 1536 * mebibyte,
      firmware: 'uefi',
      hardware: 'vmx-19',
      networks: ['a', 'b', 'a'],
      disks: ['vmdisk1'],
    },
  ])
  assert.equal(appliance.disks[0]?.controller, 'scsi VirtualSCSI')
  const { clean, layers } = await check(ova, { deep: true })
  assert.ok(clean, JSON.stringify(layers))
})

test('OVA: a pipe gets the same bytes as a file', async (t) => {
  const { folder, raw } = await made(t)
  const options = { uuid: '11111111-2222-4333-8444-555555555555', time: 1e9, appliance: { name: 'pipe' } }
  await convert(raw, join(folder, 'pipe.ova'), { ...options, addDisks: [raw] })
  const pieces: Uint8Array[] = []
  await convert(
    raw,
    {
      output: (bytes) => {
        pieces.push(Uint8Array.from(bytes))
        return Promise.resolve()
      },
    },
    { ...options, to: 'ova', addDisks: [raw] },
  )
  assert.ok(Buffer.concat(pieces).equals(fs.readFileSync(join(folder, 'pipe.ova'))))
})

test('OVA: several disks, of several formats, each compared', async (t) => {
  const { folder, raw } = await made(t)
  const second = diskLike(2 * mebibyte, 8)
  fs.writeFileSync(join(folder, 'second.raw'), second)
  await convert(join(folder, 'second.raw'), join(folder, 'second.qcow2'))
  const result = await vdisk(
    [
      'convert',
      'disk.raw',
      'both.ova',
      '--add-disk',
      'second.qcow2',
      '--add-disk',
      'disk.raw',
      '--verify',
      '--adapter',
      'ide',
    ],
    { cwd: folder },
  )
  assert.equal(result.code, 0, result.stderr)
  const both = join(folder, 'both.ova')
  using two = openDisk(`${both}@disk=2`, {})
  assert.deepEqual(readAll(two), second)
  using three = openDisk(`${both}@disk=both-disk3.vmdk`, {})
  assert.ok(fs.readFileSync(raw).equals(readAll(three)))
  const ids = [1, 2, 3].map((number) => openDisk(`${both}@disk=${number}`, {}))
  assert.equal(new Set(ids.map(({ top }) => top.image.identity)).size, 3)
  for (const image of ids) image[Symbol.dispose]()
  const { clean } = await check(`${both}@disk=3`, { deep: true })
  assert.ok(clean)
})

test('OVA: what cannot be is refused before anything is written', async (t) => {
  const { folder } = await made(t)
  for (const [words, code] of [
    [['a.qcow2', '--cpus', '2'], 2],
    [['a.qcow2', '--add-disk', 'disk.raw'], 2],
    [['a.ova', '--cpus', '0'], 2],
    [['a.ova', '--memory', '1K'], 2],
    [['a.ova', '--os', 'plan 9'], 2],
    [['a.ova', '--firmware', 'coreboot'], 2],
    [['a.ova', '-o', 'subformat=monolithicFlat'], 2],
    [['a.ova', '-o', 'adapter=legacyESX'], 2],
    [['a.ova', '--firmware', 'uefi', '-o', 'hardware-version=7'], 2],
    [['a.ova', '--parent', 'disk.raw'], 2],
    [['a.ova', '--add-disk', 'missing.raw'], 2],
    [['a.ova', '--adapter', 'ide', ...Array.from({ length: 4 }, () => ['--add-disk', 'disk.raw']).flat()], 2],
    [['server.ova'], 7],
    [['a.ovf'], 2],
  ] as const) {
    const result = await vdisk(['convert', 'disk.raw', ...words], { cwd: folder })
    assert.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`)
  }
  assert.deepEqual(fs.readdirSync(folder).sort(), ['disk.raw', 'server.ova'])
})

test('OVA: a new one over the one that it is made of is refused', async (t) => {
  const { ova } = await made(t)
  const before = fs.readFileSync(ova)
  await assert.rejects(convert(ova, ova, { force: true }), { code: 'E_SAME_FILE' })
  await assert.rejects(convert(fixture('partitioned-disk.vhdx'), ova, { force: true, addDisks: [ova] }), {
    code: 'E_SAME_FILE',
  })
  assert.deepEqual(fs.readFileSync(ova), before)
})

test('OVA: a member of more than 8 GiB has a size that tar reads', (t) => {
  if (!have(t, 'tar')) return
  const at = scratch(t)
  for (const size of [0, 8 ** 11 - 1, 8 ** 11, 2 ** 41 + 5]) {
    const header = encodeTarHeader({ name: Buffer.from('disk.vmdk'), size, time: 1e9 })
    assert.equal(decodeTarHeader(header)?.size, size)
    const file = fs.openSync(at('big.tar'), 'w')
    fs.writeSync(file, header)
    fs.ftruncateSync(file, 512 + Math.ceil(size / 512) * 512 + 1024)
    fs.closeSync(file)
    const [, , listed] = run('tar', '-tvf', at('big.tar')).trim().split(/\s+/)
    assert.equal(Number(listed), size)
  }
})

test('tar: sparse files of GNU tar, made by tar and by vdisk, are read', async (t) => {
  if (!have(t, 'tar')) return
  const folder = testFolder(t)
  const raw = join(folder, 'disk.raw')
  const file = fs.openSync(raw, 'w')
  fs.ftruncateSync(file, 40 * mebibyte)
  for (let piece = 0; piece < 30; piece++)
    fs.writeSync(file, diskLike(20480, piece + 1), 0, 20480, piece * mebibyte + 65536)
  fs.closeSync(file)
  const content = fs.readFileSync(raw)
  run('tar', '-C', folder, '--format=gnu', '-S', '-cf', join(folder, 'theirs.tar'), 'disk.raw')
  assert.ok(fs.statSync(join(folder, 'theirs.tar')).size < 2 * mebibyte)
  await convert(raw, join(folder, 'ours.tar.gz'), { for: 'gce' })
  for (const name of ['theirs.tar', 'ours.tar.gz']) {
    using opened = openDisk(join(folder, name), {})
    const found = Buffer.from(readAll(opened).subarray(0, content.length))
    assert.ok(found.equals(content), name)
  }
})

test('OVA: the firmware is what the disk starts with, unless it is said', async (t) => {
  const folder = testFolder(t)
  const raw = join(folder, 'disk.raw')
  await convert(fixture('partitioned-disk.vhdx'), raw)
  const firmware = async (options?: ConvertOptions): Promise<string | undefined> => {
    await convert(raw, join(folder, 'vm.ova'), { ...options, force: true })
    return info(join(folder, 'vm.ova')).appliance?.machines[0]?.firmware
  }
  assert.equal(await firmware(), 'bios')
  const file = fs.openSync(raw, 'r+')
  // Without the boot code of the first sector only UEFI is left.
  fs.writeSync(file, Buffer.alloc(440), 0, 440, 0)
  fs.closeSync(file)
  assert.equal(await firmware(), 'uefi')
  assert.equal(await firmware({ appliance: { firmware: 'bios' } }), 'bios')
})

test('OVA: the disk in it boots', async (t) => {
  if (!have(t, 'tar') || !have(t, emulator)) return
  const uefi = haveUefi(t)
  if (uefi === undefined) return
  const at = scratch(t)
  await convert(fixture('partitioned-disk.vhdx'), at('vm.ova'))
  run('tar', '-C', at('.'), '-xf', at('vm.ova'))
  for (const firmware of [bios, uefi]) await boots(firmware, at('vm-disk1.vmdk'), 'vmdk', at)
})
