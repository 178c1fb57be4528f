import { ceilDivide, isPowerOfTwo } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import { fatMirroring } from './entries.js'
import { fat16Extension, fat32Extension, fatBootSector } from './structs.js'

/** Where everything lies; positions and sizes are bytes of the volume. */
export interface FatLayout {
  readonly bits: 12 | 16 | 32
  readonly boot: StructValues<typeof fatBootSector>
  readonly sectorSize: number
  readonly clusterSize: number
  /** Bytes that the filesystem says it has. */
  readonly size: number
  /** The copy of the table that counts. */
  readonly tableStart: number
  /** Bytes of a copy of the table, and where those begin that are kept alike. */
  readonly tableLength: number
  readonly tableCopies: readonly number[]
  /** The fixed root folder of FAT12 and FAT16. */
  readonly rootStart: number
  readonly rootLength: number
  /** FAT32's root folder is a chain like any other. */
  readonly rootCluster: number | undefined
  /** Where cluster 2 begins, and how many there are. */
  readonly dataStart: number
  readonly clusters: number
  readonly state: number
  /** Where the state byte lies; undefined where the boot sector has none. */
  readonly statePosition: number | undefined
  readonly serial: number | undefined
  readonly label: Uint8Array | undefined
  readonly infoSector: number | undefined
  readonly backupBootSector: number | undefined
}

/**
 * The layout that a boot sector records, or undefined when it is none of FAT. The checks are those of libblkid, and
 * that the table is large enough for the clusters. By Microsoft the number of clusters alone decides between FAT12 and
 * FAT16; a table size of 16 bits that is zero means FAT32, also with few clusters (mkfs.vfat -F 32).
 */
export function readFatLayout(sector: Uint8Array): FatLayout | undefined {
  const boot = fatBootSector.read(sector)
  const old = fat16Extension.read(sector)
  const new32 = fat32Extension.read(sector)
  if (!hasMarks(boot, old, new32) || !isPlausible(boot)) return undefined
  const places = placesOf(boot, new32)
  if (places === undefined) return undefined
  const { bytesPerSector: sectorSize, sectorsPerCluster, rootEntries } = boot
  const { bits, sectors, rootStart, firstData, clusters, tableStart, fatSectors, copies } = places
  const is32 = bits === 32
  const { bootSignature, serial, label, state } = is32 ? new32 : old
  const signed = bootSignature === 0x29 || bootSignature === 0x28
  return {
    bits,
    boot,
    sectorSize,
    clusters,
    state,
    clusterSize: sectorSize * sectorsPerCluster,
    size: sectors * sectorSize,
    tableStart: tableStart * sectorSize,
    tableLength: fatSectors * sectorSize,
    tableCopies: copies.map((sectorNumber) => sectorNumber * sectorSize),
    statePosition: is32 ? fat32Extension.fields.state.offset : signed ? fat16Extension.fields.state.offset : undefined,
    rootStart: rootStart * sectorSize,
    rootLength: is32 ? 0 : 32 * rootEntries,
    rootCluster: is32 ? new32.rootCluster : undefined,
    dataStart: firstData * sectorSize,
    serial: signed || is32 ? serial : undefined,
    label: bootSignature === 0x29 || is32 ? label : undefined,
    infoSector: is32 ? recorded(new32.infoSector) : undefined,
    backupBootSector: is32 ? recorded(new32.backupBootSector) : undefined,
  }
}

type Boot = StructValues<typeof fatBootSector>
type Extension32 = StructValues<typeof fat32Extension>

/** A sector number; two values mean that there is none. */
function recorded(sector: number): number | undefined {
  return sector === 0 || sector === 0xffff ? undefined : sector
}

/** Whether the sector is marked as a boot sector, or names a FAT. */
function hasMarks(boot: Boot, old: StructValues<typeof fat16Extension>, new32: Extension32): boolean {
  if (/^(FAT12 {3}|FAT16 {3}|FAT {5}|MSDOS)/.test(old.type) || /^(FAT32 {3}|MSWIN)/.test(new32.type)) return true
  // OS/2 puts something like a FAT's first sector before filesystems that are none.
  return boot.signature === 0xaa55 && !/^(JFS|HPFS) {4,5}/.test(old.type)
}

/** Whether the numbers of all kinds of FAT can be. */
function isPlausible({ bytesPerSector, sectorsPerCluster, reservedSectors, fats, media }: Boot): boolean {
  return (
    isPowerOfTwo(bytesPerSector) &&
    bytesPerSector >= 512 &&
    bytesPerSector <= 4096 &&
    isPowerOfTwo(sectorsPerCluster) &&
    fats > 0 &&
    reservedSectors > 0 &&
    (media >= 0xf8 || media === 0xf0)
  )
}

/** Where tables, root folder and clusters lie, in sectors; undefined where they cannot lie so. */
interface Places {
  readonly bits: FatLayout['bits']
  readonly sectors: number
  readonly tableStart: number
  readonly rootStart: number
  readonly firstData: number
  readonly clusters: number
  readonly fatSectors: number
  /** Where copies of the table begin that are kept alike. */
  readonly copies: readonly number[]
}

function placesOf(boot: Boot, new32: Extension32): Places | undefined {
  const { bytesPerSector: sectorSize, sectorsPerCluster, reservedSectors, fats, rootEntries } = boot
  const is32 = boot.fatSectors16 === 0
  const fatSectors = is32 ? new32.fatSectors : boot.fatSectors16
  const sectors = boot.sectors16 === 0 ? boot.sectors32 : boot.sectors16
  const rootStart = reservedSectors + fats * fatSectors
  const firstData = rootStart + ceilDivide(32 * rootEntries, sectorSize)
  const clusters = Math.floor((sectors - firstData) / sectorsPerCluster)
  if (fatSectors === 0 || clusters < 1 || (!is32 && (rootEntries === 0 || clusters >= 65525)) || clusters > 0x0ffffff5)
    return undefined
  const bits = is32 ? 32 : clusters < 4085 ? 12 : 16
  if (fatSectors * sectorSize * 8 < (clusters + 2) * bits) return undefined
  const { active, isMirrored } = is32 ? fatMirroring(new32.mirroring) : { active: 0, isMirrored: true }
  if (active >= fats) return undefined
  const tableStart = reservedSectors + active * fatSectors
  const copies = isMirrored
    ? Array.from({ length: fats }, (_unused, copy) => reservedSectors + copy * fatSectors)
    : [tableStart]
  return { bits, sectors, rootStart, firstData, clusters, tableStart, fatSectors, copies }
}
