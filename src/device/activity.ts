import type { DeviceUse, Disk, DiskPlatform, FoundDevice } from './types.js'

/** A filesystem mounted from a device, or from something above it. */
export interface ActiveMount {
  readonly point: string
  readonly filesystem: string
  readonly readOnly: boolean
  /** The device that is mounted: `/dev/sda1`, `/dev/dm-0`. */
  readonly device: string
}

/** What goes on on a disk or partition, and on the volumes above it. */
export interface Activity {
  readonly mounts: readonly ActiveMount[]
  /** What else may write, a sentence each: `/dev/sda3 is swap space in use`. */
  readonly others: readonly string[]
}

/** Who may be writing to a disk or partition: through LVM, LUKS, RAID and loops too. */
export function activityOf(platform: DiskPlatform, { disk, partition }: FoundDevice): Activity {
  const walk = new Walk(platform.list())
  if (partition === undefined) walk.addDisk(disk)
  else {
    walk.add(partition.path, partition.uses)
    walk.add(disk.path, disk.uses)
  }
  return walk
}

class Walk implements Activity {
  readonly mounts: ActiveMount[] = []
  readonly others: string[] = []
  readonly #disks: ReadonlyMap<string, Disk>
  readonly #visited = new Set<string>()

  constructor(disks: readonly Disk[]) {
    this.#disks = new Map(disks.map((disk) => [disk.name, disk]))
  }

  addDisk(disk: Disk): void {
    if (this.#visited.has(disk.name)) return
    this.#visited.add(disk.name)
    this.add(disk.path, disk.uses)
    for (const partition of disk.partitions) this.add(partition.path, partition.uses)
  }

  add(path: string, uses: readonly DeviceUse[]): void {
    for (const use of uses) {
      if (use.kind === 'mount')
        this.mounts.push({ point: use.point, filesystem: use.filesystem, readOnly: use.readOnly, device: path })
      else if (use.kind === 'swap') this.others.push(`${path} is swap space in use`)
      else {
        const above = this.#disks.get(use.name)
        const used =
          above !== undefined && (above.uses.length > 0 || above.partitions.some(({ uses: own }) => own.length > 0))
        if (used) this.addDisk(above)
        // Nothing is mounted above it, but a program or a virtual machine may have it open.
        else if (above?.readOnly !== true) this.others.push(`${path} is held by ${use.title} (${use.role})`)
      }
    }
  }
}
