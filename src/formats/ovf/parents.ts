import { printable, reference, type ImageError } from '../../errors.js'
import type { WrappedParent, WrappedFile } from '../driver.js'
import type { Envelope } from './envelope.js'

type Disk = Envelope['disks'][number]

/** Which disks of a description hold changes to which others (DSP0243, 9.1: `parentRef`). */
export class Parents {
  readonly #byId = new Map<string, Disk>()
  readonly #byFile = new Map<string, Disk>()
  readonly #bases = new Set<Disk>()
  readonly #label: string

  /** @param label what messages call the description. */
  constructor(disks: readonly Disk[], label: string) {
    this.#label = label
    for (const disk of disks) {
      this.#byId.set(disk.id, disk)
      for (const name of [disk.reference?.id, disk.reference?.href])
        if (name !== undefined && !this.#byFile.has(name)) this.#byFile.set(name, disk)
    }
    for (const disk of disks) {
      const below = this.#below(disk)
      if (below !== undefined) this.#bases.add(below)
    }
  }

  /** Its parent, and whether it is there for others only: a base that no machine has. */
  factsOf(disk: Disk): Pick<WrappedFile, 'parent' | 'isBase'> {
    return {
      parent: disk.parent === undefined ? undefined : this.#parentOf(disk, disk.parent),
      isBase: this.#bases.has(disk) && disk.controller === undefined,
    }
  }

  #parentOf(disk: Disk, named: string): WrappedParent {
    const findProblem = (): ImageError | undefined => this.#problemOf(disk, named)
    return {
      id: this.#below(disk)?.id ?? named,
      get problem() {
        return findProblem()
      },
    }
  }

  #problemOf(disk: Disk, named: string): ImageError | undefined {
    const below = this.#below(disk)
    const over = `${this.#label}: the disk ${printable(disk.id)} lies over ${printable(named)}`
    if (below === undefined)
      return reference('E_PARENT_MISSING', `${over}, which the description does not list`, { hint: unpackHint })
    if (below.reference === undefined)
      return reference('E_PARENT_MISSING', `${over}, which is an empty disk without a file`, { hint: unpackHint })
    const seen = new Set<Disk>()
    for (let at: Disk | undefined = disk; at !== undefined; at = this.#below(at)) {
      if (seen.has(at))
        return reference('E_PARENT_LOOP', `${over}, and the chain below that goes in a circle`, { hint: unpackHint })
      seen.add(at)
    }
    return undefined
  }

  /** By its id; oVirt names it by its file. */
  #below({ parent }: Disk): Disk | undefined {
    return parent === undefined ? undefined : (this.#byId.get(parent) ?? this.#byFile.get(parent))
  }
}

const unpackHint = 'Unpack the archive with tar, and convert the disk by itself if it is whole.'
