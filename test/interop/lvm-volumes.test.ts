import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { volumeGroups, openLogicalVolume, volumeNames } from '../../src/filesystem/index.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { listFiles } from '../../src/operations/files/list.js'
import { inspect } from '../../src/operations/inspect/inspect.js'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopsMissing } from '../support/loop.js'
import { fillVolume, lvm, partDevice, type DeviceOfGroup } from '../support/lvm.js'
import { linearSegment as linear, physicalVolume, rootVolume as root } from '../support/lvm-bytes.js'
import { run } from '../support/tools.js'
import { bufferVolume, emptyFile, haveAll, identify } from '../support/volumes.js'

const mebibyte = 1048576

/** A disk of three partitions: a small one, and two that are physical volumes of one group. */
function groupedDisk(t: TestContext, folder: string): { readonly disk: string; readonly devices: DeviceOfGroup[] } {
  const disk = emptyFile(join(folder, 'disk.raw'), 150 * mebibyte)
  fs.writeFileSync(join(folder, 'table'), 'label: gpt\nstart=2048,size=10MiB\nstart=12MiB,size=60MiB\nsize=70MiB\n')
  run('sh', '-c', `sfdisk --quiet ${disk} < ${join(folder, 'table')}`)
  const [, second, third] = (
    JSON.parse(run('sfdisk', '--json', disk)) as {
      partitiontable: { partitions: { start: number; size: number }[] }
    }
  ).partitiontable.partitions
  const devices = [second, third].map((part) => partDevice(t, disk, part!.start * 512, part!.size * 512))
  const paths = devices.map(({ path }) => path)
  lvm(paths, 'pvcreate', '-q', ...paths)
  lvm(paths, 'vgcreate', '-q', '-s', '1M', 'vg', ...paths)
  return { disk, devices }
}

test('volumes of LVM2, linear in pieces and striped, hold what was put to where LVM says', async (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'sfdisk', 'vgcreate', 'mke2fs')) return
  const cwd = testFolder(t)
  const { disk, devices } = groupedDisk(t, cwd)
  const paths = devices.map(({ path }) => path)
  const create = (...parameters: string[]): string =>
    lvm(paths, 'lvcreate', '-an', '-Zn', '-Wn', '-y', '-q', ...parameters)
  create('-n', 'root', '-L', '20M', 'vg')
  create('-n', 'second-volume', '-L', '5M', 'vg', paths[0]!)
  // In pieces on both physical volumes.
  lvm(paths, 'lvextend', '-y', '-q', '-L', '+20M', 'vg/root', paths[1]!)
  create('-n', 'striped', '-i', '2', '-I', '64k', '-L', '16M', 'vg')
  const contents = new Map<string, Buffer>()
  for (const [name, size] of [
    ['root', 40],
    ['second-volume', 5],
    ['striped', 16],
  ] as const) {
    const image = join(cwd, `${name}.ext4`)
    fs.mkdirSync(join(cwd, name, 'etc'), { recursive: true })
    fs.writeFileSync(join(cwd, name, 'etc/hostname'), `${name}\n`)
    fs.writeFileSync(join(cwd, name, 'noise'), diskLike(size * 50_000, size))
    emptyFile(image, size * mebibyte)
    run('mke2fs', '-q', '-F', '-t', 'ext4', '-d', join(cwd, name), image)
    contents.set(name, fs.readFileSync(image))
    fillVolume(disk, devices, `vg/${name}`, contents.get(name)!)
  }
  for (const [name, content] of contents) {
    await convert(`${disk}@lv=vg/${name}`, join(cwd, `${name}.out`), { to: 'raw', from: 'raw' })
    assert.ok(fs.readFileSync(join(cwd, `${name}.out`)).equals(content), name)
    const cat = await vdisk(['cat', `disk.raw@lv=vg/${name}:/etc/hostname`], { cwd })
    assert.deepEqual([cat.code, cat.stdout.toString()], [0, `${name}\n`], cat.stderr)
  }
  // In another format, and what is said where no volume, or no such volume, is named.
  assert.equal((await vdisk(['convert', 'disk.raw', 'disk.qcow2'], { cwd })).code, 0)
  const list = await listFiles(join(cwd, 'disk.qcow2@lv=vg/striped'), '/')
  assert.deepEqual(
    list.files.map(({ name }) => name),
    ['etc', 'lost+found', 'noise'],
  )
  const errors: readonly (readonly [string, RegExp])[] = [
    ['disk.qcow2:/', /partitions 1, 2, 3\. For a logical volume write disk\.qcow2@lv=vg\/root:\/path/],
    ['disk.qcow2@2:/', /holds logical volumes of LVM2.*\n.*vg\/root, vg\/second-volume, vg\/striped/s],
    ['disk.qcow2@lv=vg/none:/', /has no logical volume vg\/none.*\n.*It has vg\/root/s],
  ]
  for (const [address, says] of errors) {
    const result = await vdisk(['ls', address], { cwd })
    assert.equal(result.code, 2)
    assert.match(result.stderr, says)
  }
  // The hint helps.
  assert.equal((await vdisk(['ls', 'disk.qcow2@lv=vg/root:/etc'], { cwd })).stdout.toString(), 'hostname\n')
  for (const args of [
    ['extract', 'disk.qcow2@lv=vg/root', 'x.raw'],
    ['resize', 'disk.qcow2@lv=vg/root', '+1G'],
  ])
    assert.equal((await vdisk(args, { cwd })).code, 2, args.join(' '))
  const { partitions } = await inspect(join(cwd, 'disk.qcow2'))
  assert.deepEqual(
    partitions[1]?.filesystems[0]?.facts.map(({ value }) => value),
    ['vg', 1, 'root, second-volume, striped'],
  )
  const other = await vdisk(['ls', 'disk.raw@lv=vg/root'], { cwd: testFolder(t) })
  assert.equal(other.code, 2)
  // One physical volume alone: what lies on it whole is read, the others name the one that is missing.
  const bytes = fs.readFileSync(disk)
  const alone = volumeGroups([bufferVolume(bytes.subarray(devices[0]!.start, devices[0]!.start + 60 * mebibyte))])
  assert.equal(openLogicalVolume(alone, 'vg/second-volume', 'disk').capacity, 5 * mebibyte)
  assert.throws(() => openLogicalVolume(alone, 'vg/striped', 'disk'), { code: 'E_MISSING_MEMBER', kind: 'reference' })
})

test('volumes of LVM2 of other kinds are refused by their names', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'sfdisk', 'vgcreate')) return
  const folder = testFolder(t)
  const { disk, devices } = groupedDisk(t, folder)
  const paths = devices.map(({ path }) => path)
  const create = (name: string): string =>
    lvm(paths, 'lvcreate', '-an', '-Zn', '-Wn', '-y', '-q', '-n', name, '-L', '8M', 'vg')
  for (const name of ['meta', 'data', 'cow', 'origin']) create(name)
  const backup = join(folder, 'backup')
  lvm(paths, 'vgcfgbackup', '-f', backup, 'vg')
  // Thin pools and snapshots need the device mapper to be made; their metadata does not.
  const id = (seed: number): string => `${String(seed).padEnd(6, 'a')}-bbbb-cccc-dddd-eeee-ffff-gggggg`
  const volume = (name: string, seed: number, visible: boolean, segment: string): string =>
    `${name} {\nid = "${id(seed)}"\nstatus = ["READ", "WRITE"${visible ? ', "VISIBLE"' : ''}]\nflags = []\n` +
    `segment_count = 1\nsegment1 {\nstart_extent = 0\n${segment}\n}\n}\n`
  const text = fs
    .readFileSync(backup, 'utf8')
    .replace(/^(\s*logical_volumes \{)$/m, (start) =>
      [
        start,
        volume(
          'pool',
          1,
          true,
          'extent_count = 8\ntype = "thin-pool"\nmetadata = "pool_tmeta"\npool = "pool_tdata"\n' +
            'transaction_id = 1\nchunk_size = 128\ndiscards = "passdown"\nzero_new_blocks = 1',
        ),
        volume(
          'thin1',
          2,
          true,
          'extent_count = 20\ntype = "thin"\nthin_pool = "pool"\ntransaction_id = 0\ndevice_id = 1',
        ),
        volume(
          'snapshot0',
          3,
          false,
          'extent_count = 8\ntype = "snapshot"\nchunk_size = 8\norigin = "origin"\ncow_store = "cow"',
        ),
      ].join('\n'),
    )
    .replace(/(\n\s*)(meta|data)( \{[^[]*status = \[[^\]]*), "VISIBLE"/g, '$1pool_t$2$3')
  fs.writeFileSync(join(folder, 'edited'), text)
  lvm(paths, 'vgcfgrestore', '-q', '--force', '-f', join(folder, 'edited'), 'vg')
  const bytes = fs.readFileSync(disk)
  const groups = volumeGroups(
    devices.map(({ start }, index) => bufferVolume(bytes.subarray(start, start + [60, 70][index]! * mebibyte))),
  )
  assert.deepEqual(volumeNames(groups), ['vg/origin'])
  for (const [name, kind] of [
    ['thin1', 'thin'],
    ['pool', 'thin-pool'],
    ['cow', 'snapshot'],
  ] as const)
    assert.throws(() => openLogicalVolume(groups, `vg/${name}`, 'disk'), {
      code: 'E_FS_FEATURE',
      message: new RegExp(`vg/${name} is of the kind ${kind}`),
    })
  // Parts of others are no volumes.
  assert.throws(() => openLogicalVolume(groups, 'vg/pool_tdata', 'disk'), { code: 'E_NO_VOLUME' })
  const [facts] = [identify(bufferVolume(bytes.subarray(devices[0]!.start)))?.facts]
  assert.match(String(facts?.find(({ name }) => name === 'logicalVolumes')?.value), /thin1 \(thin\)/)
})

test('metadata of LVM2 that cannot be is refused, in bounded time', () => {
  const opened = (text: string): number => {
    const volume = bufferVolume(physicalVolume(text))
    // Recognising it never throws.
    identify(volume)
    return openLogicalVolume(volumeGroups([volume]), 'vg/root', 'disk').capacity
  }
  assert.equal(opened(root(linear(0, 4, 3) + linear(4, 2, 20))), 6 * 65536)
  const wrong: readonly string[] = [
    root(linear(0, 4, 46)),
    root(linear(0, 4, 99999999999)),
    root(linear(1, 4, 3)),
    root(linear(0, 4, 3) + linear(3, 2, 20)),
    root(linear(0, 0, 3)),
    root(linear(0, 4, '"x"')),
    root(linear(0, 4, 3).replace('pv0', 'pv7')),
    root(linear(0, 4, 3).replace('["pv0", 3]', '["pv0", 3, "pv0", 4, "pv0", 5]')),
    root(linear(0, 4, 3).replace('["pv0", 3]', '["pv0", 3, "pv0", 8]')),
    root(linear(0, 4, 3).replace('= ["pv0", 3]', '= []')),
    root(linear(0, 9007199254740991, 3)),
    root(linear(0, 4, 3)).replace('extent_size = 128', 'extent_size = 0'),
    root(linear(0, 4, 3)).replace('extent_size = 128', 'extent_size = 9007199254740991'),
    root(linear(0, 4, 3)).replace('seqno = 1', ''),
    'a {'.repeat(500),
    'vg { physical_volumes { x = [ 1, 2',
    'vg { physical_volumes { = } }',
    '"'.repeat(100_000),
    '# '.repeat(400_000),
    'no group at all = 1',
  ]
  for (const text of wrong)
    assert.throws(() => opened(text), { code: /^(E_FS_CORRUPT|E_NO_VOLUME)$/ }, text.slice(0, 300))
  // A text with a wrong checksum is none.
  const bytes = physicalVolume(root(linear(0, 4, 3)))
  bytes.writeUInt8(bytes[4700]! ^ 1, 4700)
  assert.deepEqual(volumeGroups([bufferVolume(bytes)]), [])
})
