import { ReadOnlyStore } from '../../../block/read-only-store.js'
import type { BlockSource, Extent } from '../../../block/types.js'
import { printable, refused } from '../../../errors.js'
import type { ByteRun } from '../../../filesystem/types.js'
import type { OpenedImage } from '../../../formats/open.js'
import type { Partition } from '../../../partition/index.js'
import { logicalVolumes } from '../../open/disk-volumes.js'
import { placeText } from '../boot-entries.js'
import type { GuestVolume } from '../guest.js'

/** Where bytes of the volumes of a disk lie on it. */
export class VolumePlaces {
  readonly #disk: OpenedImage
  readonly #volumes: readonly GuestVolume[]
  readonly #sources = new Map<GuestVolume, BlockSource>()
  #traced: TracedDisk | undefined

  constructor(disk: OpenedImage, volumes: readonly GuestVolume[]) {
    this.#disk = disk
    this.#volumes = volumes
  }

  /**
   * The runs of the disk in which bytes of a volume lie, in their order. @throws ImageError refused E_NOT_MENDED where
   * more than one place may have them.
   */
  runs(open: GuestVolume, position: number, length: number): ByteRun[] {
    const source = this.#source(open)
    const runs: ByteRun[] = []
    for (let done = 0; done < length;) {
      const extent = source.extentAt(position + done, length - done)
      if (extent.kind !== 'data' || extent.store !== this.#traced?.store)
        throw refused('E_NOT_MENDED', `${placeText(open)} does not lie on the disk in one place`)
      runs.push({ offset: extent.position, length: extent.length })
      done += extent.length
    }
    return runs
  }

  #source(open: GuestVolume): BlockSource {
    const known = this.#sources.get(open)
    if (known !== undefined) return known
    const disk = (this.#traced ??= new TracedDisk(this.#disk))
    const { logical, volume } = open
    const source =
      logical === undefined ? partOf(disk, volume.partition, this.#volumes) : logicalPart(disk, logical, this.#volumes)
    this.#sources.set(open, source)
    return source
  }
}

function partOf(disk: TracedDisk, partition: Partition | undefined, volumes: readonly GuestVolume[]): BlockSource {
  if (partition === undefined) return disk
  const { number, start, length } = partition
  const crossed = volumes.find(
    ({ volume: { partition: other } }) =>
      other !== undefined &&
      other.number !== number &&
      other.start < start + length &&
      start < other.start + other.length,
  )
  if (crossed?.volume.partition !== undefined)
    throw refused('E_NOT_MENDED', `partition ${number} and partition ${crossed.volume.partition.number} overlap`)
  return disk.part(start, length)
}

/** A logical volume whose extents lie on the disk itself; a mirrored one has every byte twice. */
function logicalPart(disk: TracedDisk, name: string, volumes: readonly GuestVolume[]): BlockSource {
  const member = volumes.find(({ volume }) => volume.filesystems.some(({ type }) => type === 'linux_raid_member'))
  if (member !== undefined)
    throw refused('E_NOT_MENDED', `${name} may lie in an array (RAID), whose members have to stay alike`)
  const found = logicalVolumes(disk).find((volume) => volume.name === name)
  if (found === undefined) throw refused('E_NOT_MENDED', `where ${name} lies on the disk is not known`)
  return found.open()
}

/** A disk whose extents say where on it they lie, whatever its format does with them. */
class TracedDisk implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain = 512
  readonly store: DiskStore
  readonly #disk: BlockSource
  readonly #start: number

  constructor(disk: BlockSource, store = new DiskStore(disk), start = 0, length = disk.capacity) {
    this.#disk = disk
    this.#start = start
    this.store = store
    this.capacity = length
    this.sectorSize = disk.sectorSize
  }

  part(start: number, length: number): TracedDisk {
    return new TracedDisk(this.#disk, this.store, start, length)
  }

  extentAt(offset: number, limit: number): Extent {
    const length = Math.min(limit, this.capacity - offset)
    return { kind: 'data', offset, length, store: this.store, position: this.#start + offset }
  }

  read(offset: number, target: Uint8Array): void {
    this.#disk.read(this.#start + offset, target)
  }

  [Symbol.dispose](): void {
    // The disk belongs to the caller.
  }
}

class DiskStore extends ReadOnlyStore {
  readonly name = printable('the disk')
  readonly size: number
  readonly #disk: BlockSource

  constructor(disk: BlockSource) {
    super()
    this.#disk = disk
    this.size = disk.capacity
  }

  read(position: number, target: Uint8Array): void {
    this.#disk.read(position, target)
  }

  [Symbol.dispose](): void {
    // The disk belongs to the caller.
  }
}
