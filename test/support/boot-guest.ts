/** Disks with a real kernel, initramfs and boot loader, and what is wrong with them. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import type { GuestRoot, InitramfsMaking } from './guest-root.js'
import { putInto, putIntoFat } from './linux-guest.js'
import { guestMarker } from './tiny-kernel.js'
import { fillVolume, lvm, partDevice } from './lvm.js'
import { run } from './tools.js'
import { systemdBoot, unifiedImage } from './unified-image.js'
import { withKernelMount } from './volumes.js'

const mebibyte = 1048576
export const ids = {
  root: '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d01',
  boot: '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d02',
  part: '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d03',
  absent: '11111111-2222-3333-4444-555555555555',
}

/** Parts that a disk can lack. `fallback`: the loader lies where another machine does not look. */
export type Part = 'bios' | 'uefi' | 'fallback' | 'kernel' | 'initramfs' | 'initramfs of the menu' | 'init'

export interface BootGuest {
  readonly filesystem: 'ext4' | 'xfs' | 'btrfs'
  readonly logical?: boolean
  /** Of btrfs: the subvolume that the system lies in. */
  readonly subvolume?: string
  readonly making: InitramfsMaking
  /** What root= says. */
  readonly root: string
  /** Further parameters of the kernel. */
  readonly parameters?: string
  /** Further lines of /etc/fstab. */
  readonly fstab?: string
  /** The filesystem that the menu looks for the kernel in, by its id. */
  readonly searched?: string
  /** The filesystem that GRUB looks for its menu in, by its id. */
  readonly menu?: string
  /** The files of drivers lie in /lib/modules, with the lists of all modules; otherwise only what is read of lists. */
  readonly drivers?: boolean
  /** What follows the initramfs. */
  readonly appended?: Buffer
  /** The system with systemd, which says so when it has reached its target; otherwise a shell of few files. */
  readonly systemd?: boolean
  /** systemd-boot starts a kernel with an initramfs, which both lie on the EFI system partition. */
  readonly onEsp?: boolean
  /** A unified kernel image, which firmware starts itself, or systemd-boot. */
  readonly unified?: 'alone' | 'systemd-boot'
  readonly without?: readonly Part[]
  /** Files of which the second half is gone. */
  readonly cut?: 'kernel' | 'initramfs'
  /** Seconds after which dracut and systemd say that a device is not there. */
  readonly patience?: number
}

/** Seconds; no machine is as slow as that. */
const longestWait = 600
/** MiB. */
const places = { core: 1, esp: 2, boot: 66, root: 194 } as const
const lengths = { core: 1, esp: 64, boot: 128, root: 400 } as const

/** A disk that starts by BIOS and by UEFI: a loader, /boot on ext4, and a root that says that it was reached. */
export function bootDisk(t: TestContext, at: (name: string) => string, guest: GuestRoot, spec: BootGuest): string {
  const disk = at('disk.raw')
  fs.writeFileSync(disk, '')
  fs.truncateSync(disk, (places.root + lengths.root + 2) * mebibyte)
  const types = { core: 'ef02', esp: 'ef00', boot: '8300', root: spec.logical === true ? '8e00' : '8304' }
  for (const [index, name] of (['core', 'esp', 'boot', 'root'] as const).entries()) {
    const number = index + 1
    const place = `${number}:${places[name] * 2048}:+${lengths[name]}M`
    run('sgdisk', '-n', place, '-t', `${number}:${types[name]}`, disk)
  }
  run('sgdisk', '-u', `4:${ids.part}`, disk)
  const initramfs = Buffer.concat([
    padded(fs.readFileSync(guest.initramfs(spec.making))),
    spec.appended ?? Buffer.alloc(0),
  ])
  bootLoaders(at, disk, guest, spec, initramfs)
  putInto(disk, bootImage(at, guest, spec, initramfs), places.boot * mebibyte)
  const root = rootImage(at, guest, spec)
  if (spec.logical !== true) putInto(disk, root, places.root * mebibyte)
  else {
    const devices = [partDevice(t, disk, places.root * mebibyte, lengths.root * mebibyte)]
    const paths = devices.map(({ path }) => path)
    lvm(paths, 'pvcreate', '-q', ...paths)
    lvm(paths, 'vgcreate', '-q', '-s', '1M', 'vg', ...paths)
    lvm(paths, 'lvcreate', '-an', '-Zn', '-Wn', '-y', '-q', '-n', 'root', '-L', `${lengths.root - 8}M`, 'vg')
    fillVolume(disk, devices, 'vg/root', fs.readFileSync(root))
  }
  return disk
}

const grubModules = 'part_gpt ext2 fat normal linux search search_fs_uuid configfile test echo serial terminal'

/** GRUB with what it does first, as an image for its firmware. */
function grubCore(at: (name: string) => string, target: string, early: string, ...more: readonly string[]): Buffer {
  fs.writeFileSync(at('early.cfg'), early)
  const image = ['-c', at('early.cfg'), '-p', '/grub', '-o', at(target)]
  run('grub-mkimage', '-O', target, ...image, ...grubModules.split(' '), ...more)
  return fs.readFileSync(at(target))
}

/** What GRUB reports is to be seen on the serial port. */
export const grubPort = 'serial --unit=0 --speed=115200\nterminal_output serial\n'

/** GRUB for BIOS in the boot code and a partition of its own. @param start MiB. */
export function biosGrub(at: (name: string) => string, disk: string, start: number, early: string): void {
  const bytes = grubCore(at, 'i386-pc', early, 'biosdisk')
  // As grub-install does it: the first sector of the core leads to the others, the boot code to the core.
  bytes.writeBigUInt64LE(BigInt(start * 2048 + 1), 500)
  bytes.writeUInt16LE(Math.ceil(bytes.length / 512) - 1, 508)
  const boot = fs.readFileSync('/usr/lib/grub/i386-pc/boot.img')
  boot.writeBigUInt64LE(BigInt(start * 2048), 0x5c)
  const file = fs.openSync(disk, 'r+')
  fs.writeSync(file, boot, 0, 440, 0)
  fs.writeSync(file, bytes, 0, bytes.length, start * mebibyte)
  fs.closeSync(file)
}

function bootLoaders(
  at: (name: string) => string,
  disk: string,
  guest: GuestRoot,
  spec: BootGuest,
  initramfs: Buffer,
): void {
  const searched = spec.menu ?? ids.boot
  const early = `${grubPort}search.fs_uuid ${searched} root\nset prefix=($root)/grub\nconfigfile $prefix/grub.cfg\n`
  const lacks = (part: Part): boolean => spec.without?.includes(part) === true
  const isGrub = spec.unified === undefined && spec.onEsp !== true
  if (!lacks('bios') && isGrub) biosGrub(at, disk, places.core, early)
  const esp = at('esp.img')
  fs.rmSync(esp, { force: true })
  run('mkfs.vfat', '-C', '-i', 'abcd1234', esp, String(lengths.esp * 1024))
  const fallback = lacks('fallback') ? '/EFI/debian/grubx64.efi' : '/EFI/BOOT/BOOTX64.EFI'
  if (spec.onEsp === true) {
    fs.writeFileSync(at('initrd'), initramfs)
    fs.writeFileSync(at('entry'), `linux /vmlinuz\ninitrd /initrd.img\noptions ${commandLine(spec)}\n`)
    putIntoFat(esp, systemdBoot, fallback)
    putIntoFat(esp, guest.kernel, '/vmlinuz')
    putIntoFat(esp, at('initrd'), '/initrd.img')
    putIntoFat(esp, at('entry'), '/loader/entries/debian.conf')
  } else if (spec.unified !== undefined) {
    const kernel = fs.readFileSync(guest.kernel)
    const parts = { kernel, initramfs, parameters: commandLine(spec), version: guest.version }
    const image = unifiedImage(at, parts)
    if (spec.unified === 'systemd-boot') putIntoFat(esp, systemdBoot, fallback)
    putIntoFat(esp, image, spec.unified === 'alone' ? fallback : `/EFI/Linux/debian-${guest.version}.efi`)
  } else if (!lacks('uefi')) {
    grubCore(at, 'x86_64-efi', early)
    putIntoFat(esp, at('x86_64-efi'), fallback)
  }
  putInto(disk, esp, places.esp * mebibyte)
}

function commandLine({ root, parameters = '', patience = longestWait }: BootGuest): string {
  // Without rootdelay= initramfs-tools waits for half a minute; with it the whole time, whatever it finds.
  const waits = `rd.retry=${patience} systemd.default_device_timeout_sec=${patience}`
  return `root=${root} ro console=ttyS0 panic=1 no_timer_check ${waits} init=/sbin/init ${parameters}`.trimEnd()
}

function bootImage(at: (name: string) => string, guest: GuestRoot, spec: BootGuest, initramfs: Buffer): string {
  const [tree, image] = [at('boot'), at('boot.img')]
  for (const path of [tree, image]) fs.rmSync(path, { recursive: true, force: true })
  fs.mkdirSync(join(tree, 'grub'), { recursive: true })
  const lacks = (part: Part): boolean => spec.without?.includes(part) === true
  const put = (name: string, bytes: Buffer, part: 'kernel' | 'initramfs'): void => {
    if (!lacks(part)) fs.writeFileSync(join(tree, name), bytes.subarray(0, bytes.length / (spec.cut === part ? 2 : 1)))
  }
  put(`vmlinuz-${guest.version}`, fs.readFileSync(guest.kernel), 'kernel')
  put(`initrd.img-${guest.version}`, initramfs, 'initramfs')
  const loads = lacks('initramfs of the menu') ? '' : ` initrd /initrd.img-${guest.version}\n`
  const search = ` search --no-floppy --fs-uuid --set=root ${spec.searched ?? ids.boot}\n`
  if (spec.unified === undefined && spec.onEsp !== true)
    fs.writeFileSync(
      join(tree, 'grub/grub.cfg'),
      `set default="0"\nset timeout=0\nmenuentry 'Debian' {\n${search}` +
        ` linux /vmlinuz-${guest.version} ${commandLine(spec)}\n${loads}}\n`,
    )
  run('mke2fs', '-q', '-t', 'ext4', '-O', '^metadata_csum_seed,^orphan_file', '-U', ids.boot, '-d', tree, image, '128M')
  return image
}

/** What follows begins at a multiple of 4: elsewhere the kernel reads no archive that is not compressed. */
function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
}

function rootImage(at: (name: string) => string, guest: GuestRoot, spec: BootGuest): string {
  const [tree, image] = [at('root'), at('root.img')]
  for (const path of [tree, image]) fs.rmSync(path, { recursive: true, force: true })
  fs.mkdirSync(tree)
  if (spec.systemd === true) systemRoot(tree, guest)
  else fewFiles(tree, guest, spec)
  // As every installed system has them: on a slow machine udevadm may lose its daemon ("Broken pipe"), and the script
  // of the initramfs that would move /dev into the root ends before it does.
  run('mknod', '-m', '600', join(tree, 'dev/console'), 'c', '5', '1')
  run('mknod', '-m', '666', join(tree, 'dev/null'), 'c', '1', '3')
  const device = spec.logical === true ? '/dev/mapper/vg-root' : `UUID=${ids.root}`
  const options = spec.subvolume === undefined ? 'defaults' : `subvol=${spec.subvolume}`
  fs.writeFileSync(
    join(tree, 'etc/fstab'),
    `${device} / ${spec.filesystem} ${options} 0 1\nUUID=${ids.boot} /boot ext4 defaults 0 2\n${spec.fstab ?? ''}`,
  )
  if (spec.without?.includes('init') === true) fs.rmSync(join(tree, 'usr/sbin/init'))
  makeFilesystem(at, tree, image, spec)
  return image
}

/** Of what debootstrap made: what a system starts with, and its default target says so. */
function systemRoot(tree: string, guest: GuestRoot): void {
  const emptied = ['mk', 'boot', 'proc', 'sys', 'dev', 'usr/share', 'var/cache', 'var/lib/apt', 'var/lib/dpkg']
  const left = ['usr/lib/modules/*/kernel', 'usr/lib/firmware', 'usr/lib/python3', 'usr/lib/x86_64-linux-gnu/perl*']
  const excludes = [...emptied.map((path) => `${path}/*`), ...left].map((path) => `--exclude=./${path}`)
  const archive = join(tree, '../root.tar')
  run('tar', '-C', guest.path, '-cf', archive, ...excludes, '.')
  run('tar', '-C', tree, '-xf', archive)
  fs.rmSync(archive)
  // What an initramfs does not bring along: /boot/efi.
  copyModules(tree, guest, moduleFiles(guest, ['vfat', 'nls_cp437', 'nls_ascii']))
  const units = join(tree, 'etc/systemd/system')
  fs.mkdirSync(join(units, 'reached.target.wants'))
  const after = 'After=multi-user.target'
  fs.writeFileSync(join(units, 'reached.target'), `[Unit]\nRequires=multi-user.target\n${after}\n`)
  const says = `/bin/sh -c 'while :; do echo ${guestMarker} > /dev/console; sleep 1; done'`
  fs.writeFileSync(join(units, 'reached.service'), `[Unit]\n${after}\n[Service]\nExecStart=${says}\n`)
  fs.symlinkSync('../reached.service', join(units, 'reached.target.wants/reached.service'))
  fs.mkdirSync(join(tree, 'etc/systemd/system.conf.d'), { recursive: true })
  fs.writeFileSync(
    join(tree, 'etc/systemd/system.conf.d/slow.conf'),
    `[Manager]\nDefaultTimeoutStartSec=${longestWait}s\n`,
  )
  fs.rmSync(join(units, 'default.target'), { force: true })
  fs.symlinkSync('reached.target', join(units, 'default.target'))
}

/** A shell that says that it was reached. */
function fewFiles(tree: string, guest: GuestRoot, spec: BootGuest): void {
  const put = (path: string, content: string, mode = 0o644): void => {
    fs.mkdirSync(dirname(join(tree, path)), { recursive: true })
    fs.writeFileSync(join(tree, path), content, { mode })
  }
  for (const folder of ['proc', 'sys', 'dev', 'run', 'tmp', 'boot', 'usr/bin', 'usr/lib', 'usr/lib64', 'usr/sbin'])
    fs.mkdirSync(join(tree, folder), { recursive: true })
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) fs.symlinkSync(`usr/${name}`, join(tree, name))
  put('usr/sbin/init', `#!/bin/sh\nwhile :; do echo ${guestMarker} > /dev/console; sleep 1; done\n`, 0o755)
  for (const path of ['usr/bin/dash', 'usr/bin/sleep', 'usr/lib64/ld-linux-x86-64.so.2'])
    fs.copyFileSync(join(guest.path, path), join(tree, path))
  fs.symlinkSync('dash', join(tree, 'usr/bin/sh'))
  const libraries = 'usr/lib/x86_64-linux-gnu'
  fs.mkdirSync(join(tree, libraries))
  fs.copyFileSync(join(guest.path, libraries, 'libc.so.6'), join(tree, libraries, 'libc.so.6'))
  put('etc/os-release', 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\n')
  if (spec.making.maker === 'dracut') put('usr/lib/dracut/skipcpio', '')
  else put('etc/initramfs-tools/modules', '')
  const lists = spec.drivers === true ? ['modules.alias', 'modules.softdep', 'modules.order'] : []
  const drivers = spec.drivers === true ? moduleFiles(guest, driverNames) : []
  copyModules(tree, guest, ['modules.builtin', 'modules.dep', ...lists, ...drivers])
}

/** Files of the folder of the modules. */
function copyModules(tree: string, guest: GuestRoot, names: readonly string[]): void {
  for (const name of names) {
    const target = join(tree, 'usr/lib/modules', guest.version, name)
    fs.mkdirSync(dirname(target), { recursive: true })
    fs.copyFileSync(join(guest.modules, name), target)
  }
}

const disks = ['virtio_blk', 'virtio_pci', 'virtio_scsi', 'nvme', 'ahci', 'sd_mod', 'vmw_pvscsi', 'mptspi']
const driverNames = [...disks, 'ext4']

function makeFilesystem(
  at: (name: string) => string,
  tree: string,
  image: string,
  { filesystem, subvolume }: BootGuest,
): void {
  fs.writeFileSync(image, '')
  fs.truncateSync(image, (lengths.root - 10) * mebibyte)
  if (filesystem === 'ext4') run('mke2fs', '-q', '-t', 'ext4', '-U', ids.root, '-d', tree, image)
  else {
    // Not by --rootdir of mkfs.btrfs, which gives devices no numbers.
    if (filesystem === 'btrfs') run('mkfs.btrfs', '-q', '-U', ids.root, image)
    else run('mkfs.xfs', '-q', '-m', `uuid=${ids.root}`, image)
    withKernelMount(image, at('mount'), 'rw', () => {
      const folder = join(at('mount'), subvolume ?? '')
      if (subvolume !== undefined) run('btrfs', '-q', 'subvolume', 'create', folder)
      run('cp', '-a', `${tree}/.`, folder)
    })
  }
}

/** The files of modules, with those of what they need, in the folder of the modules. */
function moduleFiles(guest: GuestRoot, names: readonly string[]): string[] {
  const dependencies = new Map(
    fs
      .readFileSync(join(guest.modules, 'modules.dep'), 'utf8')
      .split('\n')
      .map((line) => {
        const [path = '', rest = ''] = line.split(':')
        return [
          path,
          rest
            .trim()
            .split(' ')
            .filter((one) => one !== ''),
        ] as const
      }),
  )
  const wanted = [...dependencies.keys()].filter((path) => names.some((name) => path.includes(`/${name}.ko`)))
  return [...new Set(wanted.flatMap((path) => [path, ...(dependencies.get(path) ?? [])]))]
}

/** A module with what it needs, and the lists by which udev finds it, as an archive that follows an initramfs. */
export function moduleArchive(guest: GuestRoot, names: readonly string[]): Buffer {
  const lists = ['modules.dep', 'modules.dep.bin', 'modules.alias', 'modules.alias.bin', 'modules.softdep']
  const list = at(guest, [...moduleFiles(guest, names), ...lists])
  const archive = spawnSync('chroot', [guest.path, 'cpio', '-o', '-H', 'newc', '--quiet'], {
    input: list.join('\n'),
    maxBuffer: 256 * mebibyte,
  })
  assert.equal(archive.status, 0, archive.stderr.toString())
  return archive.stdout
}

/** Paths with their folders, from the root. */
function at(guest: GuestRoot, files: readonly string[]): string[] {
  const paths = files.map((path) => `usr/lib/modules/${guest.version}/${path}`)
  const folders = new Set(
    paths.flatMap((path) => path.split('/').map((_part, index, all) => all.slice(0, index).join('/'))),
  )
  return [...[...folders].filter((folder) => folder !== '').sort(), ...paths]
}
