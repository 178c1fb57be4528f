import { bytes, struct, u32, u8 } from '../binary/struct.js'
import type { BlockSource, Fact } from '../block/types.js'
import { utf8Label } from './labels.js'
import type { FilesystemFamily } from './types.js'
import { bytesAt } from './volume-reader.js'

const volumePosition = 0x100000
const filesystemPosition = 0x200000
/** As libblkid has them (libblkid/src/superblocks/vmfs.c). */
const volumeHead = struct('little', 146, { magic: u32(0, 'hex'), version: u32(4), lun: u8(14), uuid: bytes(130, 16) })
const filesystemHead = struct('little', 161, {
  magic: u32(0, 'hex'),
  version: u8(8),
  uuid: bytes(9, 16),
  label: bytes(29, 128),
})
const volumeMagic = 0xc001d00d
const filesystemMagic = 0x2fabf15e

/** VMware's filesystem, and volumes that are a part of one. */
export const vmfs: FilesystemFamily = {
  id: 'vmfs',
  identify: (volume) => {
    const head = bytesAt(volume, volumePosition, volumeHead.size)
    const part = head === undefined ? undefined : volumeHead.read(head)
    const isMember = part?.magic === volumeMagic
    const facts: Fact[] = isMember ? [{ name: 'volumeUuid', label: 'volume UUID', value: uuidText(part.uuid) }] : []
    const bytes = bytesAt(volume, filesystemPosition, filesystemHead.size)
    const read = bytes === undefined ? undefined : filesystemHead.read(bytes)
    const filesystem = read?.magic === filesystemMagic ? read : undefined
    if (isMember) {
      if (filesystem !== undefined) {
        const label = utf8Label(filesystem.label)
        facts.push(
          { name: 'filesystem', label: 'filesystem', value: `VMFS ${filesystem.version}` },
          { name: 'filesystemUuid', label: 'filesystem UUID', value: uuidText(filesystem.uuid) },
          ...(label === undefined ? [] : [{ name: 'filesystemName', label: 'filesystem name', value: label }]),
        )
      }
      // The volume's own id is that of one of several: blkid calls it UUID_SUB. As there, a volume that holds a
      // filesystem is named by what it is a part of: the filesystem can go over several.
      return [
        {
          type: 'VMFS_volume_member',
          title: 'VMFS volume',
          kind: 'container',
          version: String(part.version),
          uuid: groupUuid(volume),
          state: 'unknown',
          facts,
          issues: [],
          marks: [{ offset: volumePosition, length: 1024 }],
        },
      ]
    }
    if (filesystem === undefined) return []
    return [
      {
        type: 'VMFS',
        title: `VMFS ${filesystem.version}`,
        kind: 'filesystem',
        version: String(filesystem.version),
        uuid: uuidText(filesystem.uuid),
        state: 'unknown',
        facts,
        issues: [],
        label: utf8Label(filesystem.label),
      },
    ]
  },
}

/** The id of what the volume is a part of, which is written out. */
function groupUuid(volume: BlockSource): string | undefined {
  const text = bytesAt(volume, volumePosition + 512 + 20, 35)
  return text === undefined ? undefined : /^[0-9a-f-]{35}/i.exec(Buffer.from(text).toString('latin1'))?.[0]
}

/** The first three groups are little-endian, the second as long as the first. */
function uuidText(uuid: Uint8Array): string {
  const order = [3, 2, 1, 0, 7, 6, 5, 4, 9, 8, 10, 11, 12, 13, 14, 15]
  return Buffer.from(order.map((index) => uuid[index] ?? 0))
    .toString('hex')
    .replace(/^(.{8})(.{8})(.{4})(.{12})$/, '$1-$2-$3-$4')
}
