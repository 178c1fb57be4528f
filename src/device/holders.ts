import { printable, type HostPath } from '../errors.js'
import { effectOf, type Trail } from './bytes.js'
import type { ShownDisk } from './file-lookup.js'
import { devicesOf } from './mounted-devices.js'
import { attribute, attributePath } from './sysfs.js'
import { TrailFinder, type SystemView } from './trail.js'
import type { Holder } from './types.js'
import { namesInFolder } from '../sys/readable.js'

/** Where the system lists what is in use besides mounts. */
export interface UseLists {
  /** Paths of swap space. */
  readonly swaps: readonly string[]
  /** The folder that has an entry for each journal of an ext filesystem: /proc/fs/jbd2. */
  readonly journals: string
}

interface Candidate extends Holder {
  readonly trail: Trail
  /** What it is itself, by the name that a trail through it has. */
  readonly self?: string
}

/** Finds who holds bytes. Everything is looked up once, when it is first asked. */
export class HolderFinder {
  readonly #view: SystemView
  readonly #lists: UseLists
  #candidates: readonly Candidate[] | undefined

  constructor(view: SystemView, lists: UseLists) {
    this.#view = view
    this.#lists = lists
  }

  /** Everybody who holds bytes that writing to this trail changes; not what it is reached through. */
  holders(written: Trail): Holder[] {
    this.#candidates ??= [
      ...this.#mounts(),
      ...this.#swaps(),
      ...this.#journals(),
      ...this.#devices(),
      ...this.#shown(),
    ]
    const found = this.#candidates.filter(({ self, trail }) => {
      if (self !== undefined && written.through.has(self)) return false
      const effect = effectOf(written, trail)
      return effect === 'same' || effect === 'beneath'
    })
    const busy = new Set(found.flatMap(({ kind, device }) => (kind === 'device' ? [] : (device ?? []))))
    return [
      // A device that is mounted is said to be mounted, and no more.
      ...found
        .filter(({ kind, device }) => kind !== 'device' || device === undefined || !busy.has(device))
        .map(({ kind, reason, device, mount }) => ({ kind, reason, device, mount })),
      ...this.#locks(written),
    ]
  }

  #trail(path: HostPath): Trail {
    return new TrailFinder(this.#view, 'read').addPath(path)
  }

  #mounts(): Candidate[] {
    const { mounts, files } = this.#view
    const visited = new Set<string>()
    return mounts.flatMap((mount): Candidate[] => {
      const { deviceNumber, point, filesystem, readOnly, source } = mount
      const what = `${deviceNumber} ${point}`
      if (visited.has(what)) return []
      visited.add(what)
      const devices = devicesOf(mount, this.#view)
      const trail = new TrailFinder(this.#view, 'read')
      for (const number of devices) trail.addDevice(number)
      // A program that mounts an image file says which.
      if (
        devices.length === 0 &&
        filesystem.startsWith('fuse') &&
        filesystem !== 'fuse.vdisk' &&
        source.startsWith('/')
      )
        if (files.identify(source)?.node === undefined) trail.addPath(source)
      if (trail.pieces.length === 0) return []
      const [first] = devices
      const device = first === undefined ? undefined : this.#nameOf(first)
      const name = device === undefined ? source : this.#title(device)
      return [
        {
          kind: 'mount',
          reason:
            `${printable(name)} is mounted at ${printable(point)} ` + `(${filesystem}${readOnly ? ', read-only' : ''})`,
          device,
          mount: { point, filesystem, readOnly },
          trail,
        },
      ]
    })
  }

  #swaps(): Candidate[] {
    return this.#lists.swaps.map((path): Candidate => {
      const node = this.#view.files.identify(path)?.node
      return {
        kind: 'swap',
        reason: `${printable(path)} is swap space in use`,
        device: node === undefined ? undefined : this.#nameOf(node),
        trail: this.#trail(path),
      }
    })
  }

  /** A journal on a device of its own has the device's name; that of others ends in the number of a file as well. */
  #journals(): Candidate[] {
    return namesInFolder(this.#lists.journals).flatMap((name): Candidate[] => {
      const number = attribute(`${this.#view.sysfs.root}/class/block/${name}`, 'dev')
      if (number === undefined) return []
      return [
        {
          kind: 'device',
          reason: `/dev/${name} is the journal of a mounted ext filesystem`,
          device: name,
          trail: new TrailFinder(this.#view, 'read').addDevice(number),
        },
      ]
    })
  }

  /** Devices that are made of others, or of files. */
  #devices(): Candidate[] {
    const { sysfs } = this.#view
    return sysfs.names().flatMap((name): Candidate[] => {
      const folder = `${sysfs.root}/block/${name}`
      const number = attribute(folder, 'dev')
      const made =
        attributePath(folder, 'loop/backing_file') !== undefined ||
        namesInFolder(`${folder}/slaves`).length > 0 ||
        (attribute(folder, 'backing_dev') ?? 'none') !== 'none' ||
        (/^nbd\d+$/.test(name) && attribute(folder, 'pid') !== undefined)
      if (number === undefined || !made) return []
      return [
        {
          kind: 'device',
          reason: `${this.#title(name)} is ${name.startsWith('loop') ? 'attached to' : 'made of'} it`,
          device: name,
          self: `device ${number}`,
          trail: new TrailFinder(this.#view, 'read').addDevice(number),
        },
      ]
    })
  }

  #shown(): Candidate[] {
    return this.#view.files.shownDisks().map((shown: ShownDisk): Candidate => {
      const trail = new TrailFinder(this.#view, 'read')
      for (const { path, exact } of shown.images)
        trail.addPath(path, { start: 0, end: Infinity, how: exact ? 'exact' : 'mapped' })
      return { kind: 'server', reason: `${shown.title} uses it`, self: `fuse ${shown.connection}`, trail }
    })
  }

  #locks({ pieces }: Trail): Holder[] {
    const locked = pieces.find(({ path }) => path !== undefined && this.#view.files.isLocked(path))
    if (locked?.path === undefined) return []
    return [
      {
        kind: 'lock',
        reason: `${printable(locked.path)} is in use by another program, which has locked it`,
      },
    ]
  }

  #nameOf(number: string): string | undefined {
    return this.#view.sysfs.folderOf(number)?.replace(/^.*\//, '')
  }

  /** `/dev/loop3 (over /srv/disk.raw)`, `/dev/dm-0 (vg0-data)`, `/dev/sda1`. */
  #title(name: string): string {
    const folder = `${this.#view.sysfs.root}/block/${name}`
    const file = attributePath(folder, 'loop/backing_file')
    const more = file === undefined ? attribute(folder, 'dm/name') : `over ${file}`
    return `/dev/${name.replaceAll('!', '/')}${more === undefined ? '' : ` (${printable(more)})`}`
  }
}
