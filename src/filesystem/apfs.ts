import { viewOf, isPowerOfTwo } from '../binary/integers.js'
import { ascii, struct, u32, u64, uuid } from '../binary/struct.js'
import { Issues } from './identification.js'
import { setUuid } from './labels.js'
import type { FilesystemFamily } from './types.js'
import { bytesAt } from './volume-reader.js'

/** Apple File System Reference, "Container Superblock" (nx_superblock_t). */
const superblock = struct('little', 1024, {
  checksum: u64(0, 'hex'),
  type: u32(24),
  magic: ascii(32, 4),
  blockSize: u32(36),
  blocks: u64(40),
  uuid: uuid(72),
  mostVolumes: u32(180),
})
const superblockType = 1
const volumesStart = 184
const volumesLimit = 100

/** A container of APFS volumes. Its map of free space is not read. */
export const apfs: FilesystemFamily = {
  id: 'apfs',
  identify: (volume) => {
    const head = bytesAt(volume, 0, superblock.size)
    if (head === undefined) return []
    const { magic, blockSize, blocks, mostVolumes, type, uuid: id } = superblock.read(head)
    if (
      magic !== 'NXSB' ||
      type % 65536 !== superblockType ||
      !isPowerOfTwo(blockSize) ||
      blockSize < 4096 ||
      blockSize > 65536
    )
      return []
    const issues = new Issues('APFS')
    const whole = bytesAt(volume, 0, blockSize)
    if (whole === undefined || fletcher64(whole) !== superblock.read(whole).checksum) {
      issues.list.push({
        code: 'E_FS_CHECKSUM',
        severity: 'error',
        message: 'the checksum of the APFS container superblock is wrong',
      })
    }
    const size = blocks * BigInt(blockSize)
    const known = size <= BigInt(Number.MAX_SAFE_INTEGER)
    issues.checkSize(known ? Number(size) : Number.MAX_SAFE_INTEGER, volume.capacity)
    const view = viewOf(head)
    const volumes = Array.from({ length: volumesLimit }, (_, index) =>
      view.getBigUint64(volumesStart + index * 8, true),
    ).filter((number) => number !== 0n).length
    const text = setUuid(id)
    return [
      {
        type: 'apfs',
        title: 'APFS',
        kind: 'filesystem',
        state: 'unknown',
        blockSize,
        issues: issues.list,
        uuid: text,
        ...(known ? { size: Number(size) } : {}),
        facts: [
          { name: 'volumes', value: volumes, unit: 'count' },
          { name: 'mostVolumes', value: mostVolumes, unit: 'count' },
        ],
      },
    ]
  },
}

/**
 * Fletcher's checksum of 64 bits over a block without its first eight bytes ("Object Checksum"). Sums stay below 2^53
 * for blocks of 64 KiB.
 */
function fletcher64(block: Uint8Array): bigint {
  const modulus = 0xffffffff
  const view = viewOf(block)
  let low = 0
  let high = 0
  for (let at = 8; at + 4 <= block.length; at += 4) {
    low = (low + view.getUint32(at, true)) % modulus
    high = (high + low) % modulus
  }
  const first = modulus - ((low + high) % modulus)
  const second = modulus - ((low + first) % modulus)
  return BigInt(second) * 2n ** 32n + BigInt(first)
}
