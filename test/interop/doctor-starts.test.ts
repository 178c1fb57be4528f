/**
 * QEMU agrees with doctor about a small disk: GRUB for BIOS, which reads its menu by two steps, and a kernel of a few
 * bytes that prints its command line. Real systems: doctor-boots.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { doctor } from '../../src/operations/doctor/doctor.js'
import { mendGuest } from '../../src/operations/doctor/mending/mend.js'
import { biosGrub, grubPort } from '../support/boot-guest.js'
import { bios, emulator } from '../support/boots.js'
import { skipReason } from '../support/complete.js'
import { reachesRoot } from '../support/guest-start.js'
import {
  debianFiles,
  espImage,
  grubConfiguration,
  kernelVersion,
  putInto,
  rootImage,
  rootUuid,
  type GuestFiles,
} from '../support/linux-guest.js'
import { have, run, scratch } from '../support/tools.js'

const mebibyte = 1048576
const absent = '11111111-2222-3333-4444-555555555555'
const places = { core: 1, esp: 2, root: 10 } as const

/** A disk whose first menu looks for the filesystem with the second one. */
function startDisk(at: (name: string) => string, files: GuestFiles, searched: string): string {
  const disk = at('start.raw')
  fs.writeFileSync(disk, '')
  fs.truncateSync(disk, 44 * mebibyte)
  const types = ['-t', '1:ef02', '-t', '2:ef00', '-t', '3:8304']
  run('sgdisk', '-n', '1:2048:+1M', '-n', '2:4096:+8M', '-n', '3:20480:+32M', ...types, disk)
  const esp = at('esp-first.img')
  fs.copyFileSync(espImage(at, ''), esp)
  fs.writeFileSync(
    at('first.cfg'),
    `search.fs_uuid ${searched} root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n`,
  )
  run('mmd', '-i', esp, '::/grub')
  run('mcopy', '-i', esp, at('first.cfg'), '::/grub/grub.cfg')
  putInto(disk, esp, places.esp * mebibyte)
  putInto(disk, rootImage(at, files), places.root * mebibyte)
  biosGrub(at, disk, places.core, `${grubPort}configfile (hd0,gpt2)/grub/grub.cfg\n`)
  return disk
}

const menu = (root: string): string => `set timeout=0\n${grubConfiguration(`root=UUID=${root} ro console=ttyS0`)}`

test('a small disk starts where doctor says so, not where it is blocked, and again when it is mended', async (t) => {
  const programs = ['sgdisk', 'mke2fs', 'mkfs.vfat', 'mcopy', 'grub-mkimage', emulator]
  if (!programs.every((tool) => have(t, tool))) return
  if (!fs.existsSync('/usr/lib/grub/i386-pc/boot.img')) {
    t.skip(skipReason('GRUB for BIOS is not installed'))
    return
  }
  const at = scratch(t)
  const files = debianFiles()
  files['/boot/grub/grub.cfg'] = menu(rootUuid)
  const found = async (disk: string): Promise<readonly unknown[]> => {
    const { verdict, findings, notLooked } = await doctor(disk, { for: 'qemu' })
    assert.deepEqual(
      notLooked.filter(({ essential }) => essential),
      [],
    )
    return [verdict, ...findings.filter(({ severity }) => severity === 'blocks').map(({ id }) => id)]
  }
  const start = async (disk: string): ReturnType<typeof reachesRoot> => await reachesRoot(at, disk, bios, 'virtio')
  const sound = startDisk(at, files, rootUuid)
  assert.deepEqual(await found(sound), ['ready'])
  assert.match((await start(sound)).shown, new RegExp(`REACHED-ITS-ROOT \\S+ root=UUID=${rootUuid} ro`))
  // The first menu finds nothing, and the second one would name another root.
  files['/boot/grub/grub.cfg'] = menu(absent)
  const spoilt = startDisk(at, files, absent)
  assert.deepEqual(await found(spoilt), ['mendable', 'L-GRUB-SEARCH', 'L-ROOT-ABSENT'])
  const stopped = await start(spoilt)
  assert.equal(stopped.reached, false)
  assert.match(stopped.shown, /no such device: 11111111/)
  const mended = at('mended.raw')
  assert.equal((await mendGuest(spoilt, { for: 'qemu', output: mended })).verdict, 'ready')
  assert.match((await start(mended)).shown, new RegExp(`REACHED-ITS-ROOT \\S+ root=UUID=${rootUuid} ro`))
  // A kernel that is not there.
  files['/boot/grub/grub.cfg'] = menu(rootUuid)
  Reflect.deleteProperty(files, `/boot/vmlinuz-${kernelVersion}`)
  const empty = startDisk(at, files, rootUuid)
  assert.deepEqual(await found(empty), ['blocked', 'L-KERNEL-ABSENT'])
  assert.match((await start(empty)).shown, /vmlinuz-\S+' not found/)
})
