import type { VolumeFiles } from '../files/volume-files.js'
import type { OpenVolume } from '../inspect/boot/diagnosis.js'
import { bytesText, deviceSpec, type DeviceSpec } from './device-spec.js'
import type { GuestFile } from './guest-file.js'

/** Where the root lies in filesystems with subvolumes: Ubuntu and openSUSE, Fedora, Debian. */
const rootFolders = ['', '/@', '/root', '/@rootfs']
const longestText = 4 * 1048576
const mostMounts = 64

/** A volume with its files, and where it is a logical one of LVM, its name: `vg/lv`. */
export interface GuestVolume extends OpenVolume {
  readonly logical?: string
}

/** A text file of the guest, where it lies. */
export interface TextFile {
  readonly open: GuestVolume
  /** In its volume. */
  readonly path: string
}

/** A line of fstab. */
export interface FstabEntry {
  readonly line: number
  readonly device: string
  readonly spec: DeviceSpec
  readonly point: string
  readonly type: string
  readonly options: readonly string[]
}

/** A place in the guest's tree of files. */
export interface GuestMount {
  readonly point: string
  readonly open: GuestVolume
  /** The folder of the volume that is mounted there. */
  readonly folder: string
}

/** A Linux system on a disk: its root, and what its fstab mounts of the same disk. */
export class Guest {
  readonly volumes: readonly GuestVolume[]
  readonly root: GuestMount
  readonly fstab: readonly FstabEntry[]
  readonly mounts: readonly GuestMount[]
  /** Whether no other system has its root on the disk. */
  readonly isOnly: boolean

  private constructor(volumes: readonly GuestVolume[], root: GuestMount, isOnly: boolean) {
    this.volumes = volumes
    this.isOnly = isOnly
    this.root = root
    this.mounts = [root]
    this.fstab = fstabEntries(this.text('/etc/fstab') ?? '')
    this.mounts = [root, ...this.#mounted()].sort((one, other) => other.point.length - one.point.length)
  }

  /** Every system that has its root on one of the volumes. */
  static find(volumes: readonly GuestVolume[]): Guest[] {
    const roots = volumes.flatMap((open): GuestMount[] => {
      if (!open.files.readable) return []
      const folder = [...rootFoldersOf(open), ...subvolumes(open)].find((prefix) => isRoot(open.files, prefix))
      return folder === undefined ? [] : [{ point: '/', open, folder }]
    })
    return roots.map((root) => new Guest(volumes, root, roots.length === 1))
  }

  /** The file at a path of the guest. */
  file(path: string): GuestFile | undefined {
    const { files, path: place } = this.#place(path)
    const node = files.file(place)
    return node === undefined ? undefined : { files, path: place, node }
  }

  has(path: string): boolean {
    const { files, path: place } = this.#place(path)
    return files.file(place) !== undefined || files.names(place).length > 0
  }

  /** The text of a small file; undefined where there is none. */
  text(path: string): string | undefined {
    const { files, path: place } = this.#place(path)
    return volumeText(files, place)
  }

  /** Where the file at a path of the guest lies. */
  textFile(path: string): TextFile {
    const { open, path: place } = this.#place(path)
    return { open, path: place }
  }

  names(path: string): string[] {
    const { files, path: place } = this.#place(path)
    return files.names(place)
  }

  /** The volume that an id or name means; undefined: none here. */
  volumeOf(spec: DeviceSpec): GuestVolume | undefined {
    return volumeOf(this.volumes, spec)
  }

  /** Whether something on the disk may hold volumes that are not seen: LVM, RAID, encryption. */
  get containers(): readonly string[] {
    const groups = this.volumes.some(({ logical }) => logical !== undefined)
    return this.volumes.flatMap(({ volume }) =>
      volume.filesystems
        .filter(({ kind, type }) => kind === 'container' && !(groups && type === 'LVM2_member'))
        .map(({ title }) => title),
    )
  }

  #place(path: string): TextFile & { readonly files: VolumeFiles } {
    const mount = this.mounts.find(({ point }) => point === '/' || path === point || path.startsWith(`${point}/`))
    const { point, open, folder } = mount ?? this.root
    return { open, files: open.files, path: `${folder}${point === '/' ? path : path.slice(point.length)}` || '/' }
  }

  #mounted(): GuestMount[] {
    return this.fstab.slice(0, mostMounts).flatMap(({ spec, point, options }) => {
      if (!point.startsWith('/') || point === '/') return []
      const open = this.volumeOf(spec)
      if (open?.files.readable !== true) return []
      const subvolume = subvolumeOf(options)
      const folder = subvolume === undefined ? open.files.defaultFolder : subvolume === '' ? '' : `/${subvolume}`
      return [{ point: point.replace(/\/+$/, ''), open, folder }]
    })
  }
}

/** The subvolume that options of mounting name, without its first slashes: empty for the top of the filesystem. */
export function subvolumeOf(options: readonly string[]): string | undefined {
  return options.flatMap((option) => (/^subvol=\/*(.*)$/.exec(option) ?? []).slice(1))[0]
}

/** Where the root of a system may lie in a volume: what is mounted by itself comes first. */
export function rootFoldersOf({ files }: GuestVolume): string[] {
  return [...new Set([files.defaultFolder, ...rootFolders])]
}

/** Folders of a volume that may be subvolumes with a system, under a name of somebody's choice. */
function subvolumes({ files, volume }: GuestVolume): string[] {
  if (volume.filesystems[0]?.type !== 'btrfs') return []
  return files
    .names('/')
    .slice(0, mostMounts)
    .map((name) => `/${name}`)
}

/** The volume among several that an id or name means. */
export function volumeOf(volumes: readonly GuestVolume[], spec: DeviceSpec): GuestVolume | undefined {
  const found = volumes.find((open) => means(open, spec))
  if (spec.kind !== 'partuuid' || spec.further === undefined) return found
  const number = (found?.volume.partition?.number ?? NaN) + spec.further
  return volumes.find(({ volume, logical }) => logical === undefined && volume.partition?.number === number)
}

/** Whether a folder of a volume is the root of a system. */
export function isRoot(files: VolumeFiles, prefix: string): boolean {
  return (
    files.names(`${prefix}/etc`).length > 0 &&
    (files.file(`${prefix}/etc/os-release`) !== undefined ||
      files.file(`${prefix}/usr/lib/os-release`) !== undefined ||
      files.file(`${prefix}/etc/fstab`) !== undefined)
  )
}

/** The text of a small file of a volume. */
export function volumeText(files: VolumeFiles, path: string): string | undefined {
  const bytes = files.head(path, longestText)
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8')
}

function means({ volume: { partition, filesystems }, logical }: GuestVolume, spec: DeviceSpec): boolean {
  switch (spec.kind) {
    case 'uuid':
      return filesystems.some(({ uuid }) => uuid?.toLowerCase() === spec.value.toLowerCase())
    case 'label':
      return filesystems.some(({ label }) => label === spec.value)
    case 'partuuid':
      return partition?.uuid?.toLowerCase() === spec.value.toLowerCase()
    case 'partlabel':
      return partition?.label === spec.value
    case 'mapped':
      return logical !== undefined && logical === spec.volume
    case 'name':
      if (logical !== undefined) return false
      return spec.partition === undefined ? partition === undefined : partition?.number === spec.partition
    default:
      return false
  }
}

/** The lines of an fstab (fstab(5)): fields apart by blanks, `\040` a space. */
function fstabEntries(text: string): FstabEntry[] {
  return text.split('\n').flatMap((line, index) => {
    const [device, point, type = 'auto', options = 'defaults'] = line.trim().split(/[ \t]+/)
    if (device === undefined || device === '' || device.startsWith('#') || point === undefined) return []
    const plain = octal(device)
    return [
      {
        line: index + 1,
        device: plain,
        spec: deviceSpec(plain),
        point: octal(point),
        type,
        options: options.split(','),
      },
    ]
  })
}

/** `\040` is a byte. */
function octal(text: string): string {
  return bytesText(text, /\\([0-7]{3})/g, 8)
}
