import { ascii, struct, u32, u64, u8 } from '../binary/struct.js'
import { isPowerOfTwo } from '../binary/integers.js'
import type { Filesystem, FilesystemFamily, FilesystemIssue } from './types.js'

const bootSector = struct('little', 512, {
  name: ascii(3, 8),
  identifier: ascii(16, 4),
  sectors: u64(24),
  bytesPerSector: u32(32),
  sectorsPerCluster: u32(36),
  major: u8(40),
  minor: u8(41),
  serial: u64(56, 'hex'),
})

/** ReFS: recognised, its inside is not public. */
export const refs: FilesystemFamily = {
  id: 'refs',
  identify: (volume) => {
    if (volume.capacity < 512) return []
    const sector = new Uint8Array(512)
    volume.read(0, sector)
    const boot = bootSector.read(sector)
    if (boot.name !== 'ReFS' || boot.identifier !== 'FSRS') return []
    const size = boot.sectors * BigInt(boot.bytesPerSector)
    const cluster = boot.bytesPerSector * boot.sectorsPerCluster
    const issues: FilesystemIssue[] =
      size > BigInt(volume.capacity)
        ? [
            {
              code: 'W_FS_TRUNCATED',
              severity: 'error',
              message: `the ReFS filesystem has ${size} bytes, and the volume only ${volume.capacity}`,
            },
          ]
        : []
    const found: Filesystem = {
      type: 'ReFS',
      title: 'ReFS',
      kind: 'filesystem',
      state: 'unknown',
      issues,
      uuid: boot.serial.toString(16).toUpperCase().padStart(16, '0'),
      ...(isPowerOfTwo(cluster) ? { blockSize: cluster } : {}),
      ...(size <= BigInt(Number.MAX_SAFE_INTEGER) ? { size: Number(size) } : {}),
      facts: [{ name: 'version', value: `${boot.major}.${boot.minor}` }],
    }
    return [found]
  },
}
