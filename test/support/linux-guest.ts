/** Linux systems as far as their files go: made by the tests, with a defect planted in each. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { kernelFile } from './tiny-kernel.js'
import { run } from './tools.js'

const mebibyte = 1048576

export const rootUuid = '6b8a1f0e-0c0a-4f9e-9a52-3e4a4f3c1d01'
export const kernelVersion = '6.1.0-18-cloud-amd64'
/** What a kernel of a cloud needs of an initramfs on KVM, Azure, EC2, VMware, Xen; the network's among them. */
export const cloudModules = [
  'kernel/drivers/virtio/virtio_pci.ko',
  'kernel/drivers/block/virtio_blk.ko.xz',
  'kernel/drivers/scsi/virtio_scsi.ko',
  'kernel/drivers/net/virtio_net.ko',
  'kernel/drivers/net/ethernet/amazon/ena/ena.ko',
  'kernel/drivers/nvme/host/nvme.ko.zst',
  'kernel/drivers/hv/hv_vmbus.ko',
  'kernel/drivers/scsi/hv_storvsc.ko',
  'kernel/drivers/net/hyperv/hv_netvsc.ko',
  'kernel/fs/ext4/ext4.ko',
]

/** An archive of empty files (cpio, newc). */
export function cpio(names: readonly string[]): Buffer {
  const parts = [...names, 'TRAILER!!!'].map((name, index) => {
    const fields = [index + 1, name === 'TRAILER!!!' ? 0 : 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.length + 1, 0]
    const head = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`
    return Buffer.from(head.padEnd(Math.ceil(head.length / 4) * 4, '\0'), 'latin1')
  })
  return Buffer.concat(parts)
}

/** Files of a guest, by their path. */
export type GuestFiles = Record<string, string | Buffer>

/** A Debian system that starts on KVM. */
export function debianFiles(modules: readonly string[] = cloudModules): GuestFiles {
  const all = modules.map((name) => `usr/lib/modules/${kernelVersion}/${name}`)
  return {
    '/etc/os-release': 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\n',
    '/etc/fstab': `# root\nUUID=${rootUuid} / ext4 errors=remount-ro 0 1\ntmpfs /tmp tmpfs defaults 0 0\n`,
    '/etc/initramfs-tools/modules': '# none\n',
    '/etc/machine-id': '',
    '/boot/grub/grub.cfg': grubConfiguration(`root=UUID=${rootUuid} ro quiet console=ttyS0`),
    [`/boot/vmlinuz-${kernelVersion}`]: kernelFile(kernelVersion),
    [`/boot/initrd.img-${kernelVersion}`]: cpio(all),
    [`/usr/lib/modules/${kernelVersion}/modules.builtin`]: 'kernel/fs/proc/proc.ko\n',
    [`/usr/lib/modules/${kernelVersion}/modules.dep`]: [...cloudModules, 'kernel/drivers/scsi/mptspi.ko']
      .map((name) => `${name}: \n`)
      .join(''),
    '/usr/sbin/init': 'program',
    '/usr/bin/cloud-init': 'program',
    '/usr/sbin/qemu-ga': 'program',
  }
}

export function grubConfiguration(parameters: string, kernel = `/boot/vmlinuz-${kernelVersion}`): string {
  return `set default="0"
search --no-floppy --fs-uuid --set=root ${rootUuid}
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple' {
	search --no-floppy --fs-uuid --set=root ${rootUuid}
	linux	${kernel} ${parameters}
	initrd	/boot/initrd.img-${kernelVersion}
}
submenu 'Advanced options' {
	menuentry 'Debian GNU/Linux, old' --class debian {
		linux	/boot/vmlinuz-5.10 root=/dev/sda9
		initrd	/boot/initrd.img-5.10
	}
}
`
}

/** The ext4 filesystem of 32 MiB with the files of a guest. */
export function rootImage(at: (name: string) => string, files: GuestFiles): string {
  const root = at('root.img')
  fs.rmSync(root, { force: true })
  makeRoot(at, files, root)
  return root
}

function makeRoot(at: (name: string) => string, files: GuestFiles, target: string, ...flags: readonly string[]): void {
  const tree = at('tree')
  fs.rmSync(tree, { recursive: true, force: true })
  for (const [path, content] of Object.entries(files)) {
    fs.mkdirSync(dirname(join(tree, path)), { recursive: true })
    fs.writeFileSync(join(tree, path), content)
  }
  run('mke2fs', '-q', '-t', 'ext4', '-b', '1024', '-U', rootUuid, '-d', tree, ...flags, target, '32M')
}

/** An EFI system partition of 8 MiB, with a loader unless its path is empty; made once for each. */
export function espImage(at: (name: string) => string, loader = '/EFI/BOOT/BOOTX64.EFI', signer = ''): string {
  const esp = at(`esp-${signer}${loader.replaceAll('/', '-')}.img`)
  if (fs.existsSync(esp)) return esp
  run('mkfs.vfat', '-C', '-i', 'abcd1234', esp, '8192')
  if (loader === '') return esp
  fs.writeFileSync(at('loader.efi'), efiLoader('GRUB', signer))
  putIntoFat(esp, at('loader.efi'), loader)
  return esp
}

/** Puts a file into a FAT filesystem, with the folders above it. */
export function putIntoFat(volume: string, file: string, path: string): void {
  const parts = path.split('/').filter((part) => part !== '')
  for (let depth = 1; depth < parts.length; depth++) {
    const folder = `::/${parts.slice(0, depth).join('/')}`
    if (spawnSync('mdir', ['-i', volume, folder]).status !== 0) run('mmd', '-i', volume, folder)
  }
  run('mcopy', '-i', volume, file, `::${path}`)
}

/** Puts a file into a disk. @param position in bytes. */
export function putInto(disk: string, image: string, position: number): void {
  const file = fs.openSync(disk, 'r+')
  fs.writeSync(file, fs.readFileSync(image), 0, undefined, position)
  fs.closeSync(file)
}

/** A disk of 48 MiB: GPT, an EFI system partition with a loader, and an ext4 root with the files. */
export function guestDisk(at: (name: string) => string, files: GuestFiles, loader?: string): string {
  const [disk, empty] = [at('disk.raw'), at('empty.raw')]
  if (!fs.existsSync(empty)) {
    fs.writeFileSync(empty, '')
    fs.truncateSync(empty, 48 * mebibyte)
    run('sgdisk', '-n', '1:2048:+8M', '-t', '1:ef00', '-n', '2:20480:+32M', '-t', '2:8304', empty)
  }
  // Holes stay holes, and the filesystem is made in its place: nothing but what it holds is written.
  fs.rmSync(disk, { force: true })
  run('cp', '--sparse=always', empty, disk)
  putInto(disk, espImage(at, loader), mebibyte)
  makeRoot(at, files, disk, '-F', '-E', `offset=${10 * mebibyte}`)
  return disk
}

/** The headers of a program for UEFI on x86-64. @param text by which it is recognised. @param signer who signed it. */
export function efiLoader(text = 'GRUB', signer = ''): Buffer {
  const bytes = Buffer.alloc(1024)
  bytes.write('MZ', 0, 'latin1')
  bytes.writeUInt32LE(128, 60)
  bytes.write('PE\0\0', 128, 'latin1')
  bytes.writeUInt16LE(0x8664, 132)
  bytes.writeUInt16LE(10, 128 + 92)
  bytes.write(text, 600, 'latin1')
  // PE32+, whose fifth data directory says where the certificates are.
  bytes.writeUInt16LE(0x20b, 128 + 24)
  bytes.writeUInt32LE(16, 128 + 24 + 108)
  if (signer === '') return bytes
  bytes.writeUInt32LE(bytes.length, 128 + 24 + 112 + 32)
  bytes.writeUInt32LE(64, 128 + 24 + 112 + 36)
  const certificates = Buffer.alloc(64)
  certificates.write(signer, 20, 'latin1')
  return Buffer.concat([bytes, certificates])
}
