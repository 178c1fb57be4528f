import { SliceSource } from '../../block/slice.js'
import type { BlockSource } from '../../block/types.js'
import { DiskStore } from '../../device/disk-store.js'
import { DeviceSource } from '../../device/source.js'
import type { DeviceUse, FoundDevice } from '../../device/types.js'
import { isImageError } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import { readPartitionTable } from '../../partition/index.js'

/** A part of a disk as it is now. Bytes. */
export interface PresentPartition {
  readonly number: number
  readonly start: number
  readonly length: number
  readonly label?: string
  readonly filesystem?: string
  readonly filesystemLabel?: string
}

/** A disk or partition, so that people know it from others. Sizes are bytes. */
export interface TargetDescription {
  readonly kind: 'disk' | 'partition'
  readonly path: string
  readonly name: string
  readonly model?: string
  readonly vendor?: string
  readonly serial?: string
  readonly bus?: string
  readonly backingFile?: string
  readonly size: number
  readonly sectorSize: number
  /** Of a whole disk, as its own table has them; of a partition itself. Undefined where it could not be read. */
  readonly partitions?: readonly PresentPartition[]
  /** What is mounted where, and what holds it. */
  readonly uses: readonly string[]
  /** Why the running system needs it. */
  readonly system: readonly string[]
}

/** What is known of a device; what it holds is looked at, where it can be read by its path. */
export function describeTarget({ path, disk, partition }: FoundDevice & { readonly path: string }): TargetDescription {
  const parts = partition === undefined ? [disk, ...disk.partitions] : [partition]
  return {
    kind: partition === undefined ? 'disk' : 'partition',
    path: partition?.path ?? disk.path,
    name: partition?.name ?? disk.name,
    size: partition?.size ?? disk.size,
    sectorSize: disk.logicalSectorSize,

    model: disk.model,
    vendor: disk.vendor,
    serial: disk.serial,
    bus: disk.bus,
    backingFile: disk.backingFile,
    partitions: present(path, { disk, partition }),
    uses: parts.flatMap((part) => part.uses.map((use) => `${part.path} ${useText(use)}`)),
    system: disk.system,
  }
}

function useText(use: DeviceUse): string {
  if (use.kind === 'mount') return `is mounted at ${use.point}`
  return use.kind === 'swap' ? 'is swap space in use' : `is held by ${use.title} (${use.role})`
}

function present(path: string, { disk, partition }: FoundDevice): PresentPartition[] | undefined {
  const size = partition?.size ?? disk.size
  if (size === 0) return undefined
  try {
    using source = new DeviceSource(DiskStore.open(path, { size, sectorSize: disk.logicalSectorSize }))
    if (partition !== undefined)
      return [{ number: partition.number, start: partition.start, length: size, ...filesystemOf(source) }]
    const { partitions, scheme } = readPartitionTable(source)
    if (scheme === 'none')
      return [{ number: 0, start: 0, length: size, ...filesystemOf(source) }].filter(
        ({ filesystem }) => filesystem !== undefined,
      )
    return partitions
      .filter(({ role }) => role !== 'extended')
      .map(({ number, start, length, label }) => ({
        number,
        start,
        length,
        label,
        ...(start + length > size ? {} : filesystemOf(new SliceSource(source, start, length))),
      }))
  } catch (error) {
    // It is only shown: where it cannot be read, the rest is shown.
    if (!isImageError(error)) throw error
    return undefined
  }
}

function filesystemOf(volume: BlockSource): { readonly filesystem?: string; readonly filesystemLabel?: string } {
  const [filesystem] = identifyFilesystems(volume)
  return { filesystem: filesystem?.title, filesystemLabel: filesystem?.label }
}
