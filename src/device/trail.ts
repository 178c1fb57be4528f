import type { Purpose } from './types.js'
import { above, realPath } from '../sys/host-path.js'
import { namesInFolder } from '../sys/readable.js'
import { printable, type HostPath } from '../errors.js'
import { looser, type Occupancy, type TrailPiece, type Trail } from './bytes.js'
import type { FileIdentity, FileLookup, ShownDisk } from './file-lookup.js'
import { devicesOf } from './mounted-devices.js'
import { mountOf, type Mount } from './mounts.js'
import { memoryFilesystems, networkFilesystems } from './place.js'
import { attribute, attributePath, attributeNumber, sysfsSector, type Sysfs } from './sysfs.js'

/** What the system knows of devices, mounts and files. */
export interface SystemView {
  readonly sysfs: Sysfs
  readonly mounts: readonly Mount[]
  readonly files: FileLookup
}

interface Range {
  readonly start: number
  readonly end: number
  readonly how: Occupancy
}
const allOfIt: Range = { start: 0, end: Infinity, how: 'exact' }

/**
 * Follows the bytes of a device or file down: through partitions, loops with offset and size, device-mapper, RAID,
 * bcache, zram, kernel NBD, FUSE files, overlays, and the filesystems in which files lie. Links, bind mounts and names
 * do not matter: files are known by device and inode. What cannot be followed is listed as unknown.
 */
export class TrailFinder implements Trail {
  readonly pieces: TrailPiece[] = []
  readonly through = new Set<string>()
  readonly #view: SystemView
  readonly #purpose: Purpose
  readonly #unknown = new Set<string>()
  /** A container's overlay may name paths of the host that lead back to itself. */
  readonly #visited = new Set<string>()

  constructor(view: SystemView, purpose: Purpose) {
    this.#view = view
    this.#purpose = purpose
  }

  get unknown(): string[] {
    return [...this.#unknown]
  }

  /** Adds a file, or the device that it is the node of. Nothing where there is no such file. */
  addPath(path: HostPath, range: Range = allOfIt): this {
    const found = this.#view.files.identify(path)
    return found === undefined ? this : this.addIdentity(found, path, range)
  }

  /** @param path undefined where none is known that leads there. */
  addIdentity(found: FileIdentity, path: HostPath | undefined, range: Range): this {
    return found.node === undefined ? this.#addFile(found, path, range) : this.addDevice(found.node, range)
  }

  /** Adds a block device by its number: a range of it, in bytes. */
  addDevice(number: string, { start, end, how }: Range = allOfIt): this {
    const { sysfs } = this.#view
    const folder = sysfs.folderOf(number)
    if (folder === undefined) return this.#fail(`device ${number} is not in ${sysfs.root}`)
    const range = { start, end: Math.min(end, attributeNumber(folder, 'size') * sysfsSector), how }
    if (!this.#visit(`device ${number}`, range)) return this
    this.through.add(`device ${number}`)
    const name = folder.slice(folder.lastIndexOf('/') + 1)
    this.pieces.push({ of: `device ${number}`, ...range, path: how === 'exact' ? devicePath(name) : undefined })
    if (sysfs.isPartition(folder)) return this.#addPartition(folder, range)
    this.#addSlaves(folder, range)
    if (name.startsWith('loop')) this.#addLoop(name, folder, range)
    if (/^nbd\d+$/.test(name)) this.#addNetworkDevice(name, folder, range)
    const backing = attribute(folder, 'backing_dev')
    if (backing !== undefined && backing !== 'none') this.addPath(backing, mapped(range))
    return this
  }

  #addPartition(folder: string, { start, end, how }: Range): this {
    const offset = attributeNumber(folder, 'start') * sysfsSector
    const disk = attribute(above(folder), 'dev')
    return disk === undefined ? this : this.addDevice(disk, { start: start + offset, end: end + offset, how })
  }

  #addSlaves(folder: string, range: Range): void {
    for (const name of namesInFolder(`${folder}/slaves`)) {
      const number = this.#numberOf(`${folder}/slaves/${name}`, name)
      if (number !== undefined) this.addDevice(number, mapped(range))
    }
    // The paths of a multipath disk are the same disk.
    for (const name of namesInFolder(`${folder}/holders`)) {
      const holder = `${this.#view.sysfs.root}/block/${name}`
      const number = attribute(holder, 'dev')
      if (number !== undefined && attribute(holder, 'dm/uuid')?.startsWith('mpath-') === true)
        this.pieces.push({ of: `device ${number}`, ...range })
    }
  }

  /** The number of a device below another, by the link to it or, where only names were recorded, by its name. */
  #numberOf(link: string, name: string): string | undefined {
    const linked = attribute(link, 'dev')
    if (linked !== undefined) return linked
    const { sysfs } = this.#view
    for (const whole of sysfs.names()) {
      if (whole === name) return attribute(sysfs.folder(whole), 'dev')
      if (name.startsWith(whole)) {
        const number = attribute(`${sysfs.folder(whole)}/${name}`, 'dev')
        if (number !== undefined) return number
      }
    }
    return undefined
  }

  #addLoop(name: string, folder: string, { start, end, how }: Range): void {
    const path = attributePath(folder, 'loop/backing_file')
    if (path === undefined) return
    const offset = attributeNumber(folder, 'loop/offset')
    const { files } = this.#view
    const byPath = files.identify(path)
    const file = files.loopFile(name) ?? byPath
    if (file === undefined) {
      this.#fail(`the file behind ${name} cannot be found: ${printable(path)}`)
      return
    }
    const leadsThere = byPath?.device === file.device && byPath.inode === file.inode
    this.addIdentity(file, leadsThere ? path : undefined, { start: start + offset, end: end + offset, how })
  }

  #addNetworkDevice(name: string, folder: string, range: Range): void {
    const server = attribute(folder, 'pid')
    const files = server === undefined ? [] : this.#view.files.openFiles(server)
    if (server !== undefined && files.length === 0) this.#fail(`where the data of ${name} lies is known to its server`)
    this.#addServed(files, range, 'mapped')
  }

  #addFile(file: FileIdentity, path: HostPath | undefined, range: Range): this {
    const of = `file ${file.device}/${file.inode}`
    if (!this.#visit(of, range)) return this
    this.pieces.push({ of, ...range, path: range.how === 'exact' ? path : undefined })
    const filed: Range = { ...allOfIt, how: 'filed' }
    if (!file.device.startsWith('0:')) return this.addDevice(file.device, filed)
    const minor = Number(file.device.slice(2))
    const shown = this.#view.files.shownDisks().find(({ connection }) => connection === minor)
    if (shown !== undefined) return this.#addShown(shown, file.inode, range)
    const mount = this.#mountOf(file, path)
    if (mount === undefined) return this.#fail(`no mount is known for device ${file.device}`)
    return this.#addInMount(mount, path, { file, range, filed })
  }

  #mountOf({ device }: FileIdentity, path: HostPath | undefined): Mount | undefined {
    const { mounts } = this.#view
    const exact = mounts.findLast((mount) => mount.deviceNumber === device)
    return path === undefined || exact?.filesystem.startsWith('fuse') === true
      ? exact
      : (mountOf(placeOf(path), mounts) ?? exact)
  }

  #addInMount(
    mount: Mount,
    path: HostPath | undefined,
    { file, range, filed }: { readonly file: FileIdentity; readonly range: Range; readonly filed: Range },
  ): this {
    const { filesystem, point } = mount
    if (networkFilesystems.test(filesystem) || memoryFilesystems.test(filesystem)) return this
    if (!mount.deviceNumber.startsWith('0:')) return this.addDevice(mount.deviceNumber, filed)
    if (filesystem === 'overlay' && path !== undefined) return this.#addOverlaid(mount, placeOf(path), range)
    const devices = devicesOf(mount, this.#view)
    if (devices.length > 0) {
      for (const device of devices) this.addDevice(device, filed)
      return this
    }
    if (!filesystem.startsWith('fuse')) return this.#fail(`the ${filesystem} at ${point} does not say where it lies`)
    const servers = this.#view.files.fuseServers(Number(file.device.slice(2)))
    const files = servers.flatMap((server) => this.#view.files.openFiles(server))
    if (files.length === 0) this.#fail(`the ${filesystem} at ${point} does not say where it lies`)
    // A disk shown as a file (vdisk, qemu-storage-daemon), or a filesystem in the file.
    const isDisk = filesystem === 'fuse.vdisk' || (path !== undefined && placeOf(path) === point)
    return this.#addServed(files, range, isDisk ? 'mapped' : 'filed')
  }

  /** Bytes that a process keeps in some of the files it has open. */
  #addServed(files: readonly HostPath[], range: Range, how: Occupancy): this {
    for (const path of files) {
      const file = this.#view.files.identify(path)
      if (file !== undefined) this.addIdentity(file, undefined, { ...allOfIt, how: looser(range.how, how) })
    }
    return this
  }

  #addShown(shown: ShownDisk, inode: bigint, { start, end, how }: Range): this {
    this.through.add(`fuse ${shown.connection}`)
    const file = shown.files.find((each) => each.inode === inode)
    const disk: Range =
      file === undefined
        ? { ...allOfIt, how: looser(how, 'mapped') }
        : { start: start + file.start, end: Math.min(end, file.length) + file.start, how }
    this.pieces.push({ of: `disk of fuse ${shown.connection}`, ...disk })
    for (const { path, read, written, exact } of shown.images) {
      if (!(this.#purpose === 'read' ? read : written)) continue
      const found = this.#view.files.identify(path)
      if (found !== undefined) this.addIdentity(found, undefined, exact ? disk : { ...mapped(disk) })
    }
    return this
  }

  /** The file of an overlay's folders that is seen; written is always a file of the upper one. */
  #addOverlaid({ root, point, superOptions, deviceNumber }: Mount, path: string, range: Range): this {
    const { upper, lower } = overlayFolders(superOptions)
    const within = `${root === '/' ? '' : root}${path.slice(point === '/' ? 0 : point.length)}`
    const { files, mounts } = this.#view
    const folders = this.#purpose === 'write' ? [upper] : [upper, ...lower]
    for (const folder of folders) {
      if (folder === undefined) continue
      if (files.identify(folder) === undefined)
        return this.#fail(`${folder}, below the overlay at ${point}, is not there`)
      if (mountOf(folder, mounts)?.deviceNumber === deviceNumber)
        return this.#fail(`${folder}, below the overlay at ${point}, is a path of another system`)
      const found = files.identify(`${folder}${within}`)
      if (found !== undefined) return this.addIdentity(found, `${folder}${within}`, range)
    }
    return this
  }

  #visit(of: string, { start, end, how }: Range): boolean {
    const what = `${of} ${start} ${end} ${how}`
    if (this.#visited.has(what)) return false
    this.#visited.add(what)
    return true
  }

  #fail(why: string): this {
    this.#unknown.add(why)
    return this
  }
}

/** Somewhere in what lies below, all of which may hold a byte of it. */
function mapped({ how }: Range): Range {
  return { ...allOfIt, how: looser(how, 'mapped') }
}

/** sysfs writes `!` where a device's path has `/` (cciss!c0d0). */
function devicePath(name: string): string {
  return `/dev/${name.replaceAll('!', '/')}`
}

function overlayFolders(superOptions: readonly string[]): {
  readonly upper: string | undefined
  readonly lower: readonly string[]
} {
  let upper: string | undefined
  const lower: string[] = []
  for (const option of superOptions) {
    const sign = option.indexOf('=')
    const [key, value] = [option.slice(0, sign), option.slice(sign + 1)]
    if (key === 'upperdir') upper = value
    // A colon in a name is escaped.
    else if (key === 'lowerdir') lower.push(...(value.match(/(?:\\.|[^:\\])+/g) ?? []).map(unescaped))
    else if (key === 'lowerdir+') lower.push(value)
  }
  return { upper: upper === undefined ? undefined : unescaped(upper), lower }
}

function unescaped(path: string): string {
  return path.replaceAll(/\\(.)/g, '$1')
}

/** A recorded path, or one that is gone, is taken as it stands. */
const placeOf = (path: HostPath): string => realPath(path) ?? path
