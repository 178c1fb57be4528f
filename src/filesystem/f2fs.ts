import { crc32 } from '../binary/checksum.js'
import { viewOf } from '../binary/integers.js'
import { struct, u16, u32, u64, utf16, uuid } from '../binary/struct.js'
import type { BlockSource } from '../block/types.js'
import { Issues } from './identification.js'
import { setUuid } from './labels.js'
import type { Filesystem, FilesystemFamily } from './types.js'
import { bytesAt } from './volume-reader.js'

/** Two copies, in the first two blocks. */
const superblockPositions = [1024, 5120]
const magic = 0xf2f52010
/** Linux, include/linux/f2fs_fs.h, struct f2fs_super_block and struct f2fs_checkpoint. */
const superblock = struct('little', 1148, {
  magic: u32(0, 'hex'),
  major: u16(4),
  minor: u16(6),
  logBlockSize: u32(16),
  logBlocksPerSegment: u32(20),
  checksumOffset: u32(32),
  blocks: u64(36),
  segments: u32(48),
  checkpointBlock: u32(76),
  uuid: uuid(108),
  label: utf16(124, 1024, 'little'),
})
const checkpoint = struct('little', 192, {
  version: u64(0),
  userBlocks: u64(8),
  validBlocks: u64(16),
  flags: u32(132),
  inodes: u32(148),
  checksumOffset: u32(164),
})

/** F2FS: recognised, with what its checkpoint says is in use. No map of used blocks is known here. */
export const f2fs: FilesystemFamily = {
  id: 'f2fs',
  identify: (volume) => {
    for (const position of superblockPositions) {
      const bytes = bytesAt(volume, position, 3072)
      if (bytes !== undefined && superblock.read(bytes).magic === magic) return [describe(volume, bytes, position)]
    }
    return []
  },
}

function describe(volume: BlockSource, bytes: Uint8Array, position: number): Filesystem {
  const { major, minor, logBlockSize, checksumOffset, blocks, segments, label, ...values } = superblock.read(bytes)
  const issues = new Issues('F2FS')
  if (position !== superblockPositions[0])
    issues.warn('W_FS_COPY', 'the first superblock of the F2FS filesystem is damaged: the second one is read')
  if (checksumOffset !== 0 && !holds(bytes, checksumOffset))
    issues.list.push({
      code: 'E_FS_CHECKSUM',
      severity: 'error',
      message: 'the checksum of the F2FS superblock is wrong',
    })
  const id = setUuid(values.uuid)
  const common = {
    type: 'f2fs',
    title: 'F2FS',
    kind: 'filesystem',
    version: `${major}.${minor}`,
    issues: issues.list,
    ...(label === '' ? {} : { label }),
    uuid: id,
  } as const
  if (logBlockSize < 9 || logBlockSize > 16) return { ...common, state: 'unknown', facts: [] }
  const blockSize = 2 ** logBlockSize
  const size = blocks * BigInt(blockSize)
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) return { ...common, state: 'unknown', blockSize, facts: [] }
  issues.checkSize(Number(size), volume.capacity)
  const current = currentCheckpoint(
    volume,
    values.checkpointBlock * blockSize,
    values.logBlocksPerSegment > 16 ? 0 : 2 ** values.logBlocksPerSegment * blockSize,
    blockSize,
  )
  if (current === undefined)
    issues.list.push({
      code: 'E_FS_CORRUPT',
      severity: 'error',
      message: 'neither checkpoint of the F2FS filesystem is whole',
    })
  const free =
    current === undefined || current.validBlocks > current.userBlocks
      ? undefined
      : Number((current.userBlocks - current.validBlocks) * BigInt(blockSize))
  return {
    ...common,
    blockSize,
    size: Number(size),
    // Its lowest bit: written by an unmount.
    state: current === undefined ? 'unknown' : current.flags % 2 === 1 ? 'clean' : 'dirty',
    ...(free === undefined ? {} : { free, used: Number(size) - free }),
    facts: [
      { name: 'segments', value: segments, unit: 'count' },
      ...(current === undefined
        ? []
        : [
            { name: 'inodes', value: current.inodes, unit: 'count' } as const,
            { name: 'checkpoint', value: current.version },
          ]),
    ],
  }
}

/** Of the two checkpoints, the later one that is whole. */
function currentCheckpoint(volume: BlockSource, first: number, distance: number, blockSize: number) {
  return [first, first + distance]
    .map((position) => bytesAt(volume, position, blockSize))
    .filter((bytes) => bytes !== undefined)
    .filter((bytes) => bytes.length >= checkpoint.size && holds(bytes, checkpoint.read(bytes).checksumOffset))
    .map((bytes) => checkpoint.read(bytes))
    .reduce<ReturnType<typeof checkpoint.read> | undefined>(
      (latest, candidate) => (latest === undefined || candidate.version > latest.version ? candidate : latest),
      undefined,
    )
}

/** CRC-32 that begins with the magic number and is not inverted at the end; it lies where the structure says. */
function holds(bytes: Uint8Array, offset: number): boolean {
  if (offset < 4 || offset + 4 > bytes.length) return false
  return 0xffffffff - crc32(bytes.subarray(0, offset), 0xffffffff - magic) === viewOf(bytes).getUint32(offset, true)
}
