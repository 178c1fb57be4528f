import { printable, usage } from '../../../errors.js'
import type { ParentShape } from '../../driver.js'
import { buildParentLocator } from '../format/parent-locator.js'
import {
  fileParameters,
  itemGuids,
  metadataEntry,
  metadataSignature,
  metadataTableHeader,
  sectorSizeItem,
  tableSize,
  virtualDiskId,
  virtualDiskSize,
} from '../format/structs.js'
import { isPlainText } from '../../../sys/host-fs.js'

export interface NewMetadata {
  readonly blockSize: number
  readonly fixed: boolean
  readonly capacity: number
  readonly virtualDiskId: string
  readonly logicalSectorSize: 512 | 4096
  readonly physicalSectorSize: 512 | 4096
  readonly parentLocator?: Uint8Array
}

const isRequired = 4n
const isVirtualDisk = 2n

/** The bytes of a new metadata region, table and items (MS-VHDX 2.6); the rest of the region is zero. */
export function buildMetadata(metadata: NewMetadata): Uint8Array {
  const { blockSize, fixed, capacity, parentLocator } = metadata
  const flags = parentLocator === undefined ? (fixed ? 1n : 0n) : 2n
  const items: { itemId: string; flags: bigint; bytes: Uint8Array }[] = [
    { itemId: itemGuids.fileParameters, flags: isRequired, bytes: fileParameters.write({ blockSize, flags }) },
    {
      itemId: itemGuids.virtualDiskSize,
      flags: isRequired + isVirtualDisk,
      bytes: virtualDiskSize.write({ size: BigInt(capacity) }),
    },
    {
      itemId: itemGuids.virtualDiskId,
      flags: isRequired + isVirtualDisk,
      bytes: virtualDiskId.write({ id: metadata.virtualDiskId }),
    },
    {
      itemId: itemGuids.logicalSectorSize,
      flags: isRequired + isVirtualDisk,
      bytes: sectorSizeItem.write({ sectorSize: metadata.logicalSectorSize }),
    },
    {
      itemId: itemGuids.physicalSectorSize,
      flags: isRequired + isVirtualDisk,
      bytes: sectorSizeItem.write({ sectorSize: metadata.physicalSectorSize }),
    },
  ]
  if (parentLocator !== undefined)
    items.push({ itemId: itemGuids.parentLocator, flags: isRequired, bytes: parentLocator })

  const region = new Uint8Array(items.reduce((sum, item) => sum + item.bytes.length, tableSize))
  region.set(metadataTableHeader.write({ signature: metadataSignature, reserved: 0, entryCount: items.length }))
  let offset = tableSize
  for (const [index, item] of items.entries()) {
    region.set(
      metadataEntry.write({ itemId: item.itemId, offset, length: item.bytes.length, flags: item.flags, reserved: 0 }),
      metadataTableHeader.size + index * metadataEntry.size,
    )
    region.set(item.bytes, offset)
    offset += item.bytes.length
  }
  return region
}

/** What a child takes over from its parent. @throws ImageError usage E_PARENT_FORMAT, E_SECTOR_SIZE, E_PARENT_PATH */
export function childItems(
  parent: ParentShape,
  sectorSize: 512 | 4096,
): { virtualDiskId: string; locator: Uint8Array } {
  const { image } = parent
  const id = image
    .describe()
    .flatMap((section) => section.facts)
    .find((fact) => fact.name === 'virtualDiskId')?.value
  if (typeof id !== 'string')
    throw usage('E_PARENT_FORMAT', `${parent.path}: the parent of a VHDX must be a VHDX, this is ${image.format}`, {
      hint: 'Convert the parent to VHDX first, or make a qcow2 child.',
    })
  return { virtualDiskId: id, locator: locatorOf(parent, sectorSize) }
}

/** The parent locator item of a child. @throws ImageError as {@link childItems} */
export function locatorOf(parent: ParentShape, sectorSize: 512 | 4096): Uint8Array {
  const { image } = parent
  if (image.format !== 'vhdx' || image.identity === undefined) {
    throw usage('E_PARENT_FORMAT', `${parent.path}: the parent of a VHDX must be a VHDX, this is ${image.format}`, {
      hint: 'Convert the parent to VHDX first, or make a qcow2 child.',
    })
  }
  if (image.sectorSize !== sectorSize) {
    throw usage(
      'E_SECTOR_SIZE',
      `${parent.path}: the parent has logical sectors of ${image.sectorSize} bytes, the child cannot have ` +
        `${sectorSize}`,
    )
  }
  if (parent.path.startsWith('/') && (parent.path + parent.relativePath).includes('\\')) {
    throw usage(
      'E_PARENT_PATH',
      `${parent.path}: a name with a backslash cannot be recorded in a VHDX, which separates folders with it`,
      { hint: 'Rename the file or its folder.' },
    )
  }
  if (!isPlainText(parent.path + parent.relativePath))
    throw usage(
      'E_PARENT_PATH',
      `${printable(parent.path)}: the path is not UTF-8, and a VHDX stores names as UTF-16`,
      { hint: 'Rename the file or its folder.' },
    )
  const locator = [
    ['parent_linkage', `{${image.identity}}`],
    ...(parent.nextIdentity === undefined ? [] : [['parent_linkage2', `{${parent.nextIdentity}}`] as const]),
    ['relative_path', relativeWindowsPath(parent.relativePath)],
    ['absolute_win32_path', absoluteWindowsPath(parent.path)],
  ] as const
  for (const [key, value] of locator) {
    if (value.length > 32767)
      throw usage('E_PARENT_PATH', `${parent.path}: the path is too long for the parent locator (${key})`)
  }
  return buildParentLocator(locator)
}

function relativeWindowsPath(path: string): string {
  const windows = path.replaceAll('/', '\\')
  return windows.startsWith('..\\') || windows.startsWith('.\\') ? windows : `.\\${windows}`
}

/**
 * `\\?\C:\…` for a Windows path. A POSIX path has no drive; it becomes the path from the root of "the current drive"
 * (`\srv\a.vhdx`),
 * which turned back gives the same file on this host and names nothing by chance on another: there relative_path, tried
 * first, counts.
 */
function absoluteWindowsPath(path: string): string {
  const windows = path.replaceAll('/', '\\')
  if (/^[a-z]:\\/i.test(windows)) return `\\\\?\\${windows}`
  if (windows.startsWith('\\\\?\\')) return windows
  return windows.startsWith('\\\\') ? `\\\\?\\UNC\\${windows.slice(2)}` : windows
}
