import type { Note } from '../../../block/types.js'
import { ceilDivide, isPowerOfTwo, roundUp } from '../../../binary/integers.js'
import { nilUuid } from '../../../binary/struct.js'
import { printable, usage } from '../../../errors.js'
import { subformatOption, unitOption, type DiskShape, type OptionSpec, type OptionValues } from '../../driver.js'
import { imageType, sectorLength } from '../format/structs.js'
import { modificationUuidOf } from '../read/parent.js'

const mebibyte = 1024 * 1024
export const defaultBlockSize = mebibyte
const smallestBlockSize = 4096
const largestBlockSize = 256 * mebibyte
/** QEMU takes no more (block/vdi.c, VDI_BLOCKS_IN_IMAGE_MAX); with blocks of 1 MiB that is 512 TiB. */
export const mostBlocks = 0x1fffff80

export const createOptions: readonly OptionSpec[] = [
  subformatOption({
    choices: ['dynamic', 'fixed'],
    default: 'dynamic',
    summary: 'dynamic grows with what is written; fixed has every byte from the start',
  }),
  unitOption('block-size', {
    default: defaultBlockSize,
    summary: 'unit of allocation, a power of two from 4K to 256M; QEMU and 7-Zip read 1M only',
  }),
]

export const openOptions: readonly OptionSpec[] = [
  {
    name: 'accept-changed-parent',
    type: 'boolean',
    default: false,
    summary: 'read a child although its parent was changed after the child was made',
  },
]

/** What is to be written, all decided. */
export interface WritePlan {
  readonly type: number
  readonly capacity: number
  readonly blockSize: number
  readonly blocks: number
  readonly linkUuid: string
  readonly parentModificationUuid: string
}

/** Who will not take an image like that. */
export function blockSizeNotes(_shape: unknown, options: OptionValues): Note[] {
  const blockSize = options['block-size']
  return blockSize === undefined || blockSize === defaultBlockSize
    ? []
    : [
        {
          code: 'W_BLOCK_SIZE',
          message: `QEMU and 7-Zip refuse a VDI whose blocks have ${String(blockSize)} bytes; they read 1 MiB only`,
        },
      ]
}

/** @throws ImageError usage for options and shapes that do not go together. */
export function writePlan(shape: DiskShape, options: OptionValues): WritePlan {
  const { parent } = shape
  const subformat = options['subformat'] ?? 'dynamic'
  if (subformat !== 'dynamic' && subformat !== 'fixed')
    throw usage('E_OPTION_VALUE', `subformat ${printable(String(subformat))}: dynamic or fixed was expected`)
  if (shape.sectorSize !== sectorLength)
    throw usage('E_SECTOR_SIZE', `a VDI has sectors of 512 bytes, not ${shape.sectorSize}`, {
      hint: 'Use VHDX for disks with 4096-byte sectors.',
    })
  if (subformat === 'fixed' && parent !== undefined)
    throw usage('E_OPTIONS', 'a VDI with a parent cannot be fixed: leave out subformat=fixed or the parent')
  if (parent !== undefined && parent.image.format !== 'vdi')
    throw usage('E_PARENT_FORMAT', `the parent of a VDI is a VDI, not a ${parent.image.format} image`, {
      hint: 'Convert the parent first, or make a qcow2.',
    })
  const capacity = roundUp(shape.capacity, sectorLength)
  if (capacity === 0)
    throw usage('E_SIZE', 'a VDI holds a disk of at least one sector, and this one has no bytes', {
      hint: 'Give it a size, or use a format that can be empty: raw or qcow2.',
    })
  const blockSize = blockSizeOf(options['block-size'] ?? defaultBlockSize)
  const blocks = ceilDivide(capacity, blockSize)
  if (blocks > mostBlocks)
    throw usage(
      'E_TOO_LARGE_FOR_FORMAT',
      `a VDI with blocks of ${blockSize} bytes holds at most ${mostBlocks * blockSize} bytes, not ${shape.capacity}`,
      { hint: 'Use a larger block-size, or VHDX or QCOW2.', details: { maximum: mostBlocks * blockSize, capacity } },
    )
  return {
    type: parent !== undefined ? imageType.differencing : imageType[subformat],
    capacity,
    blockSize,
    blocks,
    linkUuid: parent?.image.identity ?? nilUuid,
    parentModificationUuid: parent === undefined ? nilUuid : (modificationUuidOf(parent.image) ?? nilUuid),
  }
}

function blockSizeOf(value: string | number | boolean): number {
  if (typeof value === 'number' && isPowerOfTwo(value) && value >= smallestBlockSize && value <= largestBlockSize)
    return value
  throw usage(
    'E_OPTION_VALUE',
    `block-size ${String(value)}: a power of two from ${smallestBlockSize} (4K) to ${largestBlockSize} (256M) ` +
      'was expected',
  )
}
