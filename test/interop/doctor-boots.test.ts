/**
 * QEMU agrees with doctor: what is ready reaches its root, what is blocked does not. VDISK_GUEST_ROOT names the root of
 * a Debian system, as debootstrap makes it (docs/doctor.md); each start takes a minute without hardware virtualisation.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { doctor } from '../../src/operations/doctor/doctor.js'
import { emulator } from '../support/boots.js'
import { have, run, scratch } from '../support/tools.js'

const mebibyte = 1048576
const uuid = '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d01'
const absent = '11111111-2222-3333-4444-555555555555'
const marker = 'VDISK-GUEST-REACHED-ITS-ROOT'
const guestRoot = process.env['VDISK_GUEST_ROOT']
const loader = '/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi'

/** A copy of the root with a menu of its own, and a program that says that the root was reached. */
function guestTree(at: (name: string) => string, root: string): { readonly tree: string; readonly version: string } {
  const tree = at('tree')
  run('cp', '-a', root, tree)
  const version = fs.readdirSync(join(tree, 'boot')).flatMap((name) => /^vmlinuz-(.+)$/.exec(name)?.slice(1) ?? [])[0]
  assert.ok(version !== undefined, 'a kernel in /boot')
  fs.writeFileSync(
    join(tree, 'marker.sh'),
    `#!/bin/sh\necho ${marker} > /dev/console\nsync\n/usr/sbin/poweroff -f\nsleep 100\n`,
    { mode: 0o755 },
  )
  fs.writeFileSync(join(tree, 'etc/fstab'), `UUID=${uuid} / ext4 errors=remount-ro 0 1\n`)
  fs.mkdirSync(join(tree, 'boot/grub'), { recursive: true })
  return { tree, version }
}

const parameters = (root: string): string => `root=UUID=${root} ro console=ttyS0 init=/marker.sh panic=5`

/** A disk of 1 GiB with an EFI system partition and the root. */
function guestDisk(at: (name: string) => string, tree: string, version: string, root: string): string {
  fs.writeFileSync(
    join(tree, 'boot/grub/grub.cfg'),
    `set default="0"\nset timeout=0\nmenuentry 'Debian' {\n search --no-floppy --fs-uuid --set=root ${uuid}\n` +
      ` linux /boot/vmlinuz-${version} ${parameters(root)}\n initrd /boot/initrd.img-${version}\n}\n`,
  )
  const [image, esp, disk] = [at('root.img'), at('esp.img'), at('disk.raw')]
  for (const path of [image, esp, disk]) fs.rmSync(path, { force: true })
  run('mke2fs', '-q', '-t', 'ext4', '-U', uuid, '-d', tree, image, '900M')
  run('mkfs.vfat', '-C', esp, '16384')
  fs.writeFileSync(
    at('early.cfg'),
    `search.fs_uuid ${uuid} root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n`,
  )
  run('mmd', '-i', esp, '::/EFI', '::/EFI/BOOT', '::/EFI/debian')
  run('mcopy', '-i', esp, loader, '::/EFI/BOOT/BOOTX64.EFI')
  run('mcopy', '-i', esp, at('early.cfg'), '::/EFI/debian/grub.cfg')
  fs.writeFileSync(disk, '')
  fs.truncateSync(disk, 1024 * mebibyte)
  run('sgdisk', '-n', '1:2048:+16M', '-t', '1:ef00', '-n', '2:40960:+900M', '-t', '2:8304', disk)
  run('dd', `if=${esp}`, `of=${disk}`, 'bs=1M', 'seek=1', 'conv=notrunc', 'status=none')
  run('dd', `if=${image}`, `of=${disk}`, 'bs=1M', 'seek=20', 'conv=notrunc,sparse', 'status=none')
  return disk
}

/** Whether the root is reached, with the kernel of the tree started by QEMU itself. */
function reachesRoot(
  at: (name: string) => string,
  { tree, version, root, disk, device }: { tree: string; version: string; root: string; disk: string; device: string },
): boolean {
  const serial = at('serial.txt')
  fs.rmSync(serial, { force: true })
  const machine = ['-machine', 'q35', '-m', '512', '-display', 'none', '-monitor', 'none', '-net', 'none', '-no-reboot']
  const kernel = ['-kernel', join(tree, `boot/vmlinuz-${version}`), '-initrd', join(tree, `boot/initrd.img-${version}`)]
  const drive = ['-drive', `file=${disk},format=raw,if=none,id=disk,snapshot=on`, '-device', `${device},drive=disk`]
  spawnSync(emulator, [...machine, ...kernel, '-append', parameters(root), ...drive, '-serial', `file:${serial}`])
  const text = fs.readFileSync(serial, 'latin1')
  const reached = text.includes(marker)
  // What does not reach its root says so: silence would prove nothing.
  assert.ok(reached || text.includes('ALERT!'), text.slice(-2000))
  return reached
}

/**
 * The initramfs without modules: in the archive that is not compressed, where Debian keeps compressed modules, they get
 * other names; the packed one is made anew.
 */
function without(path: string, modules: readonly string[]): void {
  const bytes = fs.readFileSync(path)
  const trailer = bytes.lastIndexOf('TRAILER!!!')
  const start = bytes.indexOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Math.max(0, trailer))
  assert.ok(start >= 0, 'an initramfs packed with zstd')
  for (const name of modules)
    for (let at = bytes.indexOf(`/${name}.ko`); at >= 0 && at < start; at = bytes.indexOf(`/${name}.ko`, at + 1))
      bytes.write('/x', at, 'latin1')
  const pattern = new RegExp(`/(${modules.join('|')})\\.ko`)
  const { stdout } = spawnSync('zstd', ['-dc'], { input: bytes.subarray(start), maxBuffer: 1024 * mebibyte })
  const kept: Buffer[] = []
  for (let position = 0; position + 110 <= stdout.length;) {
    const size = Number.parseInt(stdout.toString('latin1', position + 54, position + 62), 16)
    const nameLength = Number.parseInt(stdout.toString('latin1', position + 94, position + 102), 16)
    if (Number.isNaN(size) || Number.isNaN(nameLength)) break
    const name = stdout.toString('latin1', position + 110, position + 109 + nameLength)
    const data = Math.ceil((position + 110 + nameLength) / 4) * 4
    const end = Math.ceil((data + size) / 4) * 4
    if (!pattern.test(name)) kept.push(stdout.subarray(position, end))
    position = end
    if (name === 'TRAILER!!!') break
  }
  const packed = spawnSync('zstd', ['-c', '-q'], { input: Buffer.concat(kept), maxBuffer: 1024 * mebibyte })
  fs.writeFileSync(path, Buffer.concat([bytes.subarray(0, start), packed.stdout]))
}

const tools = [emulator, 'mke2fs', 'mkfs.vfat', 'mcopy', 'sgdisk', 'zstd']

// A long proof, run by hand: it is a test only where there is a guest.
if (guestRoot !== undefined)
  test('a real guest: ready reaches its root, blocked does not', (t) => guestBoots(t, guestRoot))

async function guestBoots(t: TestContext, root: string): Promise<void> {
  if (!tools.every((tool) => have(t, tool))) return
  const at = scratch(t)
  const { tree, version } = guestTree(at, root)
  const initrd = join(tree, `boot/initrd.img-${version}`)
  const whole = fs.readFileSync(initrd)
  const verdict = async (disk: string, platform: string, ids: readonly string[]): Promise<string> => {
    const { verdict: found, findings } = await doctor(disk, { for: platform })
    const blocking = findings.filter(({ severity }) => severity === 'blocks').map(({ id }) => id)
    assert.deepEqual(blocking, ids, JSON.stringify(findings))
    return found
  }
  const common = { tree, version, root: uuid }
  const sound = guestDisk(at, tree, version, uuid)
  assert.equal(await verdict(sound, 'virtualbox', []), 'ready')
  assert.equal(reachesRoot(at, { ...common, disk: sound, device: 'ide-hd' }), true)
  without(initrd, ['ahci', 'ata_piix'])
  const poor = guestDisk(at, tree, version, uuid)
  assert.equal(await verdict(poor, 'virtualbox', ['L-INITRD-DRIVER']), 'blocked')
  assert.equal(reachesRoot(at, { ...common, disk: poor, device: 'ide-hd' }), false)
  assert.equal(await verdict(poor, 'qemu', []), 'ready')
  assert.equal(reachesRoot(at, { ...common, disk: poor, device: 'virtio-blk-pci' }), true)
  fs.writeFileSync(initrd, whole)
  const wrong = guestDisk(at, tree, version, absent)
  assert.equal(await verdict(wrong, 'qemu', ['L-ROOT-ABSENT']), 'blocked')
  assert.equal(reachesRoot(at, { ...common, root: absent, disk: wrong, device: 'virtio-blk-pci' }), false)
}
