import { readOnlyImage } from '../read-only.js'
import { secondsText } from '../labels.js'
import type { FilesystemFamily } from '../types.js'
import { bytesAt, VolumeReader } from '../volume-reader.js'
import { superblock } from './structs.js'
import { SquashfsTree } from './tree.js'

const compressions: Readonly<Record<number, string>> = { 1: 'gzip', 2: 'lzma', 3: 'lzo', 4: 'xz', 5: 'lz4', 6: 'zstd' }

export const squashfs: FilesystemFamily = {
  id: 'squashfs',
  identify: (volume) => {
    const bytes = bytesAt(volume, 0, superblock.size)
    if (bytes === undefined) return []
    const values = superblock.read(bytes)
    const { magic, inodes, modified, blockSize, compression, flags, major, minor, used } = values
    if (magic === 'sqsh' || (magic === 'hsqs' && major < 4))
      return [{ type: 'squashfs3', title: 'squashfs 3', kind: 'filesystem', state: 'clean', facts: [], issues: [] }]
    if (magic !== 'hsqs') return []
    const time = secondsText(modified)
    const name = compressions[compression] ?? String(compression)
    const reader = new VolumeReader(volume, 'squashfs')
    return [
      readOnlyImage(volume, {
        openTree: () => new SquashfsTree(reader, values, name),
        type: 'squashfs',
        title: 'squashfs',
        version: `${major}.${minor}`,
        blockSize,
        size: used,
        facts: [
          { name: 'compression', value: name },
          { name: 'flags', value: `0x${flags.toString(16).padStart(4, '0')}` },
          { name: 'inodes', value: inodes, unit: 'count' },
          ...(time === undefined ? [] : [{ name: 'modified', value: time }]),
        ],
      }),
    ]
  },
}
