import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { activityOf } from '../../../src/device/activity.js'
import { DarwinDisks } from '../../../src/device/darwin.js'
import { objections, sharedDisks } from '../../../src/device/safety.js'
import { WindowsDisks } from '../../../src/device/win32.js'
import { root } from '../../support/cli.js'

const reported = join(root, 'test/support/tool-output')
const reasons = (found: ReturnType<typeof objections>): string[] =>
  found.map(({ guard, reason }) => `${guard}: ${reason}`)

/** diskutil as reported, and a Mac's paths: numbers stand for filesystems. */
function mac(): DarwinDisks {
  const filesystems: Readonly<Record<string, number>> = {
    '/': 1,
    '/System/Volumes/Data': 2,
    '/Users/ann': 2,
    '/Volumes/boot & more': 3,
    '/Volumes/server': 9,
    '/Volumes/Installer': 4,
  }
  return new DarwinDisks(
    (tool, args) => {
      assert.equal(tool, '/usr/sbin/diskutil')
      const [verb, form, device] = args
      assert.equal(form, '-plist')
      const file = join(reported, 'darwin', `${verb === 'info' ? device! : 'list'}.plist`)
      assert.ok(existsSync(file), file)
      return readFileSync(file, 'utf8')
    },
    { real: (path) => path, filesystem: (path) => filesystems[path] },
  )
}

test('the disks of a Mac, as diskutil lists them', () => {
  const platform = mac()
  const disks = platform.list()
  assert.deepEqual(
    disks.map(({ path, kind, size, bus, model, removable, readOnly, logicalSectorSize }) => [
      path,
      kind,
      size,
      bus,
      model,
      removable,
      readOnly,
      logicalSectorSize,
    ]),
    [
      ['/dev/disk0', 'disk', 500277792768, 'nvme', 'APPLE SSD AP0512Z', false, false, 4096],
      ['/dev/disk3', 'mapped', 494384795648, 'nvme', 'APPLE SSD AP0512Z', false, false, 4096],
      ['/dev/disk4', 'disk', 31914983424, 'usb', 'MassStorageClass', true, false, 512],
      ['/dev/disk5', 'loop', 104857600, 'virtual', 'Disk Image', true, true, 512],
    ],
  )
  assert.deepEqual(
    disks[0]!.partitions.map(({ name, number, start, size }) => [name, number, start, size]),
    [
      ['disk0s1', 1, 24576, 524288000],
      ['disk0s2', 2, 524312576, 494384795648],
    ],
  )
  assert.deepEqual(reasons(objections(disks[0]!)), [
    'system: disk /dev/disk0 holds /',
    'system: disk /dev/disk0 holds /System/Volumes/Data',
    'held: /dev/disk0s2 is held by disk3 (APFS)',
  ])
  assert.deepEqual(reasons(objections(disks[2]!)), ['mounted: /dev/disk4s1 is mounted at /Volumes/boot & more (msdos)'])
  const { disk, partition } = platform.find('/dev/rdisk4s2')
  assert.deepEqual([disk.name, partition?.start], ['disk4', 272629760])
  for (const path of ['/dev/disk9', '/dev/disk4s9', 'disk4', '/dev/disk4x'])
    assert.throws(() => platform.find(path), { code: 'E_NOT_A_DEVICE' }, path)
  const activity = activityOf(platform, platform.find('/dev/disk0'))
  assert.deepEqual(
    activity.mounts.map(({ point, readOnly }) => [point, readOnly]),
    [
      ['/', true],
      ['/System/Volumes/Data', false],
    ],
  )
})

test('the disks below paths of a Mac', () => {
  const platform = mac()
  assert.deepEqual(platform.place('/Users/ann'), { disks: ['disk0'], elsewhere: [], unknown: [] })
  assert.deepEqual(platform.place('/dev/disk3s5').disks, ['disk0'])
  assert.deepEqual(platform.place('/Volumes/boot & more').disks, ['disk4'])
  assert.equal(sharedDisks(platform.place('/dev/disk0'), platform.place('/Users/ann')).verdict, 'same')
  assert.equal(sharedDisks(platform.place('/dev/disk4'), platform.place('/Users/ann')).verdict, 'different')
  assert.equal(sharedDisks(platform.place('/dev/disk4'), platform.place('/Volumes/server')).verdict, 'unknown')
})

test('what diskutil prints and is no property list is reported', () => {
  for (const text of ['', 'no', '<plist><dict>'])
    assert.throws(() => new DarwinDisks(() => text).list(), { code: 'E_TOOL' })
})

function windows(text = readFileSync(join(reported, 'windows.json'), 'utf8')): WindowsDisks {
  return new WindowsDisks((tool, args) => {
    assert.deepEqual([tool, args.length], ['powershell.exe', 4])
    return text
  })
}

test('the disks of a Windows, as PowerShell lists them', () => {
  const platform = windows()
  const disks = platform.list()
  assert.deepEqual(
    disks.map(({ path, kind, size, bus, model, serial, removable, readOnly, physicalSectorSize }) => [
      path,
      kind,
      size,
      bus,
      model,
      serial,
      removable,
      readOnly,
      physicalSectorSize,
    ]),
    [
      [
        '\\\\.\\PhysicalDrive0',
        'disk',
        512110190592,
        'nvme',
        'WDC PC SN730 SDBPNTY-512G-1006',
        'E823_8FA6_BF53_0001_001B_448B_4B12_3456.',
        false,
        false,
        4096,
      ],
      [
        '\\\\.\\PhysicalDrive1',
        'disk',
        64156073984,
        'usb',
        'Samsung Flash Drive FIT',
        '0376022070009999',
        true,
        false,
        512,
      ],
      ['\\\\.\\PhysicalDrive2', 'loop', 10737418240, 'virtual', 'Msft Virtual Disk', undefined, false, true, 4096],
    ],
  )
  assert.deepEqual(
    disks[0]!.partitions.map(({ number, start, uses }) => [number, start, uses.length]),
    [
      [1, 1048576, 1],
      [2, 105906176, 0],
      [3, 122683392, 1],
    ],
  )
  assert.deepEqual(reasons(objections(disks[0]!)).slice(0, 2), [
    'system: disk \\\\.\\PhysicalDrive0 holds the running Windows',
    'system: disk \\\\.\\PhysicalDrive0 holds what starts Windows',
  ])
  assert.deepEqual(
    objections(disks[1]!).map(({ guard }) => guard),
    ['mounted', 'mounted'],
  )
  assert.equal(platform.find('\\\\.\\physicaldrive1').disk.name, 'PhysicalDrive1')
  assert.equal(platform.find('\\\\?\\GLOBALROOT\\Device\\Harddisk0\\Partition3').partition?.number, 3)
  assert.throws(() => platform.find('\\\\.\\PhysicalDrive7'), { code: 'E_NOT_A_DEVICE' })
})

test('the disks below paths of a Windows', () => {
  const platform = windows()
  assert.deepEqual(platform.place('C:\\Users\\ann\\disk.vhdx').disks, ['PhysicalDrive0'])
  assert.deepEqual(
    platform.place('c:\\mnt\\stick\\disk.vhdx').disks,
    ['PhysicalDrive1'],
    'a folder that a volume is mounted at',
  )
  assert.deepEqual(platform.place('\\\\.\\PhysicalDrive1').disks, ['PhysicalDrive1'])
  assert.deepEqual(platform.place('\\\\server\\share\\disk.vhdx').elsewhere.length, 1)
  assert.equal(sharedDisks(platform.place('\\\\.\\PhysicalDrive0'), platform.place('Z:\\disk.vhdx')).verdict, 'unknown')
  assert.equal(platform.place('\\\\.\\PhysicalDrive2').unknown.length, 1)
})

test("PowerShell's answer may be anything", () => {
  assert.throws(() => windows('not JSON').list(), { code: 'E_TOOL' })
  for (const text of ['null', '[]', '{}', '{"disks":null}', '{"disks":5,"partitions":"x"}'])
    assert.ok(
      windows(text)
        .list()
        .every(({ size }) => size === 0),
      text,
    )
  // A list of one is no list.
  assert.equal(
    windows(
      '\ufeff{"disks":{"Number":4,"Size":1024},"partitions":{"DiskNumber":4,"PartitionNumber":1,"Offset":512,' +
        '"Size":512,"AccessPaths":"D:\\\\"}}',
    ).list()[0]!.partitions[0]!.uses.length,
    1,
  )
})
