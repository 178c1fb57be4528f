/** Disks with a real kernel, initramfs and GRUB, and what QEMU makes of them. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { emulator, type Firmware } from './boots.js'
import { putInto } from './linux-guest.js'
import { guestMarker } from './tiny-kernel.js'
import { fillVolume, lvm, partDevice } from './lvm.js'
import { run } from './tools.js'
import { withKernelMount } from './volumes.js'

const mebibyte = 1048576
export const ids = {
  root: '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d01',
  boot: '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d02',
  part: '7b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d03',
  absent: '11111111-2222-3333-4444-555555555555',
}

/** What an initramfs of a guest is made with. */
export interface InitramfsMaking {
  readonly name: string
  readonly maker: 'initramfs-tools' | 'dracut'
  readonly modules: readonly string[]
}

const scsi = ['sym53c8xx', 'mptspi', 'mptsas', 'megaraid_sas', 'vmw_pvscsi', 'sd_mod']
const disks = ['virtio_pci', 'virtio_blk', 'virtio_scsi', 'nvme', 'ahci', 'ata_piix', ...scsi]
const all = [...disks, 'ext4', 'xfs', 'btrfs']
const except = (pattern: RegExp): readonly string[] => all.filter((name) => !pattern.test(name))
export const makings = {
  tools: { name: 'tools', maker: 'initramfs-tools', modules: all },
  noVirtio: { name: 'tools-no-virtio', maker: 'initramfs-tools', modules: except(/virtio/) },
  dracut: { name: 'dracut', maker: 'dracut', modules: [...all, 'dm_mod'] },
  noXfs: { name: 'dracut-no-xfs', maker: 'dracut', modules: [...except(/xfs/), 'dm_mod'] },
} as const satisfies Record<string, InitramfsMaking>

/** The root of a Debian system, whose programs make each initramfs once. */
export class GuestRoot {
  readonly path: string
  readonly version: string

  constructor(path: string) {
    this.path = path
    const [version] = fs.readdirSync(join(path, 'boot')).flatMap((name) => /^vmlinuz-(.+)$/.exec(name)?.slice(1) ?? [])
    assert.ok(version !== undefined, 'a kernel in /boot of the guest')
    this.version = version
  }

  get kernel(): string {
    return join(this.path, 'boot', `vmlinuz-${this.version}`)
  }

  get modules(): string {
    return join(this.path, 'usr/lib/modules', this.version)
  }

  initramfs({ name, maker, modules }: InitramfsMaking): string {
    // One is made again when it shall hold other modules.
    const digest = createHash('sha256').update(modules.join(' ')).digest('hex').slice(0, 8)
    const [folder, image] = [join(this.path, 'mk'), `/mk/${name}-${digest}.img`]
    const made = join(this.path, image)
    if (fs.existsSync(made)) return made
    fs.rmSync(join(folder, 'conf'), { recursive: true, force: true })
    fs.mkdirSync(folder, { recursive: true })
    if (maker === 'dracut') {
      const parts = ['--add', 'lvm', '--omit', 'systemd systemd-initrd dracut-systemd plymouth network nfs']
      const kind = ['--force', '--no-hostonly', '--no-hostonly-cmdline', '--kver', this.version, '--zstd']
      run('chroot', this.path, 'dracut', ...kind, ...parts, '--drivers', modules.join(' '), image)
      return made
    }
    run('cp', '-a', join(this.path, 'etc/initramfs-tools'), join(folder, 'conf'))
    const settings = join(folder, 'conf/initramfs.conf')
    fs.writeFileSync(settings, fs.readFileSync(settings, 'utf8').replace(/^MODULES=.*/m, 'MODULES=list'))
    fs.writeFileSync(join(folder, 'conf/modules'), `${modules.join('\n')}\n`)
    run('chroot', this.path, 'mkinitramfs', '-d', '/mk/conf', '-o', image, this.version)
    return made
  }
}

export interface BootGuest {
  readonly filesystem: 'ext4' | 'xfs' | 'btrfs'
  readonly logical?: boolean
  readonly making: InitramfsMaking
  /** What root= says. */
  readonly root: string
  /** What follows the initramfs. */
  readonly appended?: Buffer
  /** The whole system with systemd, which says so when it has reached its target; otherwise a shell of few files. */
  readonly systemd?: boolean
  /** Left out of the disk. */
  readonly without?: 'loader' | 'kernel'
}

const places = { core: 1, esp: 2, boot: 18, root: 146 } as const
/** MiB. */
const rootLength = ({ systemd }: BootGuest): number => (systemd === true ? 1200 : 320)

/** A disk that starts by BIOS and by UEFI: GRUB, /boot on ext4, and a root that says that it was reached. */
export function bootDisk(t: TestContext, at: (name: string) => string, guest: GuestRoot, spec: BootGuest): string {
  const disk = at('disk.raw')
  fs.writeFileSync(disk, '')
  fs.truncateSync(disk, (places.root + rootLength(spec) + 2) * mebibyte)
  const parts = [
    ['1', places.core, 1, 'ef02'],
    ['2', places.esp, 16, 'ef00'],
    ['3', places.boot, 128, '8300'],
    ['4', places.root, rootLength(spec), spec.logical === true ? '8e00' : '8304'],
  ] as const
  for (const [number, start, length, type] of parts)
    run('sgdisk', '-n', `${number}:${start * 2048}:+${length}M`, '-t', `${number}:${type}`, disk)
  run('sgdisk', '-u', `4:${ids.part}`, disk)
  bootLoaders(at, disk, spec)
  putInto(disk, bootImage(at, guest, spec), places.boot * mebibyte)
  const root = rootImage(at, guest, spec)
  if (spec.logical !== true) putInto(disk, root, places.root * mebibyte)
  else {
    const devices = [partDevice(t, disk, places.root * mebibyte, rootLength(spec) * mebibyte)]
    const paths = devices.map(({ path }) => path)
    lvm(paths, 'pvcreate', '-q', ...paths)
    lvm(paths, 'vgcreate', '-q', '-s', '1M', 'vg', ...paths)
    lvm(paths, 'lvcreate', '-an', '-Zn', '-Wn', '-y', '-q', '-n', 'root', '-L', `${rootLength(spec) - 8}M`, 'vg')
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

function bootLoaders(at: (name: string) => string, disk: string, spec: BootGuest): void {
  const early = `${grubPort}search.fs_uuid ${ids.boot} root\nset prefix=($root)/grub\nconfigfile $prefix/grub.cfg\n`
  if (spec.without !== 'loader') biosGrub(at, disk, places.core, early)
  const esp = at('esp.img')
  fs.rmSync(esp, { force: true })
  run('mkfs.vfat', '-C', '-i', 'abcd1234', esp, '16384')
  if (spec.without !== 'loader') {
    grubCore(at, 'x86_64-efi', early)
    run('mmd', '-i', esp, '::/EFI', '::/EFI/BOOT')
    run('mcopy', '-i', esp, at('x86_64-efi'), '::/EFI/BOOT/BOOTX64.EFI')
  }
  putInto(disk, esp, places.esp * mebibyte)
}

function bootImage(at: (name: string) => string, guest: GuestRoot, spec: BootGuest): string {
  const [tree, image] = [at('boot'), at('boot.img')]
  for (const path of [tree, image]) fs.rmSync(path, { recursive: true, force: true })
  fs.mkdirSync(join(tree, 'grub'), { recursive: true })
  if (spec.without !== 'kernel') fs.copyFileSync(guest.kernel, join(tree, `vmlinuz-${guest.version}`))
  fs.writeFileSync(
    join(tree, `initrd.img-${guest.version}`),
    Buffer.concat([padded(fs.readFileSync(guest.initramfs(spec.making))), spec.appended ?? Buffer.alloc(0)]),
  )
  const patience = 'no_timer_check rootdelay=90 rd.retry=90 systemd.default_device_timeout_sec=900'
  const parameters = `root=${spec.root} ro console=ttyS0 panic=1 ${patience} init=/sbin/init`
  fs.writeFileSync(
    join(tree, 'grub/grub.cfg'),
    `set default="0"\nset timeout=0\nmenuentry 'Debian' {\n search --no-floppy --fs-uuid --set=root ${ids.boot}\n` +
      ` linux /vmlinuz-${guest.version} ${parameters}\n initrd /initrd.img-${guest.version}\n}\n`,
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
  if (spec.systemd === true) wholeRoot(tree, guest)
  else fewFiles(tree, guest, spec)
  const device = spec.logical === true ? '/dev/mapper/vg-root' : `UUID=${ids.root}`
  fs.writeFileSync(
    join(tree, 'etc/fstab'),
    `${device} / ${spec.filesystem} defaults 0 1\nUUID=${ids.boot} /boot ext4 defaults 0 2\n`,
  )
  makeFilesystem(at, { tree, image, size: (rootLength(spec) - 10) * mebibyte, filesystem: spec.filesystem })
  return image
}

/** What debootstrap made, whose default target comes after the usual one, and says so. */
function wholeRoot(tree: string, guest: GuestRoot): void {
  const left = ['./mk', './boot/*', './proc/*', './sys/*', './dev/*', './usr/share/doc', './usr/share/locale']
  const packed = ['var/cache/apt', 'var/lib/apt/lists', 'usr/share/man'].map((path) => `./${path}/*`)
  const excludes = [...left, ...packed].map((path) => `--exclude=${path}`)
  const archive = join(tree, '../root.tar')
  run('tar', '-C', guest.path, '-cf', archive, ...excludes, '.')
  run('tar', '-C', tree, '-xf', archive)
  fs.rmSync(archive)
  const units = join(tree, 'etc/systemd/system')
  fs.mkdirSync(join(units, 'reached.target.wants'))
  const after = 'After=multi-user.target'
  fs.writeFileSync(join(units, 'reached.target'), `[Unit]\nRequires=multi-user.target\n${after}\n`)
  const says = `/bin/sh -c 'while :; do echo ${guestMarker} > /dev/console; sleep 1; done'`
  fs.writeFileSync(join(units, 'reached.service'), `[Unit]\n${after}\n[Service]\nExecStart=${says}\n`)
  fs.symlinkSync('../reached.service', join(units, 'reached.target.wants/reached.service'))
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
  fs.mkdirSync(join(tree, 'usr/lib/x86_64-linux-gnu'))
  for (const name of ['libc.so.6'])
    fs.copyFileSync(join(guest.path, 'usr/lib/x86_64-linux-gnu', name), join(tree, 'usr/lib/x86_64-linux-gnu', name))
  put('etc/os-release', 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\n')
  if (spec.making.maker === 'dracut') put('usr/lib/dracut/skipcpio', '')
  else put('etc/initramfs-tools/modules', '')
  for (const name of ['modules.builtin', 'modules.dep'])
    put(`usr/lib/modules/${guest.version}/${name}`, fs.readFileSync(join(guest.modules, name), 'utf8'))
}

function makeFilesystem(
  at: (name: string) => string,
  {
    tree,
    image,
    size,
    filesystem,
  }: { readonly tree: string; readonly image: string; readonly size: number } & Pick<BootGuest, 'filesystem'>,
): void {
  fs.writeFileSync(image, '')
  fs.truncateSync(image, size)
  if (filesystem === 'ext4') run('mke2fs', '-q', '-t', 'ext4', '-U', ids.root, '-d', tree, image)
  else if (filesystem === 'btrfs') run('mkfs.btrfs', '-q', '-U', ids.root, '--rootdir', tree, image)
  else {
    run('mkfs.xfs', '-q', '-m', `uuid=${ids.root}`, image)
    withKernelMount(image, at('mount'), 'rw', () => run('cp', '-a', `${tree}/.`, at('mount')))
  }
}

/** What a start ends with: the root is reached, or something says why not. */
const stops = new RegExp(
  'ALERT!|\\(initramfs\\)|Could not boot|Kernel panic - not syncing: (VFS|Attempted)|' +
    'error: [^\\n]*(not found|no such|you need)|grub rescue>|' +
    'emergency mode|Shell>|No bootable|Boot failed|Dropping to debug shell',
)
/** Far more than a start takes; one that shows nothing until then proves nothing. */
const mostSeconds = 1500

const sasDisk = 'scsi-hd,bus=scsi.0,drive=disk,wwn=0x5000c50015ea71ac'

/**
 * How a disk is attached in QEMU. What libvirt calls lsilogic is LSI's 53C895A; VMware's is a 53C1030. A disk of SAS
 * needs a name (WWN): without one Linux takes the port of an LSISAS1068 for empty.
 */
export const controllers: Readonly<Record<string, readonly string[]>> = {
  virtio: ['-device', 'virtio-blk-pci,drive=disk,bootindex=0'],
  sata: ['-device', 'ich9-ahci,id=sata', '-device', 'ide-hd,bus=sata.0,drive=disk,bootindex=0'],
  nvme: ['-device', 'nvme,serial=1,drive=disk,bootindex=0'],
  lsisas1068: ['-device', 'mptsas1068,id=scsi', '-device', `${sasDisk},bootindex=0`],
  megasas: ['-device', 'megasas,id=scsi', '-device', 'scsi-hd,bus=scsi.0,drive=disk,bootindex=0'],
  lsilogic: ['-device', 'lsi53c895a,id=scsi', '-device', 'scsi-hd,bus=scsi.0,drive=disk,bootindex=0'],
  pvscsi: ['-device', 'pvscsi,id=scsi', '-device', 'scsi-hd,bus=scsi.0,drive=disk,bootindex=0'],
}

/** Starts a disk. @returns whether its root was reached, and what the serial port showed at last. */
export async function reachesRoot(
  at: (name: string) => string,
  disk: string,
  firmware: Firmware,
  controller: string,
): Promise<{ readonly reached: boolean; readonly shown: string }> {
  const serial = at('serial.txt')
  fs.rmSync(serial, { force: true })
  const flags = ['-machine', 'pc', '-m', '640', '-display', 'none', '-monitor', 'none', '-net', 'none', '-no-reboot']
  if (firmware.code !== undefined && firmware.variables !== undefined) {
    fs.copyFileSync(firmware.variables, at('variables.fd'))
    flags.push('-drive', `if=pflash,format=raw,readonly=on,file=${firmware.code}`)
    flags.push('-drive', `if=pflash,format=raw,file=${at('variables.fd')}`)
  }
  flags.push('-drive', `file=${disk},format=raw,if=none,id=disk,snapshot=on`, ...(controllers[controller] ?? []))
  const machine = spawn(emulator, [...flags, '-serial', `file:${serial}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise<void>((resolve) => machine.once('close', () => resolve()))
  let said = ''
  machine.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const shown = (): string => (fs.existsSync(serial) ? fs.readFileSync(serial, 'latin1') : '')
  try {
    for (let second = 0; second < mostSeconds; second++) {
      const text = shown()
      if (text.includes(guestMarker)) return { reached: true, shown: text.slice(-1500) }
      if (stops.test(text) || machine.exitCode !== null || machine.signalCode !== null) {
        assert.match(text, stops, `${said}${text.slice(-3000)}`)
        return { reached: false, shown: text.slice(-1500) }
      }
      await sleep(1000)
    }
    assert.fail(`neither its root nor a reason in ${mostSeconds} s: ${said}${shown().slice(-3000)}`)
  } finally {
    machine.kill('SIGKILL')
    await ended
  }
}

/** A module with what it needs, and the lists by which udev finds it, as an archive that follows an initramfs. */
export function moduleArchive(guest: GuestRoot, names: readonly string[]): Buffer {
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
  const files = [...new Set(wanted.flatMap((path) => [path, ...(dependencies.get(path) ?? [])]))]
  const lists = ['modules.dep', 'modules.dep.bin', 'modules.alias', 'modules.alias.bin', 'modules.softdep']
  const list = at(guest, [...files, ...lists])
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
