import type { BlockSource } from '../../../block/types.js'
import type { Partition, PartitionTable } from '../../../partition/index.js'
import { bootConfigurations, type BootConfiguration } from './configuration.js'
import { masterBootCode, volumeBootCode, type BootCode } from './code.js'
import { efiLoaders, type BootLoader } from './loaders.js'
import { biosVerdict, type ActivePartition, type BiosEvidence, type GrubCore } from './bios.js'
import { uefiVerdict } from './uefi.js'
import type { Problem } from '../info.js'
import type { Volume, VolumeFiles } from '../../files/volume-files.js'

/** Which firmware is able to start a disk, and why. Judged by what lies on the disk; nothing is run. */
export interface BootDiagnosis {
  readonly firmware: 'bios' | 'uefi' | 'both' | 'none'
  /** The firmware, of those, that may start it: a program does it that is not known here. */
  readonly uncertain: readonly ('bios' | 'uefi')[]
  /** What it was judged by, and what speaks against it: sentences for people. */
  readonly reasons: readonly string[]
  /** The code in the disk's first sector. */
  readonly bootCode: BootCode
  /** Partitions that BIOS boot code goes on with. */
  readonly active: readonly ActivePartition[]
  /** GRUB's core image, when the first sector is GRUB's. */
  readonly grubCore?: GrubCore
  /** Numbers of the BIOS-boot partitions (GPT). */
  readonly biosBoot: readonly number[]
  /** Numbers of the EFI system partitions. */
  readonly systemPartitions: readonly number[]
  readonly loaders: readonly BootLoader[]
  readonly configurations: readonly BootConfiguration[]
  /** Volumes that could not be looked into, or not wholly. */
  readonly problems: readonly (Problem & { readonly partition?: number })[]
}

/** What is known of it: `starts from BIOS`, `may start from BIOS and UEFI`, `starts from BIOS, may start from UEFI`. */
export function startText({ firmware, uncertain }: Pick<BootDiagnosis, 'firmware' | 'uncertain'>): string {
  if (firmware === 'none') return 'starts from neither BIOS nor UEFI'
  const all = firmware === 'both' ? (['bios', 'uefi'] as const) : [firmware]
  const names = (some: readonly ('bios' | 'uefi')[]): string => some.map((one) => one.toUpperCase()).join(' and ')
  const sure = all.filter((one) => !uncertain.includes(one))
  const parts = [
    ...(sure.length === 0 ? [] : [`starts from ${names(sure)}`]),
    ...(uncertain.length === 0 ? [] : [`may start from ${names(uncertain)}`]),
  ]
  return parts.join(', ')
}

const systemTypes = ['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef']
const biosBootType = '21686148-6449-6e6f-744e-656564454649'
const headLength = 1536

/** A volume with its files. */
export interface OpenVolume {
  readonly volume: Volume
  readonly files: VolumeFiles
}

/**
 * What starts from a disk.
 * @param part whether the source is one partition: then nothing is said of the disk around it.
 * @throws ImageError when the disk itself cannot be read; damage in a volume is in `problems`.
 */
export function diagnoseBoot(
  source: BlockSource,
  table: PartitionTable,
  volumes: readonly OpenVolume[],
  part?: string,
): BootDiagnosis {
  const system = table.partitions.filter(({ type }) => systemTypes.includes(type.id)).map(({ number }) => number)
  const loaders = volumes.flatMap(({ volume, files }) =>
    readsFat(volume) ? efiLoaders(files, volume.partition?.number) : [],
  )
  const configurations = volumes.flatMap(({ volume, files }) => bootConfigurations(files, volume.partition?.number))
  const bios: BiosEvidence = {
    table,
    source,
    bootCode: firstCode(source, table, volumes),
    active: activePartitions(source, table),
    biosBoot: table.partitions.filter(({ type }) => type.id === biosBootType),
  }
  const byBios = biosVerdict(bios)
  const byUefi = uefiVerdict(table, system, loaders)
  const firmware = byBios.starts ? (byUefi.starts ? 'both' : 'bios') : byUefi.starts ? 'uefi' : 'none'
  return {
    firmware,
    uncertain: [
      ...(byBios.starts && byBios.known === false ? (['bios'] as const) : []),
      ...(byUefi.starts && byUefi.known === false ? (['uefi'] as const) : []),
    ],
    reasons: [
      ...(part === undefined ? [] : [`Only ${part} was looked at; how a disk starts is shown for whole disks.`]),
      ...byBios.reasons,
      ...byUefi.reasons,
    ],
    bootCode: bios.bootCode,
    active: bios.active,
    biosBoot: bios.biosBoot.map(({ number }) => number),
    systemPartitions: system,
    loaders,
    configurations,
    problems: volumes.flatMap(({ volume, files }) =>
      files.problems.map((one) => ({ ...one, partition: volume.partition?.number })),
    ),
    grubCore: byBios.grubCore,
  }
}

/** Firmware reads FAT, and some that of a CD; the ext and NTFS folders named EFI are mount points and backups. */
function readsFat({ filesystems }: Volume): boolean {
  return filesystems.some(({ type }) => type === 'vfat')
}

/** A disk without partitions has its volume's boot sector there, or nothing. */
function firstCode(source: BlockSource, { scheme }: PartitionTable, volumes: readonly OpenVolume[]): BootCode {
  const head = headOf(source, 0)
  const sectorIsVolumes =
    scheme === 'none' &&
    volumes.some(
      ({ volume: { partition, filesystems } }) =>
        partition === undefined &&
        filesystems.some(({ type }) => ['vfat', 'ntfs', 'exfat', 'BitLocker', 'ReFS'].includes(type)),
    )
  return sectorIsVolumes ? volumeBootCode(head) : masterBootCode(head)
}

function activePartitions(source: BlockSource, { partitions, hybrid }: PartitionTable): ActivePartition[] {
  const marked = (partition: Partition): ActivePartition['mark'] | undefined =>
    partition.flags.includes('active')
      ? 'active'
      : partition.flags.includes('legacy BIOS bootable')
        ? 'legacy'
        : undefined
  return [...partitions, ...hybrid].flatMap((partition) => {
    const mark = marked(partition)
    return mark === undefined
      ? []
      : [{ partition: partition.number, mark, bootCode: volumeBootCode(headOf(source, partition.start)) }]
  })
}

/** The first bytes of the disk or of a partition; what lies past the disk's end is zero. */
function headOf(source: BlockSource, start: number): Uint8Array {
  const bytes = new Uint8Array(headLength)
  const length = Math.max(0, Math.min(headLength, source.capacity - start))
  if (length > 0) source.read(start, bytes.subarray(0, length))
  return bytes
}
