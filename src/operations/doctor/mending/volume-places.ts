import { RangeSource } from '../../../block/range-source.js'
import { SliceSource } from '../../../block/slice.js'
import { SourceStore } from '../../../block/source-store.js'
import type { BlockSource } from '../../../block/types.js'
import { refused } from '../../../errors.js'
import type { ByteRun } from '../../../filesystem/types.js'
import type { OpenedImage } from '../../../formats/open.js'
import type { Partition } from '../../../partition/index.js'
import { logicalVolumes } from '../../open/disk-volumes.js'
import { placeText } from '../boot-menu.js'
import type { GuestVolume } from '../guest.js'

/** Where bytes of the volumes of a disk lie on it. */
export class VolumePlaces {
  readonly #store: SourceStore
  /** The disk with extents that say where on it they lie, whatever its format does with them. */
  readonly #traced: BlockSource
  readonly #volumes: readonly GuestVolume[]
  readonly #sources = new Map<GuestVolume, BlockSource>()

  constructor(disk: OpenedImage, volumes: readonly GuestVolume[]) {
    this.#store = new SourceStore('the disk', disk, disk)
    this.#traced = new RangeSource(this.#store, 0, disk.capacity, disk.sectorSize)
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
      if (extent.kind !== 'data' || extent.store !== this.#store)
        throw refused('E_NOT_MENDED', `${placeText(open)} does not lie on the disk in one place`)
      runs.push({ offset: extent.position, length: extent.length })
      done += extent.length
    }
    return runs
  }

  #source(open: GuestVolume): BlockSource {
    const known = this.#sources.get(open)
    if (known !== undefined) return known
    const { logical, volume } = open
    const source =
      logical === undefined
        ? partOf(this.#traced, volume.partition, this.#volumes)
        : logicalPart(this.#traced, logical, this.#volumes)
    this.#sources.set(open, source)
    return source
  }
}

function partOf(disk: BlockSource, partition: Partition | undefined, volumes: readonly GuestVolume[]): BlockSource {
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
  return new SliceSource(disk, start, length)
}

/** A logical volume whose extents lie on the disk itself; a mirrored one has every byte twice. */
function logicalPart(disk: BlockSource, name: string, volumes: readonly GuestVolume[]): BlockSource {
  const member = volumes.find(({ volume }) => volume.filesystems.some(({ type }) => type === 'linux_raid_member'))
  if (member !== undefined)
    throw refused('E_NOT_MENDED', `${name} may lie in an array (RAID), whose members have to stay alike`)
  const found = logicalVolumes(disk).find((volume) => volume.name === name)
  if (found === undefined) throw refused('E_NOT_MENDED', `where ${name} lies on the disk is not known`)
  return found.open()
}
