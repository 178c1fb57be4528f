import fs from '../sys/host-fs.js'
import { deviceNumberText } from '../binary/device-number.js'
import { mountOf, type Mount } from './mounts.js'
import { attribute, type Sysfs } from './sysfs.js'
import type { Place } from './types.js'
import { inFolder, nearest } from '../sys/host-path.js'
import { namesInFolder } from '../sys/readable.js'

/** How paths are looked at: the real system's way, or a recorded one's. */
export interface PathLookup {
  /** The nearest existing path at or above it, links resolved. */
  real(path: string): string
  /** The device number of the filesystem a path lies in; undefined: go by the mount points. */
  filesystemDevice(path: string): string | undefined
  /** The device number of a block device's node; undefined when the path is none. */
  node(path: string): string | undefined
}

export const systemLookup: PathLookup = {
  real: nearest,
  filesystemDevice: (path) => deviceNumberText(fs.statSync(path, { bigint: true }).dev),
  node(path) {
    const status = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
    return status?.isBlockDevice() === true ? deviceNumberText(status.rdev) : undefined
  },
}

export const networkFilesystems = /^(nfs4?|cifs|smb3|9p|ceph|afs|virtiofs|fuse\.(sshfs|s3fs|rclone|glusterfs))$/
export const memoryFilesystems = /^(tmpfs|ramfs|devtmpfs|hugetlbfs)$/

/**
 * Finds the disks below a path or device: through partitions, LVM, LUKS, RAID, loops, btrfs and overlays. What cannot
 * be followed is
 * reported, never guessed: the caller warns.
 */
export class PlaceFinder {
  readonly #disks = new Set<string>()
  readonly #through = new Set<string>()
  readonly #elsewhere = new Set<string>()
  readonly #unknown = new Set<string>()
  /** A container's overlay may name paths of the host that lead back to itself. */
  readonly #visited = new Set<string>()

  constructor(
    private readonly sysfs: Sysfs,
    private readonly mounts: readonly Mount[],
    private readonly lookup: PathLookup,
  ) {}

  get place(): Place {
    return {
      disks: [...this.#disks].sort(),
      through: [...this.#through].sort(),
      elsewhere: [...this.#elsewhere],
      unknown: [...this.#unknown],
    }
  }

  /** Adds what is below a file, a folder, or a device's node. */
  addPath(path: string): this {
    const node = this.lookup.node(path)
    if (node !== undefined) return this.addDevice(node)
    const real = this.lookup.real(path)
    const device = this.lookup.filesystemDevice(real)
    if (device !== undefined && !device.startsWith('0:')) return this.addDevice(device)
    const mount = mountOf(real, this.mounts)
    if (mount === undefined) return this.#fail(`no mount holds ${real}`)
    return this.addMount(mount)
  }

  /** Adds what is below a mounted filesystem. */
  addMount(mount: Mount): this {
    if (!this.#visit(`mount ${mount.point} ${mount.deviceNumber}`)) return this
    const { filesystem, source } = mount
    if (!mount.deviceNumber.startsWith('0:')) return this.addDevice(mount.deviceNumber)
    if (networkFilesystems.test(filesystem)) return this.#far(`${filesystem} ${source}`)
    if (memoryFilesystems.test(filesystem)) return this.#far(`memory (${filesystem})`)
    if (filesystem === 'btrfs') return this.#addBtrfs(source)
    if (filesystem === 'overlay') return this.#addOverlay(mount)
    return this.#fail(`the ${filesystem} filesystem at ${mount.point} does not say where it lies`)
  }

  /** Adds what is below a block device. */
  addDevice(deviceNumber: string): this {
    const folder = this.sysfs.folderOf(deviceNumber)
    if (folder === undefined) return this.#fail(`device ${deviceNumber} is not in ${this.sysfs.root}`)
    return this.addName(this.sysfs.wholeName(folder))
  }

  /** Adds what is below a whole device, or a partition, by name. */
  addName(given: string): this {
    const folder = this.#folderOf(given)
    if (folder === undefined) return this.#fail(`device ${given} is not in ${this.sysfs.root}`)
    const name = this.sysfs.wholeName(folder)
    if (!this.#visit(`device ${name}`)) return this
    this.#through.add(name)
    if (/^(ram|zram)\d+$/.test(name)) return this.#far(`memory (${name})`)
    const whole = this.sysfs.folder(name)
    const slaves = namesInFolder(inFolder(whole, 'slaves'))
    for (const slave of slaves) this.addName(slave)
    if (slaves.length > 0) return this
    const file = attribute(whole, 'loop/backing_file')
    if (file === undefined) {
      if (/^nbd\d+$/.test(name)) return this.#far(`network block device ${name}`)
      this.#disks.add(name)
      return this
    }
    if (file.endsWith(' (deleted)')) return this.#fail(`the file behind ${name} was deleted: ${file}`)
    return this.addPath(file)
  }

  #folderOf(name: string): string | undefined {
    if (this.sysfs.names().includes(name)) return this.sysfs.folder(name)
    const disk = this.sysfs
      .names()
      .find((each) => name.startsWith(each) && namesInFolder(this.sysfs.folder(each)).includes(name))
    return disk === undefined ? undefined : inFolder(this.sysfs.folder(disk), name)
  }

  /** A btrfs may span devices; the mount names one. */
  #addBtrfs(source: string): this {
    const name = source.replace(/^.*\//, '')
    const filesystems = `${this.sysfs.root}/fs/btrfs`
    const own = namesInFolder(filesystems)
      .map((id) => namesInFolder(inFolder(inFolder(filesystems, id), 'devices')))
      .find((devices) => devices.includes(name))
    for (const device of own ?? []) this.addName(device)
    if (own !== undefined) return this
    const node = this.lookup.node(source)
    return node === undefined ? this.addName(name) : this.addDevice(node)
  }

  /**
   * The folders of an overlay, all of them: what is read may lie in any. Their paths may be those of a host outside.
   */
  #addOverlay(overlay: Mount): this {
    const { superOptions, point } = overlay
    const folders = superOptions.flatMap((option) => {
      const [key, value = ''] = option.split('=')
      return key === 'lowerdir' || key === 'upperdir' ? value.split(':') : []
    })
    if (folders.length === 0) return this.#fail(`the overlay at ${point} does not name its folders`)
    for (const folder of folders) {
      const real = this.lookup.real(folder)
      if (real !== folder) this.#fail(`${folder}, below the overlay at ${point}, is not there`)
      else if (mountOf(real, this.mounts)?.deviceNumber === overlay.deviceNumber)
        this.#fail(`${folder}, below the overlay at ${point}, is a path of another system`)
      else this.addPath(folder)
    }
    return this
  }

  #visit(what: string): boolean {
    if (this.#visited.has(what)) return false
    this.#visited.add(what)
    return true
  }

  #far(what: string): this {
    this.#elsewhere.add(what)
    return this
  }

  #fail(why: string): this {
    this.#unknown.add(why)
    return this
  }
}
