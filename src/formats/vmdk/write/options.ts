import { roundUp } from '../../../binary/integers.js'
import { usage } from '../../../errors.js'
import { nameBytes } from '../../../sys/host-fs.js'
import {
  subformatOption,
  type CreateContext,
  type DiskShape,
  type OptionSpec,
  type OptionValues,
} from '../../driver.js'
import { cidText } from '../format/descriptor.js'
import { sectorLength } from '../format/structs.js'

export type CreateType =
  'monolithicSparse' | 'monolithicFlat' | 'twoGbMaxExtentSparse' | 'twoGbMaxExtentFlat' | 'streamOptimized' | 'vmfs'

/** Types that can be made, and what they are. */
export const createTypes: readonly { readonly id: CreateType; readonly summary: string }[] = [
  { id: 'monolithicSparse', summary: 'one file that grows with what is written' },
  { id: 'monolithicFlat', summary: 'a descriptor, and a file NAME-flat.vmdk that has every byte of the disk' },
  { id: 'twoGbMaxExtentSparse', summary: 'a descriptor, and files NAME-s001.vmdk … of 2 GB that grow' },
  { id: 'twoGbMaxExtentFlat', summary: 'a descriptor, and files NAME-f001.vmdk … of 2 GB' },
  { id: 'streamOptimized', summary: 'one compressed file, as OVA files hold it; cannot be changed' },
  { id: 'vmfs', summary: 'as monolithicFlat, for ESXi' },
]

export const optionSpecs: readonly OptionSpec[] = [
  subformatOption({
    choices: createTypes.map(({ id }) => id),
    default: 'monolithicSparse',
    summary: 'how the disk is stored',
  }),
  {
    name: 'adapter',
    type: 'choice',
    choices: ['ide', 'buslogic', 'lsilogic', 'legacyESX', 'pvscsi'],
    default: 'lsilogic',
    summary: 'the controller that the disk is recorded for',
    flag: { value: 'NAME', summary: 'the controller that the disk is recorded for' },
  },
  {
    name: 'hardware-version',
    type: 'integer',
    default: 4,
    summary: 'version of the virtual hardware, 1 to 99',
    flag: { value: 'N', summary: 'version of the virtual hardware that is recorded' },
  },
  { name: 'level', type: 'integer', default: 6, summary: 'of streamOptimized: how hard to compress, 1 to 9' },
]

/** The longest extent of a split disk, in sectors: 2047 MiB, as VMware makes them. */
const splitSectors = 4192256
/** The longest extent of a split disk that anybody makes (QEMU), in bytes. */
export const longestSplitExtent = 2 ** 31
/** Places in sparse extents are words of 32 bits. */
const maximumSparseSectors = 2 ** 32 - 1
const maximumExtents = 4096

/** What is to be made, judged and complete. */
export interface CreatePlan {
  readonly createType: CreateType
  /** Bytes: whole sectors. */
  readonly capacity: number
  /** Sectors of each extent. */
  readonly extents: readonly { readonly name: string; readonly sectors: number }[]
  readonly adapter: string
  readonly hardwareVersion: number
  readonly level: number
  readonly cid: number
  readonly longContentId: string
}

/**
 * @throws ImageError usage E_SIZE, E_OPTION_VALUE, E_TOO_LARGE_FOR_FORMAT, E_NO_PARENTS, E_FILE_NAME.
 */
export function createPlan(shape: DiskShape, options: OptionValues, context: CreateContext): CreatePlan {
  const createType = (options['subformat'] ?? 'monolithicSparse') as CreateType
  const capacity = roundUp(shape.capacity, sectorLength)
  const sectors = capacity / sectorLength
  if (sectors === 0) throw usage('E_SIZE', 'a VMDK cannot be empty: its disk has at least one sector')
  const whole = (name: string, standard: number, most: number): number => {
    const value = options[name] ?? standard
    if (typeof value !== 'number' || value < 1 || value > most)
      throw usage('E_OPTION_VALUE', `the format vmdk: the option ${name} is a number from 1 to ${most}`)
    return value
  }
  if (shape.parent !== undefined && createType !== 'monolithicSparse')
    throw usage(
      'E_NO_PARENTS',
      `a VMDK of the type ${createType} cannot have a parent, only one that is monolithicSparse`,
    )
  const isSplit = createType === 'twoGbMaxExtentSparse' || createType === 'twoGbMaxExtentFlat'
  if (
    (createType === 'monolithicSparse' && sectors > maximumSparseSectors) ||
    (isSplit && sectors > splitSectors * maximumExtents)
  )
    throw usage('E_TOO_LARGE_FOR_FORMAT', `a VMDK of the type ${createType} cannot hold ${capacity} bytes`, {
      hint: isSplit ? 'Use -o subformat=monolithicFlat.' : 'Use -o subformat=twoGbMaxExtentSparse or monolithicFlat.',
    })
  const cid = contentId(shape.identity.derive('vmdk content id'))
  return {
    createType,
    capacity,
    extents: extentsOf(createType, sectors, context.name ?? 'disk.vmdk'),
    adapter: String(options['adapter'] ?? 'lsilogic'),
    hardwareVersion: whole('hardware-version', 4, 99),
    level: whole('level', 6, 9),
    cid,
    longContentId: longId(shape.identity.derive('vmdk long content id'), cid),
  }
}

/** A content id made of a UUID: neither of the two that have a meaning. */
export function contentId(uuid: string): number {
  const id = parseInt(uuid.replaceAll('-', '').slice(0, 8), 16)
  return id >= 0xfffffffe || id === 0 ? 0x7fffffff : id
}

function longId(uuid: string, cid: number): string {
  return `${uuid.replaceAll('-', '').slice(0, 24)}${cidText(cid)}`
}

function extentsOf(type: CreateType, sectors: number, name: string): CreatePlan['extents'] {
  // A quote would end the name in the descriptor, a line break the line.
  if (/["\r\n]/.test(name) || nameBytes(name).length > 1000)
    throw usage('E_FILE_NAME', 'a VMDK cannot record a name with quotes or line breaks, or of more than 1000 bytes', {
      hint: 'Give the image another name.',
    })
  const stem = name.replace(/\.vmdk$/i, '')
  switch (type) {
    case 'monolithicSparse':
    case 'streamOptimized':
      return [{ name, sectors }]
    case 'monolithicFlat':
    case 'vmfs':
      return [{ name: `${stem}-flat.vmdk`, sectors }]
    case 'twoGbMaxExtentSparse':
    case 'twoGbMaxExtentFlat': {
      const letter = type === 'twoGbMaxExtentSparse' ? 's' : 'f'
      return Array.from({ length: Math.ceil(sectors / splitSectors) }, (_, index) => ({
        name: `${stem}-${letter}${String(index + 1).padStart(3, '0')}.vmdk`,
        sectors: Math.min(splitSectors, sectors - index * splitSectors),
      }))
    }
  }
}
