import { ascii, struct, u16, u32, u64 } from '../binary/struct.js'
import { readOnlyImage } from './read-only.js'
import { secondsText } from './labels.js'
import type { FilesystemFamily } from './types.js'
import { bytesAt } from './volume-reader.js'

/** Linux, fs/squashfs/squashfs_fs.h, version 4. */
const superblock = struct('little', 96, {
  magic: ascii(0, 4),
  inodes: u32(4),
  modified: u32(8),
  blockSize: u32(12),
  compression: u16(20),
  flags: u16(24),
  major: u16(28),
  minor: u16(30),
  used: u64(40),
})
const compressions: Readonly<Record<number, string>> = { 1: 'gzip', 2: 'lzma', 3: 'lzo', 4: 'xz', 5: 'lz4', 6: 'zstd' }

export const squashfs: FilesystemFamily = {
  id: 'squashfs',
  identify: (volume) => {
    const bytes = bytesAt(volume, 0, superblock.size)
    if (bytes === undefined) return []
    const { magic, inodes, modified, blockSize, compression, flags, major, minor, used } = superblock.read(bytes)
    if (magic === 'sqsh' || (magic === 'hsqs' && major < 4))
      return [{ type: 'squashfs3', title: 'squashfs 3', kind: 'filesystem', state: 'clean', facts: [], issues: [] }]
    if (magic !== 'hsqs') return []
    const time = secondsText(modified)
    return [
      readOnlyImage(volume, {
        type: 'squashfs',
        title: 'squashfs',
        version: `${major}.${minor}`,
        blockSize,
        size: used,
        facts: [
          { name: 'compression', value: compressions[compression] ?? String(compression) },
          { name: 'flags', value: `0x${flags.toString(16).padStart(4, '0')}` },
          { name: 'inodes', value: inodes, unit: 'count' },
          ...(time === undefined ? [] : [{ name: 'modified', value: time }]),
        ],
      }),
    ]
  },
}
