import { isPowerOfTwo } from '../../binary/integers.js'
import type { StructValues } from '../../binary/struct.js'
import type { BlockSource } from '../../block/types.js'
import { sectorsPerCluster, sizeFromClusters } from './entries.js'
import { ntfsBootSector } from './structs.js'

/** Where everything lies; positions and sizes are bytes of the volume. */
export interface NtfsLayout {
  readonly boot: StructValues<typeof ntfsBootSector>
  readonly sectorSize: number
  readonly clusterSize: number
  readonly clusters: number
  /** Bytes that the filesystem says it has; the copy of the boot sector follows. */
  readonly size: number
  readonly recordSize: number
  /** Where the master file table begins. */
  readonly mftStart: number
}

/** The layout that a boot sector records, or undefined when it is none of NTFS or its numbers cannot be. */
export function readNtfsLayout(volume: BlockSource): NtfsLayout | undefined {
  if (volume.capacity < 512) return undefined
  const sector = new Uint8Array(512)
  volume.read(0, sector)
  const boot = ntfsBootSector.read(sector)
  if (boot.name !== 'NTFS    ') return undefined
  const { bytesPerSector: sectorSize, sectors, mftCluster } = boot
  if (!isPowerOfTwo(sectorSize) || sectorSize < 256 || sectorSize > 4096) return undefined
  const perCluster = sectorsPerCluster(boot.sectorsPerCluster)
  const clusterSize = sectorSize * perCluster
  if (!isPowerOfTwo(perCluster) || clusterSize > 2 * 1024 * 1024) return undefined
  const recordSize = sizeFromClusters(boot.clustersPerRecord, clusterSize)
  if (!isPowerOfTwo(recordSize) || recordSize < 512 || recordSize > 65536) return undefined
  if (sectors < 1n || sectors > BigInt(Math.floor(Number.MAX_SAFE_INTEGER / sectorSize))) return undefined
  const clusters = Math.floor(Number(sectors) / perCluster)
  if (mftCluster >= BigInt(clusters)) return undefined
  return {
    boot,
    sectorSize,
    clusterSize,
    clusters,
    recordSize,
    size: Number(sectors) * sectorSize,
    mftStart: Number(mftCluster) * clusterSize,
  }
}
