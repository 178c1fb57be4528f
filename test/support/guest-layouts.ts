/** Disks as the installers of distributions and makers of images lay them out; files as far as they matter. */
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { cloudModules, cpio, efiLoader, putInto, type GuestFiles } from './linux-guest.js'
import { fillVolume, lvm, partDevice } from './lvm.js'
import { kernelFile } from './tiny-kernel.js'
import { run } from './tools.js'
import { withKernelMount } from './volumes.js'

const mebibyte = 1048576

/** A filesystem with files. */
export interface LayoutVolume {
  readonly type: 'ext4' | 'xfs' | 'btrfs' | 'vfat' | 'swap'
  /** An id, of FAT with a hyphen: `ABCD-1234`. */
  readonly uuid: string
  readonly label?: string
  readonly files?: GuestFiles
  /** Subvolumes of btrfs, the outer ones first, and the one that is mounted by itself. */
  readonly subvolumes?: readonly string[]
  readonly mountedByItself?: string
  /** Links: where from, and where to. */
  readonly links?: Readonly<Record<string, string>>
}

export interface LayoutPart {
  /** Of sgdisk: `ef00`. */
  readonly code: string
  readonly uuid?: string
  readonly name?: string
  readonly volume?: LayoutVolume
  /** Logical volumes of a group, by their names: `rhel/root`. */
  readonly logical?: Readonly<Record<string, LayoutVolume>>
}

/** MiB; XFS is never smaller than 300. */
function lengthOf({ volume, logical }: LayoutPart): number {
  if (logical !== undefined) return Object.values(logical).reduce((sum, one) => sum + volumeLength(one), 4)
  return volume === undefined ? 1 : volumeLength(volume)
}

function volumeLength({ type }: LayoutVolume): number {
  return { ext4: 24, xfs: 320, btrfs: 128, vfat: 40, swap: 4 }[type]
}

/** A disk with a GPT. */
export function layoutDisk(t: TestContext, at: (name: string) => string, parts: readonly LayoutPart[]): string {
  const disk = at('disk.raw')
  const total = parts.reduce((sum, part) => sum + lengthOf(part), 2)
  fs.rmSync(disk, { force: true })
  fs.writeFileSync(disk, '')
  fs.truncateSync(disk, total * mebibyte)
  const flags: string[] = []
  let start = 1
  const starts = parts.map((part, index) => {
    const [number, length, first] = [index + 1, lengthOf(part), start]
    flags.push('-n', `${number}:${first * 2048}:+${length}M`, '-t', `${number}:${part.code}`)
    if (part.uuid !== undefined) flags.push('-u', `${number}:${part.uuid}`)
    if (part.name !== undefined) flags.push('-c', `${number}:${part.name}`)
    start += length
    return first
  })
  run('sgdisk', ...flags, disk)
  for (const [index, part] of parts.entries()) {
    const place = (starts[index] ?? 0) * mebibyte
    if (part.volume !== undefined) putInto(disk, volumeImage(at, part.volume), place)
    if (part.logical !== undefined) fillGroup(t, at, { disk, place, length: lengthOf(part) * mebibyte }, part.logical)
  }
  return disk
}

interface GroupPlace {
  readonly disk: string
  readonly place: number
  readonly length: number
}

function fillGroup(
  t: TestContext,
  at: (name: string) => string,
  { disk, place, length }: GroupPlace,
  logical: Readonly<Record<string, LayoutVolume>>,
): void {
  const devices = [partDevice(t, disk, place, length)]
  const paths = devices.map(({ path }) => path)
  const [group = ''] = Object.keys(logical)[0]?.split('/') ?? []
  lvm(paths, 'pvcreate', '-q', ...paths)
  lvm(paths, 'vgcreate', '-q', '-s', '1M', group, ...paths)
  for (const [name, volume] of Object.entries(logical)) {
    const [, own = ''] = name.split('/')
    lvm(paths, 'lvcreate', '-an', '-Zn', '-Wn', '-y', '-q', '-n', own, '-L', `${volumeLength(volume)}M`, group)
    fillVolume(disk, devices, name, fs.readFileSync(volumeImage(at, volume)))
  }
}

function volumeImage(at: (name: string) => string, volume: LayoutVolume): string {
  const { type, uuid, label = '', files = {}, links = {} } = volume
  const [tree, image] = [at('tree'), at('volume.img')]
  for (const path of [tree, image]) fs.rmSync(path, { recursive: true, force: true })
  fs.mkdirSync(tree)
  const fill = (folder: string): void => {
    for (const [path, content] of Object.entries(files)) {
      fs.mkdirSync(dirname(join(folder, path)), { recursive: true })
      fs.writeFileSync(join(folder, path), content)
    }
    for (const [path, target] of Object.entries(links)) {
      fs.mkdirSync(dirname(join(folder, path)), { recursive: true })
      fs.symlinkSync(target, join(folder, path))
    }
  }
  fs.writeFileSync(image, '')
  fs.truncateSync(image, volumeLength(volume) * mebibyte)
  const named = (flag: string): string[] => (label === '' ? [] : [flag, label])
  if (type === 'swap') run('mkswap', '-q', '-U', uuid, ...named('-L'), image)
  else if (type === 'vfat') {
    run('mkfs.vfat', '-i', uuid.replace('-', ''), ...named('-n'), image)
    fill(tree)
    const names = fs.readdirSync(tree).map((name) => join(tree, name))
    if (names.length > 0) run('mcopy', '-s', '-i', image, ...names, '::')
  } else if (type === 'ext4') {
    fill(tree)
    run('mke2fs', '-q', '-t', 'ext4', '-U', uuid, ...named('-L'), '-d', tree, image)
  } else {
    if (type === 'xfs') run('mkfs.xfs', '-q', '-m', `uuid=${uuid}`, ...named('-L'), image)
    else run('mkfs.btrfs', '-q', '-U', uuid, ...named('-L'), image)
    withKernelMount(image, at('mount'), 'rw', () => {
      const { subvolumes = [], mountedByItself } = volume
      for (const name of subvolumes) {
        fs.mkdirSync(dirname(join(at('mount'), name)), { recursive: true })
        run('btrfs', '-q', 'subvolume', 'create', join(at('mount'), name))
      }
      fill(at('mount'))
      if (mountedByItself !== undefined)
        run('btrfs', '-q', 'subvolume', 'set-default', join(at('mount'), mountedByItself))
    })
  }
  return image
}

/** What a kernel and its initramfs are, by their version. */
export interface LayoutKernel {
  readonly version: string
  /** Paths, as the volume has them that they lie in. */
  readonly kernel: string
  readonly initramfs: string
  /** Further names in the initramfs. */
  readonly holds?: readonly string[]
}

const modules = [...cloudModules, 'kernel/fs/btrfs/btrfs.ko', 'kernel/fs/xfs/xfs.ko', 'kernel/drivers/md/dm-mod.ko']

export function kernelFiles({ version, kernel, initramfs, holds = [] }: LayoutKernel): GuestFiles {
  const names = [...modules.map((name) => `usr/lib/modules/${version}/${name}`), ...holds]
  return { [kernel]: kernelFile(version), [initramfs]: cpio(names) }
}

/** @param isBuiltIn whether they are part of the kernel, which needs no initramfs then. */
export function moduleLists(version: string, folder = '/usr/lib/modules', isBuiltIn = false): GuestFiles {
  const builtIn = ['kernel/fs/proc/proc.ko', ...(isBuiltIn ? modules : [])]
  return {
    [`${folder}/${version}/modules.builtin`]: builtIn.map((name) => `${name}\n`).join(''),
    [`${folder}/${version}/modules.dep`]: modules.map((name) => `${name}:\n`).join(''),
  }
}

/** A system's own files, without its kernel. */
export function systemFiles(fstab: string, id = 'debian'): GuestFiles {
  return {
    '/etc/os-release': `ID=${id}\nPRETTY_NAME="${id}"\nVERSION_ID="1"\n`,
    '/etc/fstab': fstab,
    '/etc/machine-id': '',
    '/usr/lib/systemd/systemd': 'program',
    '/usr/sbin/init': 'program',
    '/usr/sbin/qemu-ga': 'program',
  }
}

/** The files of a system below a folder of its volume. */
export function below(folder: string, files: GuestFiles): GuestFiles {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [`${folder}${path}`, content]))
}

/** An EFI system partition with a loader where every machine looks, and further files. */
export function efiPart(text: string, files: GuestFiles = {}): LayoutPart {
  const loader = { '/EFI/BOOT/BOOTX64.EFI': efiLoader(text) }
  return { code: 'ef00', volume: { type: 'vfat', uuid: 'ABCD-1234', label: 'EFI', files: { ...loader, ...files } } }
}
