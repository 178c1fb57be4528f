import { bytes, struct, u16, u32, u64, u8, uuid } from '../binary/struct.js'
import { setUuid, utf8Label } from './labels.js'
import type { FilesystemFamily } from './types.js'
import { bytesAt } from './volume-reader.js'

const superblockPosition = 4096
/** bcachefs, fs/bcachefs/bcachefs_format.h, struct bch_sb; the superblock of bcache has the same place for its mark. */
const superblock = struct('little', 256, {
  version: u16(16),
  magic: uuid(24),
  device: uuid(40),
  user: uuid(56),
  label: bytes(72, 32),
  sequence: u64(112),
  blockSize: u16(120),
  devices: u8(123),
  words: u32(124),
})
const bcachefsMagic = 'c68573f6-66ce-90a9-d96a-60cf803df7ef'
/** Of bcache, and of bcachefs before Linux 5. */
const bcacheMagic = 'c68573f6-4e1a-45ca-8265-f57f48ba6d81'
const bcacheVersions: Readonly<Record<number, string>> = {
  0: 'cache',
  1: 'backing device',
  3: 'cache',
  4: 'backing device',
  5: 'cache',
  6: 'backing device',
}

/** bcachefs and bcache. */
export const bcachefs: FilesystemFamily = {
  id: 'bcachefs',
  identify: (volume) => {
    const head = bytesAt(volume, superblockPosition, superblock.size)
    if (head === undefined) return []
    const { version, magic, device, user, label, blockSize, devices, sequence } = superblock.read(head)
    const text = utf8Label(label)
    const named = text === undefined ? {} : { label: text }
    if (magic === bcacheMagic && version in bcacheVersions) {
      const id = setUuid(device)
      return [
        {
          type: 'bcache',
          title: 'bcache',
          kind: 'container',
          state: 'unknown',
          issues: [],
          ...named,
          uuid: id,
          facts: [
            { name: 'role', value: bcacheVersions[version] ?? '' },
            { name: 'setUuid', label: 'set UUID', value: user },
          ],
        },
      ]
    }
    if (magic !== bcachefsMagic && magic !== bcacheMagic) return []
    const id = setUuid(user)
    return [
      {
        type: 'bcachefs',
        title: 'bcachefs',
        kind: 'filesystem',
        version: version < 1024 ? String(version) : `${Math.floor(version / 1024)}.${version % 1024}`,
        state: 'unknown',
        issues: [],
        ...named,
        uuid: id,
        ...(blockSize === 0 ? {} : { blockSize: blockSize * 512 }),
        facts: [
          { name: 'devices', value: devices, unit: 'count' },
          { name: 'sequence', value: sequence },
        ],
      },
    ]
  },
}
