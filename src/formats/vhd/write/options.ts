import type { Note } from '../../../block/types.js'
import { ceilDivide, roundUp } from '../../../binary/integers.js'
import { printable, usage } from '../../../errors.js'
import {
  subformatOption,
  unitOption,
  parentCapacityNotes,
  type DiskShape,
  type OptionSpec,
  type OptionValues,
} from '../../driver.js'
import {
  bitmapLength,
  geometryOf,
  isBlockSize,
  largestGeometry,
  maximumDynamicCapacity,
  maximumSector,
  type Geometry,
} from '../format/layout.js'
import type { VhdImage } from '../read/reader.js'
import { sectorLength } from '../format/structs.js'

const mebibyte = 1024 * 1024
const defaultBlockSize = 2 * mebibyte
const smallestBlockSize = 4096
const largestBlockSize = 256 * mebibyte
/** 64 MiB of BAT: more would only serve tiny blocks in huge disks. */
const mostEntries = 16 * mebibyte
/**
 * Data of blocks begins at a multiple of it where the file's addresses reach: writes of whole pages, as Windows 8 and
 * later lay it out.
 */
const wantedAlignment = 4096
/** Room before the blocks, the BAT apart: footer copy, dynamic header, parent locators. */
const headRoom = mebibyte

export const createOptions: readonly OptionSpec[] = [
  subformatOption({
    choices: ['dynamic', 'fixed'],
    default: 'dynamic',
    summary: 'dynamic grows with what is written; fixed has every byte from the start',
  }),
  unitOption('block-size', {
    default: defaultBlockSize,
    summary: 'unit of allocation of a dynamic disk, a power of two from 4K to 256M; other systems are used to 2M',
  }),
  {
    name: 'geometry',
    type: 'choice',
    choices: ['max', 'spec'],
    default: 'max',
    summary:
      'max states the largest geometry, by which readers take the exact size from the footer; spec computes ' +
      'it, and names Windows as the creator for the same end',
  },
  {
    name: 'azure',
    type: 'boolean',
    default: false,
    summary: 'fixed, and rounded up to a whole MiB, as Azure takes it',
  },
]

export const openOptions: readonly OptionSpec[] = [
  {
    name: 'vhd-size',
    type: 'choice',
    choices: ['footer', 'chs'],
    default: 'footer',
    summary: 'which size the disk has: that of the footer, or that of its geometry, as Virtual PC showed it',
  },
  {
    name: 'ignore-checksums',
    type: 'boolean',
    default: false,
    summary: 'read on although the checksum of the footer or of the dynamic header is wrong',
  },
]

/** What is to be written, all decided. */
export interface WritePlan {
  readonly kind: 'fixed' | 'dynamic' | 'differencing'
  readonly capacity: number
  readonly geometry: Geometry
  readonly creator: string
  readonly blockSize: number
  readonly entries: number
  readonly alignment: number
}

/** Our own mark, and the one by which QEMU trusts `current_size` although the geometry says less. */
const creators = { max: 'vdsk', spec: 'win ' } as const

/** Azure takes fixed disks of whole MiB only, and says so after the upload. */
export function sizeNotes(shape: Pick<DiskShape, 'capacity' | 'parent'>, options: OptionValues): Note[] {
  const { capacity } = shape
  if (shape.parent !== undefined) return parentCapacityNotes(shape)
  if (options['subformat'] !== 'fixed' || capacity % mebibyte === 0) return []
  return [
    {
      code: 'W_NOT_WHOLE_MIB',
      message:
        `the disk of ${capacity} bytes is no whole number of MiB, which Azure refuses: -o azure=true of convert and ` +
        'create rounds it up, and so does vdisk resize IMAGE ' +
        `${Math.ceil(capacity / mebibyte)}M`,
    },
  ]
}

/** @throws ImageError usage for options and shapes that do not go together. */
export function writePlan(shape: DiskShape, options: OptionValues): WritePlan {
  const { parent } = shape
  const azure = options['azure'] === true
  const subformat = choice(options, 'subformat', ['dynamic', 'fixed']) ?? (azure ? 'fixed' : 'dynamic')
  const geometry = choice(options, 'geometry', ['max', 'spec']) ?? 'max'
  if (shape.sectorSize !== sectorLength)
    throw usage('E_SECTOR_SIZE', `a VHD has sectors of 512 bytes, not ${shape.sectorSize}`, {
      hint: 'Use VHDX for disks with 4096-byte sectors.',
    })
  if (azure && subformat !== 'fixed')
    throw usage('E_OPTIONS', 'azure takes fixed disks only: leave out subformat=dynamic')
  if (subformat === 'fixed' && parent !== undefined)
    throw usage('E_OPTIONS', 'a VHD with a parent cannot be fixed: leave out subformat=fixed or the parent')
  const capacity = roundUp(shape.capacity, azure ? mebibyte : sectorLength)
  const whole = {
    capacity,
    creator: creators[geometry],
    geometry: geometry === 'max' ? largestGeometry : geometryOf(capacity / sectorLength),
  }
  if (subformat === 'fixed') {
    if (options['block-size'] !== undefined) throw usage('E_OPTIONS', 'a fixed VHD has no blocks: leave out block-size')
    return { ...whole, kind: 'fixed', blockSize: 0, entries: 0, alignment: 0 }
  }
  if (capacity > maximumDynamicCapacity) {
    throw usage(
      'E_TOO_LARGE_FOR_FORMAT',
      `a dynamic VHD holds at most 2040 GiB (${maximumDynamicCapacity} bytes), not ${shape.capacity}`,
      { hint: 'Use VHDX.', details: { maximum: maximumDynamicCapacity, capacity } },
    )
  }
  const blocks = blockPlan(capacity, options['block-size'] ?? defaultBlockSize)
  if (parent === undefined) return { ...whole, ...blocks, kind: 'dynamic' }
  if (parent.image.format !== 'vhd')
    throw usage('E_PARENT_FORMAT', `the parent of a VHD is a VHD, not a ${parent.image.format} image`, {
      hint: 'Convert the parent first, or make a qcow2.',
    })
  return {
    ...whole,
    ...blocks,
    kind: 'differencing',
    geometry:
      (parent.image.capacity === capacity ? (parent.image as Partial<VhdImage>).geometry : undefined) ?? whole.geometry,
  }
}

function blockPlan(
  capacity: number,
  blockSize: string | number | boolean,
): { blockSize: number; entries: number; alignment: number } {
  if (
    typeof blockSize !== 'number' ||
    !isBlockSize(blockSize) ||
    blockSize < smallestBlockSize ||
    blockSize > largestBlockSize
  ) {
    throw usage(
      'E_OPTION_VALUE',
      `block-size ${String(blockSize)}: a power of two from 4096 (4K) to ${largestBlockSize} (256M) was expected`,
    )
  }
  const entries = ceilDivide(capacity, blockSize)
  // Small blocks spend so much on bitmaps that the sector numbers of the BAT may run out before the disk does.
  const fits = (alignment: number): boolean =>
    headRoom + entries * (4 + roundUp(bitmapLength(blockSize) + blockSize, alignment)) <= maximumSector * sectorLength
  const alignment = [wantedAlignment, sectorLength].find(fits)
  if (entries > mostEntries || alignment === undefined) {
    throw usage(
      'E_OPTION_VALUE',
      `block-size ${blockSize} is too small for a disk of ${capacity} bytes: it would have ${entries} blocks`,
      { hint: `Use ${defaultBlockSize} (2M).` },
    )
  }
  return { blockSize, entries, alignment }
}

function choice<Choice extends string>(
  options: OptionValues,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const value = options[name]
  const found = choices.find((each) => each === value)
  if (value !== undefined && found === undefined)
    throw usage('E_OPTION_VALUE', `${name} ${printable(String(value))}: ${choices.join(' or ')} was expected`)
  return found
}
