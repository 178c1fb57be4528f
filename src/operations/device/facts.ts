import type { BlockSource, Note } from '../../block/types.js'
import { joined, type Trail } from '../../device/bytes.js'
import type { DiskPlatform, Place } from '../../device/types.js'
import type { SourceFacts } from '../resume/facts.js'
import type { UsedBlockMap } from '../bmap/use.js'
import type { DeviceTarget } from './argument.js'
import type { FittedDisk } from './content.js'
import type { TargetDescription } from './description.js'
import type { ContentFacts, TargetFacts } from './target-facts.js'
import { tableInside } from './parent-table.js'

/** What is to be written, and where it is read from. */
export interface DeviceReading {
  readonly source: BlockSource
  readonly name: string
  readonly isPartition: boolean
  /** Of a disk of this computer, for people. */
  readonly described?: TargetDescription
  /** What is to be known of it before anything is overwritten. */
  readonly notes?: readonly Note[]
  readonly place: Place
  /** Device numbers of what is read, or of the filesystems it lies in. */
  readonly devices: readonly string[]
  /** The whole disk that is read, by its name, when it is one. */
  readonly disk?: string
  /** What is read, by paths: where its bytes lie is followed from them. */
  readonly paths?: readonly string[]
  /** Of one device only a range, in bytes. */
  readonly range?: { readonly start: number; readonly length: number }
  /** Whether it changes while it is read. */
  readonly changes?: boolean
  /** Whether it is decoded from its start to its end each time it is read: it is proved by a digest then. */
  readonly arrivesInOrder?: boolean
  /** Whether a file is one of those that are read. */
  readonly reads?: (path: string) => boolean
  /** What it is known by, and how it was asked for: it is gone on with where both are the same. */
  readonly facts?: SourceFacts
  readonly asked?: Readonly<Record<string, string>>
  /** Of an image with a block map: what of it is to be written. */
  readonly blockMap?: UsedBlockMap
  /** At the end of reading it. @throws ImageError corrupt E_SOURCE_CHANGED. */
  readonly unchanged?: () => void
}

/** Collects what the guards judge: about the target as the system has it now, and about what is to be written. */
export function targetFacts(
  reading: DeviceReading,
  content: FittedDisk,
  target: DeviceTarget,
  platform: DiskPlatform,
): TargetFacts {
  const { disk, partition, path } = target
  return {
    ...whoHas(reading, path, platform),
    disk,
    partition,
    place: platform.place(path),
    sourcePlace: reading.place,
    sourceDevices: reading.devices,
    content: contentFacts(reading, content),
    sourceDisk: reading.disk,
    tableInside: tableInside(target),
    targetIsSource: disk.backingFile === undefined ? undefined : reading.reads?.(disk.backingFile),
  }
}

/** Where the bytes of target and source lie, and who else has any of the target's; nothing where it is not known. */
function whoHas(
  { paths, range }: DeviceReading,
  target: string,
  platform: DiskPlatform,
): Pick<TargetFacts, 'trail' | 'sourceTrail' | 'holders' | 'busy'> {
  const trail = platform.trail?.(target, 'write')
  if (trail === undefined) return {}
  const sources: Trail[] = (paths ?? []).flatMap((path) => platform.trail?.(path, 'read', range) ?? [])
  return {
    trail,
    sourceTrail: paths === undefined ? undefined : joined(sources),
    holders: platform.holders?.(trail),
    busy: platform.isBusy?.(target),
  }
}

function contentFacts({ source, name, isPartition }: DeviceReading, content: FittedDisk): ContentFacts {
  const { scheme, sectorSize } = content.table
  return {
    name,
    capacity: source.capacity,
    scheme: isPartition ? 'none' : scheme,
    tableSectorSize: sectorSize,
    isPartition,
    atEnd: content.lost.length === 0 ? undefined : content.lost.join(' and '),
    fitting: content.fitting,
  }
}
