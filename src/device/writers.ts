import { deviceNumberText } from '../binary/device-number.js'
import { printable, type HostPath } from '../errors.js'
import { systemFiles, type FileIdentity } from './file-lookup.js'
import { devicesOf } from './mounted-devices.js'
import { mountOf, parseMounts, parseSwaps, type Mount } from './mounts.js'
import { attribute, attributeNumber, attributePath, Sysfs, sysfsSector } from './sysfs.js'
import { namesInFolder, textOfFile } from '../sys/readable.js'
import { above, inFolder } from '../sys/host-path.js'

/** A range in bytes of what is asked about. */
interface Range {
  readonly start: number
  readonly end: number
}
const whole: Range = { start: 0, end: Infinity }

interface AttachedLoop {
  readonly number: string
  /** By which its file was attached; it may lead elsewhere by now. */
  readonly path: HostPath
  /** Where that lies. */
  readonly mount: Mount | undefined
  readonly range: Range
}

/**
 * Which filesystems and swap space of the system write to files and disks, through loops, partitions, LVM, LUKS and
 * RAID. Only lists of the system and nodes are looked at: no device is opened, so that it can be asked whenever
 * something is read. Everything is listed once.
 */
export class SystemWriters {
  readonly #sysfs = new Sysfs('/sys')
  readonly #files = systemFiles()
  readonly #identities = new Map<HostPath, FileIdentity | undefined>()
  #mountList: readonly Mount[] | undefined
  #loopList: readonly AttachedLoop[] | undefined
  #writerList: ReadonlyMap<string, string> | undefined

  /** What writes to a file, in words: `a filesystem in it is mounted for writing at /mnt`. */
  ofFile(device: bigint, inode: bigint): string | undefined {
    return this.#overFile({ device: deviceNumberText(device), inode }, whole, new Set())
  }

  /** The same of a disk, partition or volume, by its number: `8:1`. What else shows its bytes counts too. */
  ofDevice(number: string): string | undefined {
    const visited = new Set<string>()
    return this.#overDevice(number, whole, visited) ?? this.#besideDevice(number, whole, visited)
  }

  /** On the device itself, and on what is made of it. */
  #overDevice(number: string, range: Range, visited: Set<string>): string | undefined {
    if (!isNew(visited, `device ${number}`, range)) return undefined
    const writer = this.#writers.get(number)
    if (writer !== undefined) return writer
    const folder = this.#sysfs.folderOf(number)
    if (folder === undefined) return undefined
    const parts = namesInFolder(folder)
      .map((name) => inFolder(folder, name))
      .filter((own) => this.#sysfs.isPartition(own))
      .map((own) => ({ number: attribute(own, 'dev') ?? '', range: rangeOf(own, 'start', sysfsSector) }))
    const holders = namesInFolder(inFolder(folder, 'holders')).flatMap(
      (name) => attribute(`${this.#sysfs.root}/class/block/${name}`, 'dev') ?? [],
    )
    const loops = this.#loops.filter((loop) => this.#identify(loop)?.node === number)
    return (
      first([...parts, ...loops], (each) => this.#overPart(each, range, visited)) ??
      first(holders, (holder) => this.#overDevice(holder, whole, visited))
    )
  }

  #overPart(part: Pick<AttachedLoop, 'number' | 'range'>, range: Range, visited: Set<string>): string | undefined {
    const { start } = part.range
    const shared = { start: Math.max(start, range.start), end: Math.min(part.range.end, range.end) }
    if (shared.start >= shared.end) return undefined
    return this.#overDevice(part.number, { start: shared.start - start, end: shared.end - start }, visited)
  }

  #overFile(file: FileIdentity, range: Range, visited: Set<string>): string | undefined {
    if (!isNew(visited, `file ${file.device}/${file.inode}`, range)) return undefined
    return first(
      this.#loops.filter((loop) => {
        const found = this.#identify(loop, file.device)
        return found?.device === file.device && found.inode === file.inode
      }),
      (loop) => this.#overPart(loop, range, visited),
    )
  }

  /** What has the same bytes from below: a partition is a part of its disk, a loop a part of its file. */
  #besideDevice(number: string, range: Range, visited: Set<string>): string | undefined {
    const folder = this.#sysfs.folderOf(number)
    if (folder === undefined) return undefined
    const within = (part: Range): Range => ({
      start: part.start + range.start,
      end: Math.min(part.end, part.start + range.end),
    })
    if (this.#sysfs.isPartition(folder)) {
      const disk = attribute(above(folder), 'dev')
      return disk === undefined
        ? undefined
        : this.#aroundDevice(disk, within(rangeOf(folder, 'start', sysfsSector)), visited)
    }
    const loop = this.#loops.find((each) => each.number === number)
    const below = loop === undefined ? undefined : this.#identify(loop)
    if (loop === undefined || below === undefined) return undefined
    if (below.node !== undefined) return this.#aroundDevice(below.node, within(loop.range), visited)
    return this.#overFile(below, within(loop.range), visited)
  }

  #aroundDevice(number: string, range: Range, visited: Set<string>): string | undefined {
    return this.#overDevice(number, range, visited) ?? this.#besideDevice(number, range, visited)
  }

  get #mounts(): readonly Mount[] {
    return (this.#mountList ??= parseMounts(textOfFile('/proc/self/mountinfo') ?? ''))
  }

  get #loops(): readonly AttachedLoop[] {
    return (this.#loopList ??= namesInFolder(`${this.#sysfs.root}/block`).flatMap((name) => {
      const folder = `${this.#sysfs.root}/block/${name}`
      const path = name.startsWith('loop') ? attributePath(folder, 'loop/backing_file') : undefined
      const number = path === undefined ? undefined : attribute(folder, 'dev')
      if (path === undefined || number === undefined) return []
      return [{ number, path, mount: mountOf(path, this.#mounts), range: rangeOf(folder, 'loop/offset', 1) }]
    }))
  }

  /** What a loop is over, by the path of its file. @param device of the filesystem that is asked about. */
  #identify({ path, mount }: AttachedLoop, device?: string): FileIdentity | undefined {
    if (!mayLieOn(mount, device)) return undefined
    if (!this.#identities.has(path)) this.#identities.set(path, this.#files.identify(path))
    return this.#identities.get(path)
  }

  /** By the number of a device: what writes to it. */
  get #writers(): ReadonlyMap<string, string> {
    if (this.#writerList !== undefined) return this.#writerList
    const found = new Map<string, string>()
    const view = { sysfs: this.#sysfs, files: this.#files }
    for (const mount of this.#mounts)
      if (!mount.readOnly)
        for (const number of devicesOf(mount, view))
          found.set(number, `a filesystem in it is mounted for writing at ${printable(mount.point)}`)
    for (const { path } of parseSwaps(textOfFile('/proc/swaps') ?? '')) {
      const node = this.#files.identify(path)?.node
      if (node !== undefined) found.set(node, 'swap space in it is in use')
    }
    return (this.#writerList = found)
  }
}

/** Filesystems behind a program or a network: who asks about a file waits for as long as those take. */
const remoteFilesystems = /^(fuse|nfs|cifs|smb|9p|afs|ceph|glusterfs|lustre|ncpfs|virtiofs)/

/**
 * Whether a file of the filesystem with this device number, or a device's node, may lie under a mount. A server that
 * hangs is not waited for because of a file that lies elsewhere.
 */
export function mayLieOn(mount: Mount | undefined, device: string | undefined): boolean {
  return mount === undefined || !remoteFilesystems.test(mount.filesystem) || mount.deviceNumber === device
}

function isNew(visited: Set<string>, of: string, { start, end }: Range): boolean {
  const what = `${of} ${start} ${end}`
  if (visited.has(what)) return false
  visited.add(what)
  return true
}

/** Where a partition or loop lies in what it is a part of. @param unit bytes that the attribute of its start counts. */
function rangeOf(folder: string, startName: string, unit: number): Range {
  const start = attributeNumber(folder, startName) * unit
  return { start, end: start + attributeNumber(folder, 'size') * sysfsSector }
}

/** The first answer that there is. */
function first<Item>(items: readonly Item[], ask: (item: Item) => string | undefined): string | undefined {
  for (const item of items) {
    const answer = ask(item)
    if (answer !== undefined) return answer
  }
  return undefined
}
