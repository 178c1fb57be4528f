/** A disk as a distribution makes it, with the boot loaders of the system's packages. */
import fs from 'node:fs'
import type { TestContext } from 'node:test'
import { run } from './tools.js'
import { skipReason } from './complete.js'

const mebibyte = 1048576

/** Debian package → the file of it that is used. */
const files = {
  'grub-pc-bin': '/usr/lib/grub/i386-pc/boot.img',
  'grub-efi-amd64-bin': '/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi',
  'shim-unsigned': '/usr/lib/shim/shimx64.efi',
  'syslinux-common': '/usr/lib/syslinux/mbr/mbr.bin',
  'systemd-boot-efi': '/usr/lib/systemd/boot/efi/systemd-bootx64.efi',
} as const

/** Whether the packages are installed: a visible skip, a failure where every test must run. */
export function haveBootLoaders(t: TestContext): boolean {
  const missing = Object.entries(files)
    .filter(([, path]) => !fs.existsSync(path))
    .map(([name]) => name)
  if (missing.length === 0) return true
  t.skip(skipReason(`${missing.join(', ')} not installed`))
  return false
}

/** The boot code of syslinux for MBR or GPT. */
export function syslinuxCode(kind: 'mbr' | 'gptmbr'): Buffer {
  return fs.readFileSync(files['syslinux-common'].replace('mbr.bin', `${kind}.bin`))
}

/**
 * A GPT disk of 96 MiB: BIOS boot with GRUB's core, ESP with shim, GRUB and systemd-boot, an ext4 root with os-release
 * behind a link.
 * @param at names of files in a folder of the test's own. @returns the disk's path.
 */
export function bootableDisk(at: (name: string) => string): string {
  const disk = at('disk.raw')
  fs.writeFileSync(disk, '')
  fs.truncateSync(disk, 96 * mebibyte)
  run(
    'sgdisk',
    '-n',
    '1:2048:+1M',
    '-t',
    '1:ef02',
    '-n',
    '2:0:+33M',
    '-t',
    '2:ef00',
    '-c',
    '2:EFI',
    '-n',
    '3:0:+48M',
    '-t',
    '3:8300',
    '-c',
    '3:root',
    disk,
  )
  const boot = fs.readFileSync(files['grub-pc-bin'])
  // As grub-install does it: the sector of the core in the boot code.
  boot.writeBigUInt64LE(2048n, 0x5c)
  write(disk, 0, boot.subarray(0, 440))
  write(disk, mebibyte, fs.readFileSync('/usr/lib/grub/i386-pc/diskboot.img'))
  write(disk, 2 * mebibyte, systemPartition(at))
  write(disk, 35 * mebibyte, root(at))
  return disk
}

function systemPartition(at: (name: string) => string): Buffer {
  const image = at('esp.img')
  fs.writeFileSync(image, '')
  fs.truncateSync(image, 33 * mebibyte)
  run('mkfs.vfat', '-F', '32', '-s', '1', '-n', 'EFI', image)
  run('mmd', '-i', image, '::/EFI', '::/EFI/BOOT', '::/EFI/debian', '::/EFI/systemd', '::/loader', '::/loader/entries')
  const put = (from: string, to: string): string => run('mcopy', '-i', image, from, `::${to}`)
  put(files['shim-unsigned'], '/EFI/BOOT/BOOTX64.EFI')
  put('/usr/lib/shim/fbx64.efi', '/EFI/BOOT/fbx64.efi')
  put(files['shim-unsigned'], '/EFI/debian/shimx64.efi')
  put(files['grub-efi-amd64-bin'], '/EFI/debian/grubx64.efi')
  put(files['systemd-boot-efi'], '/EFI/systemd/systemd-bootx64.efi')
  fs.writeFileSync(at('text'), 'set prefix=/boot/grub\n')
  put(at('text'), '/EFI/debian/grub.cfg')
  put(at('text'), '/loader/loader.conf')
  put(at('text'), '/loader/entries/debian.conf')
  return fs.readFileSync(image)
}

function root(at: (name: string) => string): Buffer {
  const tree = at('tree')
  for (const folder of ['etc', 'usr/lib', 'boot/grub', 'home/ann', 'var/log'])
    fs.mkdirSync(`${tree}/${folder}`, { recursive: true })
  fs.writeFileSync(
    `${tree}/usr/lib/os-release`,
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n',
  )
  fs.symlinkSync('../usr/lib/os-release', `${tree}/etc/os-release`)
  fs.writeFileSync(`${tree}/boot/grub/grub.cfg`, 'menuentry "Debian" {}\n')
  fs.writeFileSync(`${tree}/var/log/messages`, Buffer.alloc(9 * mebibyte, 'a message\n'))
  const image = at('root.img')
  run('mke2fs', '-q', '-t', 'ext4', '-L', 'root', '-d', tree, image, '48M')
  return fs.readFileSync(image)
}

function write(path: string, position: number, bytes: Uint8Array): void {
  const descriptor = fs.openSync(path, 'r+')
  fs.writeSync(descriptor, bytes, 0, bytes.length, position)
  fs.closeSync(descriptor)
}
