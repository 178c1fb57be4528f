import { exfatBootSector } from './structs.js'
import { bootChecksum, volumeFlags } from './entries.js'
import type { BlockSource } from '../../block/types.js'
import type { StructValues } from '../../binary/struct.js'

/** Where everything lies; positions and sizes are bytes of the volume. */
export interface ExfatLayout {
  readonly boot: StructValues<typeof exfatBootSector>
  readonly sectorSize: number
  readonly clusterSize: number
  readonly size: number
  /** The table and the bitmap that count: 0 or 1. */
  readonly active: number
  readonly tableStart: number
  /** Where cluster 2 begins. */
  readonly heapStart: number
  readonly clusters: number
  readonly rootCluster: number
  readonly isDirty: boolean
  readonly hasErrors: boolean
  /** Whether the sum over the boot region is the recorded one. */
  readonly checksumHolds: boolean
}

/**
 * The layout that a boot region records, or undefined when it is none of exFAT or its numbers cannot be (section 3.1's
 * ranges).
 */
export function readExfatLayout(volume: BlockSource): ExfatLayout | undefined {
  if (volume.capacity < 512) return undefined
  const sector = new Uint8Array(512)
  volume.read(0, sector)
  const boot = exfatBootSector.read(sector)
  if (!isPlausible(boot)) return undefined
  const { sectorShift, clusterShift, sectors, clusters, fats, fatOffset, fatLength, heapOffset, rootCluster } = boot
  const sectorSize = 2 ** sectorShift
  const clusterSize = sectorSize * 2 ** clusterShift
  const { active, isDirty, hasErrors } = volumeFlags(boot.volumeFlags)
  const which = fats === 2 ? active : 0
  return {
    boot,
    sectorSize,
    clusterSize,
    clusters,
    rootCluster,
    isDirty,
    hasErrors,
    size: Number(sectors) * sectorSize,
    active: which,
    tableStart: (fatOffset + which * fatLength) * sectorSize,
    heapStart: heapOffset * sectorSize,
    checksumHolds: checksumHolds(volume, sectorSize),
  }
}

/** Whether it has the marks of exFAT, and numbers that can be. */
function isPlausible(boot: ExfatLayout['boot']): boolean {
  const { name, signature, jump, sectorShift, clusterShift, sectors, clusters, fats, rootCluster } = boot
  const isMarked =
    name === 'EXFAT   ' && signature === 0xaa55 && jump[0] === 0xeb && jump[1] === 0x76 && jump[2] === 0x90
  if (!isMarked || sectorShift < 9 || sectorShift > 12 || clusterShift > 25 - sectorShift) return false
  const sectorSize = 2 ** sectorShift
  return (
    (fats === 1 || fats === 2) &&
    sectors <= BigInt(Math.floor(Number.MAX_SAFE_INTEGER / sectorSize)) &&
    clusters >= 1 &&
    clusters <= 0xfffffff5 &&
    rootCluster >= 2 &&
    rootCluster < clusters + 2 &&
    fits(boot, sectorSize)
  )
}

/** Whether tables and clusters lie in the volume, one behind the other. */
function fits(boot: ExfatLayout['boot'], sectorSize: number): boolean {
  const { clusterShift, sectors, clusters, fats, fatOffset, fatLength, heapOffset } = boot
  return (
    fatOffset >= 24 &&
    fatLength * sectorSize >= (clusters + 2) * 4 &&
    heapOffset >= fatOffset + fatLength * fats &&
    heapOffset * sectorSize + clusters * sectorSize * 2 ** clusterShift <= Number(sectors) * sectorSize
  )
}

function checksumHolds(volume: BlockSource, sectorSize: number): boolean {
  if (volume.capacity < sectorSize * 12) return false
  const region = new Uint8Array(sectorSize * 12)
  volume.read(0, region)
  const expected = bootChecksum(region.subarray(0, sectorSize * 11))
  const stored = new DataView(region.buffer, sectorSize * 11)
  for (let at = 0; at < sectorSize; at += 4) if (stored.getUint32(at, true) !== expected) return false
  return true
}
