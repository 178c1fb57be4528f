import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { objections, sharedDisks } from '../../../src/device/safety.js'
import { recordedLinux, recording } from '../../support/recording.js'

interface Expected {
  name: string
  dev: string
  diskseq: number
  size: number
  model: string | null
  serial: string | null
  transport: string | null
  removable: boolean
  readOnly: boolean
  rotational: boolean
  logicalSector: number
  physicalSector: number
  discard: boolean
  kind: string
  system: boolean
  slaves: string[]
  partitions: { name: string; dev: string; number: number; start: number; size: number }[]
}

test('the recorded disks are read as they were', () => {
  const disks = recordedLinux().list()
  const expected = JSON.parse(readFileSync(join(recording, 'disks.json'), 'utf8')) as Expected[]
  assert.deepEqual(
    disks.map(({ name }) => name),
    expected.map(({ name }) => name),
  )
  const kinds: Readonly<Record<string, string>> = { dm: 'mapped', md: 'raid', disk: 'disk' }
  for (const [index, disk] of disks.entries()) {
    const other = expected[index]!
    assert.deepEqual(
      {
        dev: disk.deviceNumber,
        diskseq: disk.sequence,
        size: disk.size,
        serial: disk.serial ?? null,
        transport: disk.bus ?? null,
        removable: disk.removable,
        readOnly: disk.readOnly,
        rotational: disk.rotational,
        sectors: [disk.logicalSectorSize, disk.physicalSectorSize],
        discard: disk.discards,
        kind: disk.kind,
        system: disk.system.length > 0,
        slaves: disk.slaves,
        partitions: disk.partitions.map(({ name, deviceNumber, number, start, size }) => ({
          name,
          dev: deviceNumber,
          number,
          start,
          size,
        })),
      },
      {
        dev: other.dev,
        diskseq: other.diskseq,
        size: other.size,
        serial: other.serial,
        transport: other.transport,
        removable: other.removable,
        readOnly: other.readOnly,
        rotational: other.rotational,
        sectors: [other.logicalSector, other.physicalSector],
        discard: other.discard,
        kind: kinds[other.kind],
        system: other.system,
        slaves: other.slaves,
        partitions: other.partitions.map(({ name, dev, number, start, size }) => ({ name, dev, number, start, size })),
      },
      disk.name,
    )
    if (other.model !== null) assert.equal(disk.model, other.model)
  }
})

test('what speaks against writing to each recorded disk', () => {
  const platform = recordedLinux()
  const guards = (path: string): string[] => {
    const { disk, partition } = platform.find(path)
    return objections(disk, partition).map(({ guard, reason }) => `${guard}: ${reason}`)
  }
  assert.deepEqual(guards('/dev/sda'), [
    'system: disk /dev/sda holds swap space (/dev/sda3)',
    'held: /dev/sda1 is held by vg0-data (LVM, dm-0)',
    'held: /dev/sda2 is held by crypt (LUKS, dm-1)',
    'swap: /dev/sda3 is swap space in use',
  ])
  assert.deepEqual(guards('/dev/nvme0n1'), ['mounted: /dev/nvme0n1p1 is mounted at /w/nv (btrfs)'])
  assert.deepEqual(guards('/dev/sdb'), ['read-only: /dev/sdb is read-only'])
  assert.deepEqual(guards('/dev/sdc1'), ['mounted: /dev/sdc1 is mounted at /w/us (vfat)'])
  assert.deepEqual(guards('/dev/vda'), ['held: /dev/vda is held by md0 (RAID)'])
  assert.deepEqual(guards('/dev/md0'), ['mounted: /dev/md0 is mounted at /w/md (ext4)'])
})

test('the disks below files and devices, in all recorded pairs', () => {
  const platform = recordedLinux()
  const disksOf: Readonly<Record<string, string[]>> = {
    '/w/lv/a.vhdx': ['sda'],
    '/w/lk/a.vhdx': ['sda'],
    '/w/md/a.vhdx': ['vda', 'vdb'],
    '/w/nv/a.vhdx': ['nvme0n1'],
    '/w/us/a.vhdx': ['sdc'],
    '/dev/sda': ['sda'],
    '/dev/sda1': ['sda'],
    '/dev/nvme0n1p1': ['nvme0n1'],
    '/dev/sdc': ['sdc'],
    '/dev/vda': ['vda'],
    '/dev/md0': ['vda', 'vdb'],
    '/dev/dm-1': ['sda'],
  }
  for (const [path, disks] of Object.entries(disksOf)) {
    const { through, ...place } = platform.place(path)
    assert.deepEqual(place, { disks, elsewhere: [], unknown: [] }, path)
    assert.ok(
      disks.every((disk) => through?.includes(disk)),
      path,
    )
  }
  for (const [source, left] of Object.entries(disksOf)) {
    for (const [target, right] of Object.entries(disksOf)) {
      const shared = left.some((disk) => right.includes(disk))
      assert.equal(
        sharedDisks(platform.place(source), platform.place(target)).verdict,
        shared ? 'same' : 'different',
        `${source} and ${target}`,
      )
    }
  }
  const memory = platform.place('/run/a.vhdx')
  assert.deepEqual([memory.disks, memory.unknown], [[], []])
  assert.deepEqual(platform.place('/w/o/a.vhdx').elsewhere, ['9p out'])
  const overlay = platform.place('/root/a.vhdx')
  assert.deepEqual(overlay.disks, [])
  assert.equal(sharedDisks(overlay, platform.place('/dev/sda')).verdict, 'unknown')
})

test('a path that is no device is refused', () => {
  assert.throws(() => recordedLinux().find('/w/lv/a.vhdx'), { code: 'E_NOT_A_DEVICE' })
})
