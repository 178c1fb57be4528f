import { crc32c } from '../../binary/checksum.js'
import { readOnlyImage } from '../read-only.js'
import { setUuid, secondsText, utf8Label } from '../labels.js'
import type { FilesystemFamily } from '../types.js'
import { bytesAt, VolumeReader } from '../volume-reader.js'
import { superblock } from './structs.js'
import { ErofsTree } from './tree.js'

const superblockPosition = 1024
const magic = 0xe0f5e1e2

export const erofs: FilesystemFamily = {
  id: 'erofs',
  identify: (volume) => {
    const head = bytesAt(volume, superblockPosition, superblock.size)
    if (head === undefined) return []
    const values = superblock.read(head)
    if (values.magic !== magic || values.blockShift < 9 || values.blockShift > 16) return []
    const blockSize = 2 ** values.blockShift
    const text = utf8Label(values.label)
    const id = setUuid(values.uuid)
    const time = secondsText(Number(values.built % 2n ** 40n))
    const reader = new VolumeReader(volume, 'EROFS')
    const found = readOnlyImage(volume, {
      openTree: () => new ErofsTree(reader, values),
      type: 'erofs',
      title: 'EROFS',
      blockSize,
      size: BigInt(values.blocks) * BigInt(blockSize),
      label: text,
      uuid: id,
      facts: [
        { name: 'inodes', value: values.inodes, unit: 'count' },
        ...(time === undefined ? [] : [{ name: 'built', value: time }]),
      ],
    })
    // Blocks of 512 bytes leave nothing to check behind the superblock's place.
    const checked =
      values.compatible % 2 === 1 && blockSize > superblockPosition
        ? bytesAt(volume, superblockPosition, blockSize - superblockPosition)
        : undefined
    const holds =
      checked === undefined ||
      0xffffffff - crc32c(superblock.without('checksum', checked, checked.length)) === values.checksum
    return [
      holds
        ? found
        : {
            ...found,
            issues: [
              ...found.issues,
              { code: 'E_FS_CHECKSUM', severity: 'error', message: 'the checksum of the EROFS superblock is wrong' },
            ],
          },
    ]
  },
}
