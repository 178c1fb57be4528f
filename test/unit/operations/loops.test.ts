import assert from 'node:assert/strict'
import test from 'node:test'
import { mountOf, parseMounts } from '../../../src/device/mounts.js'
import { mayLieOn } from '../../../src/device/writers.js'

const mounts = parseMounts(
  [
    '21 1 8:1 / / rw - ext4 /dev/sda1 rw',
    '22 21 0:50 / /mnt/served rw - fuse.vdisk vdisk rw',
    '23 21 0:51 / /mnt/far rw - nfs4 server:/ rw',
    '24 21 0:30 /@home /home rw - btrfs /dev/sdb1 rw',
  ].join('\n'),
)
const root = '8:1'
const served = '0:50'

test('a file behind a server that may hang is only asked about for a file of the same filesystem', () => {
  const may = (path: string, device: string): boolean => mayLieOn(mountOf(path, mounts), device)
  assert.equal(may('/mnt/served/disk.raw', root), false)
  assert.equal(may('/mnt/far/disk.raw', root), false)
  assert.equal(may('/mnt/served/disk.raw', served), true)
  assert.equal(may('/images/disk.raw', root), true)
  // A subvolume of btrfs has another number than its mount.
  assert.equal(may('/home/disk.raw', root), true)
  // A path of another mount namespace says nothing.
  assert.equal(mayLieOn(undefined, root), true)
})
