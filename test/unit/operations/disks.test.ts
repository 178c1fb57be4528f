import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { view } from '../../../src/cli/view/disks.js'
import { viewText } from '../../support/view.js'
import type { DiskPlatform } from '../../../src/device/types.js'
import type { NamedDevice } from '../../../src/operations/device/argument.js'
import { disks } from '../../../src/operations/device/disks.js'
import { consistencyOf, guardSameDisk, heatOf, heatText } from '../../../src/operations/imaging/guards.js'
import { readSalvageMap, writeSalvageMap } from '../../../src/operations/imaging/salvage-map.js'
import { differencesFrom } from '../../../src/operations/device/origin.js'
import { testFolder } from '../../support/folder.js'
import { recordedLinux } from '../../support/recording.js'
import { assertSchema } from '../../support/schemas.js'

test('the recorded disks, as vdisk disks shows them', async () => {
  const platform = recordedLinux()
  const some = await disks({ platform, look: false })
  assert.deepEqual(
    some.disks.map(({ path }) => path),
    ['/dev/nvme0n1', '/dev/sda', '/dev/sdb', '/dev/sdc', '/dev/vda', '/dev/vdb'],
  )
  const all = await disks({ platform, look: false, all: true })
  assert.equal(all.disks.length, some.disks.length + some.hidden)
  assert.ok(all.disks.some(({ kind }) => kind === 'mapped') && all.disks.some(({ kind }) => kind === 'raid'))
  assertSchema('disks', JSON.parse(JSON.stringify({ schema: 'vdisk.disks', schemaVersion: 1, ...all })))
  const text = await viewText(view, all, true)
  assert.ok(!/[\0-\t\v-\x1f]/.test(text))
  // LVM, LUKS, swap and why, in the words of people.
  const sda = text.split('\n\n').find((part) => part.startsWith('/dev/sda:'))!
  assert.match(sda, /^\/dev\/sda: .*serial \S+/)
  assert.match(sda, /system disk +yes: it holds swap space \(\/dev\/sda3\)/)
  assert.match(
    sda,
    /writable +no, because .*\/dev\/sda1 is held by vg0-data \(LVM, dm-0\).*\/dev\/sda3 is swap space in use/,
  )
  assert.match(sda, /^ {2}\/dev\/sda2 .*LUKS crypt \(dm-1\)$/m)
  assert.match(text, /^\/dev\/nvme0n1: .*NVMe/m)
  assert.match(text, /^\/dev\/sdb: [\s\S]*?writable +no, because \/dev\/sdb is read-only$/m)
  assert.match(text, /^\/dev\/sdc: .*USB[\s\S]*?mounted at \/w\/us$/m)
  assert.match(text, /^\/dev\/md0: RAID, [\s\S]*?made of +vda, vdb$/m)
  const first = await viewText(view, some)
  assert.match(first, /^\/dev\/sda: .*serial \S+\n {2}.*system disk; not written: /m)
  assert.ok(first.split('\n').length <= 20)
  assert.match(await viewText(view, { disks: [], hidden: 1 }), /No disk was found\.\n\n1 other block device is/)
})

/** A device of the recorded system, without opening anything of this one. */
function named(platform: DiskPlatform, path: string): NamedDevice {
  const { disk, partition } = platform.find(path)
  return partition === undefined
    ? { kind: 'disk', name: path, path, disk, start: 0, size: disk.size }
    : { kind: 'partition', name: path, path, disk, device: partition, start: partition.start, size: partition.size }
}

test('who writes to a recorded disk or partition, also through LVM, LUKS and RAID', () => {
  const platform = recordedLinux()
  const heat = (path: string): string => {
    const found = heatOf(named(platform, path), platform)
    return `${found.hot ? 'hot' : 'cold'}: ${heatText(found)}`
  }
  assert.equal(
    heat('/dev/sda'),
    'hot: /dev/dm-0 is mounted at /w/lv (ext4); /dev/dm-1 is mounted at /w/lk (ext4); /dev/sda3 is swap space in use',
  )
  assert.equal(heat('/dev/sda1'), 'hot: /dev/dm-0 is mounted at /w/lv (ext4)')
  assert.equal(heat('/dev/sda3'), 'hot: /dev/sda3 is swap space in use')
  assert.equal(heat('/dev/vda'), 'hot: /dev/md0 is mounted at /w/md (ext4)')
  assert.equal(heat('/dev/nvme0n1p1'), 'hot: /dev/nvme0n1p1 is mounted at /w/nv (btrfs)')
  assert.equal(heat('/dev/sdb'), 'cold: ')
})

test('what the record will say of the moment', () => {
  const platform = recordedLinux()
  const hot = heatOf(named(platform, '/dev/sda1'), platform)
  const swap = heatOf(named(platform, '/dev/sda'), platform)
  const cold = heatOf(named(platform, '/dev/sdb'), platform)
  assert.equal(consistencyOf(cold, true).state, 'cold')
  assert.equal(consistencyOf(cold, false).state, 'crash-consistent', 'somebody that is not seen has it')
  assert.equal(consistencyOf(hot, false).state, 'crash-consistent')
  assert.deepEqual(consistencyOf(hot, false, { frozen: ['/w/lv'], refused: [] }), {
    state: 'frozen',
    why: 'frozen: /w/lv',
  })
  assert.deepEqual(consistencyOf(hot, false, { frozen: ['/w/lv'], refused: ['/boot/efi'] }), {
    state: 'crash-consistent',
    why: 'frozen: /w/lv; not frozen: /boot/efi',
  })
  assert.equal(
    consistencyOf(swap, false, { frozen: ['/w/lv', '/w/lk'], refused: [] }).state,
    'crash-consistent',
    'swap space is not frozen',
  )
  const readOnly = {
    ...hot,
    hot: false,
    written: [],
    mounts: hot.mounts.map((mount) => ({ ...mount, readOnly: true })),
  }
  assert.equal(consistencyOf(readOnly, false).state, 'cold')
})

test('the guard against the same disk, on all recorded pairs', () => {
  const platform = recordedLinux()
  const disksOf: Readonly<Record<string, string>> = {
    '/dev/sda': 'a',
    '/dev/sda1': 'a',
    '/dev/dm-1': 'a',
    '/dev/nvme0n1p1': 'n',
    '/dev/sdc1': 'c',
    '/dev/vdb': 'v',
    '/dev/md0': 'v',
  }
  const targets: Readonly<Record<string, string>> = {
    '/w/lv/x.vhdx': 'a',
    '/w/lk/new/x.vhdx': 'a',
    '/w/nv/x.vhdx': 'n',
    '/w/us/x.vhdx': 'c',
    '/w/md/x.vhdx': 'v',
    '/w/o/x.vhdx': '-',
    '/run/x.vhdx': '-',
  }
  for (const [source, disk] of Object.entries(disksOf)) {
    const device = named(platform, source)
    for (const [target, place] of Object.entries(targets)) {
      // The mounts of the recorded system are not here.
      const guard = (allowed: boolean): string =>
        guardSameDisk(device, { mounts: [], others: [], written: [], hot: false }, target, platform, allowed).verdict
      if (disk !== place) assert.equal(guard(false), 'passed', `${source} to ${target}`)
      else {
        assert.throws(() => guard(false), { code: 'E_SAME_DISK', kind: 'refused' }, `${source} to ${target}`)
        assert.equal(guard(true), 'overridden')
      }
    }
    // An overlay whose folders are another system's.
    assert.equal(
      guardSameDisk(device, { mounts: [], others: [], written: [], hot: false }, '/root/x.vhdx', platform, false)
        .verdict,
      'unknown',
    )
  }
})

test("a map of bad ranges is read as it was written, and ddrescue's own is", (t) => {
  const path = join(testFolder(t), 'disk.raw.map')
  const bad = [
    { offset: 0, length: 512 },
    { offset: 4096, length: 1024 },
    { offset: 2 ** 40, length: 512 },
  ]
  writeSalvageMap(path, 2 ** 40 + 512, bad, 'vdisk 0.1.0')
  assert.deepEqual(readSalvageMap(path, 2 ** 40 + 512), bad)
  // The example of GNU ddrescue's manual, "Mapfile structure", with what follows its last line.
  fs.writeFileSync(
    path,
    `# Mapfile. Created by GNU ddrescue version 1.30
# Command line: ddrescue -d -c18 /dev/fd0 fdimage mapfile
# Start time:   2015-07-21 09:37:44
# Current time: 2015-07-21 09:38:19
# Copying non-tried blocks... Pass 1 (forwards)
# current_pos  current_status  current_pass
0x00120000     ?               1
#      pos        size  status
0x00000000  0x00117000  +
0x00117000  0x00000200  -
0x00117200  0x00001000  /
0x00118200  0x00007E00  *
0x00120000  0x00048000  ?
`,
  )
  assert.deepEqual(readSalvageMap(path, 0x168000), [{ offset: 0x117000, length: 0x51000 }])
  assert.throws(() => readSalvageMap(path, 0x168200), { code: 'E_MAP' })
  assert.throws(() => readSalvageMap(`${path}.not`, 512), { code: 'E_NO_MAP', kind: 'reference' })
})

test('what distinguishes one disk from another', () => {
  const source = {
    kind: 'disk',
    path: '/dev/sda',
    size: 1000,
    logicalSectorSize: 512,
    physicalSectorSize: 512,
    serial: 'A',
    table: { scheme: 'gpt', diskId: 'x' },
  } as const
  assert.deepEqual(differencesFrom(source, { ...source, path: '/dev/sdb' }), [])
  assert.deepEqual(differencesFrom({ ...source, wwn: 'w' }, source), [], 'what is known once only')
  assert.deepEqual(differencesFrom(source, { ...source, serial: 'B\n', size: 2 }), [
    'its serial number is B\\u000a, and was A',
    'its size is 2, and was 1000',
  ])
  assert.equal(
    differencesFrom(source, { ...source, kind: 'partition', partition: { number: 1, start: 0, size: 1 } }).length,
    1,
  )
})
