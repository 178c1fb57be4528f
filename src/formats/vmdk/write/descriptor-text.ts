import { usage } from '../../../errors.js'
import { nameBytes } from '../../../sys/host-fs.js'
import type { ParentShape } from '../../driver.js'
import { cidText, noParent } from '../format/descriptor.js'
import { sectorLength } from '../format/structs.js'
import type { CreatePlan, CreateType } from './options.js'

/** Sectors that an embedded descriptor has, as VMware leaves them. */
export const descriptorSectors = 20

const extentTypes: Readonly<Record<CreateType, string>> = {
  monolithicSparse: 'SPARSE',
  monolithicFlat: 'FLAT',
  twoGbMaxExtentSparse: 'SPARSE',
  twoGbMaxExtentFlat: 'FLAT',
  streamOptimized: 'SPARSE',
  vmfs: 'VMFS',
}

/** Bytes that the longest name of a file has. */
const longestName = 255

/**
 * The descriptor as a file of its own, filled up with empty lines: as long as with names of the greatest length, so
 * that its size does not depend on what the image is called.
 */
export function descriptorFile(plan: CreatePlan): Buffer {
  const bytes = descriptorBytes(plan, undefined)
  const room = plan.extents.reduce((sum, { name }) => sum + Math.max(0, longestName - nameBytes(name).length), 0)
  return Buffer.concat([bytes, Buffer.alloc(room, '\n')])
}

/** The descriptor of a new image, in bytes: names have the system's. @throws ImageError usage E_PARENT_PATH. */
export function descriptorBytes(plan: CreatePlan, parent: ParentShape | undefined): Buffer {
  const { createType, extents, cid } = plan
  const type = extentTypes[createType]
  return Buffer.concat([
    text('# Disk DescriptorFile', 'version=1', 'encoding="UTF-8"', `CID=${cidText(cid)}`),
    text(`parentCID=${cidText(parent === undefined ? noParent : parentCid(parent))}`, `createType="${createType}"`),
    ...(parent === undefined
      ? []
      : [text('parentFileNameHint="', ''), storedName(parent.name ?? parent.relativePath), text('"', '')]),
    text('', '# Extent description'),
    ...extents.flatMap(({ name, sectors }) => [
      Buffer.from(`RW ${sectors} ${type} "`),
      nameBytes(name),
      text(`"${type === 'FLAT' ? ' 0' : ''}`),
    ]),
    text('', '# The Disk Data Base', '#DDB', '', ...ddb(plan)),
  ])
}

/** Lines; a last one that is empty ends without a line break. */
function text(...lines: readonly string[]): Buffer {
  return lines.length > 1 && lines.at(-1) === ''
    ? Buffer.from(lines.slice(0, -1).join('\n'))
    : Buffer.from(`${lines.join('\n')}\n`)
}

/** The parent's content id: what it becomes, where it is being changed. */
export function parentCid({ image, nextIdentity }: ParentShape): number {
  const id = nextIdentity ?? image.identity
  if (image.format !== 'vmdk' || id === undefined)
    throw usage('E_PARENT_FORMAT', `the parent of a VMDK is a VMDK with a content id, not ${image.format}`, {
      hint: 'Convert the parent first.',
    })
  return parseInt(id, 16)
}

/** @throws ImageError usage E_PARENT_PATH for names that the descriptor has no place for. */
export function storedName(name: string): Buffer {
  if (/["\r\n]/.test(name))
    throw usage('E_PARENT_PATH', 'a VMDK cannot record the name of a parent that has quotes or line breaks', {
      hint: 'Rename the parent.',
    })
  const bytes = nameBytes(name)
  if (bytes.length > 4096)
    throw usage('E_PARENT_PATH', `the name of the parent has ${bytes.length} bytes, more than 4096`)
  return bytes
}

function ddb({ capacity, adapter, hardwareVersion, longContentId }: CreatePlan): string[] {
  const { heads, sectors, cylinders } = geometryOf(capacity, adapter)
  return [
    `ddb.adapterType = "${adapter}"`,
    `ddb.geometry.cylinders = "${cylinders}"`,
    `ddb.geometry.heads = "${heads}"`,
    `ddb.geometry.sectors = "${sectors}"`,
    `ddb.longContentID = "${longContentId}"`,
    `ddb.virtualHWVersion = "${hardwareVersion}"`,
  ]
}

/** What VMware records for a disk of so many bytes. */
export function geometryOf(capacity: number, adapter: string): { cylinders: number; heads: number; sectors: number } {
  const gibibyte = 2 ** 30
  const ide = adapter === 'ide'
  const [heads, sectors] = ide
    ? [16, 63]
    : capacity <= gibibyte
      ? [64, 32]
      : capacity <= 2 * gibibyte
        ? [128, 32]
        : [255, 63]
  const cylinders = Math.min(ide ? 16383 : 65535, Math.ceil(capacity / sectorLength / (heads * sectors)))
  return { cylinders, heads, sectors }
}
