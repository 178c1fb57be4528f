import { MemoryStore } from '../../block/memory-store.js'
import type { Note } from '../../block/types.js'
import { printable, usage } from '../../errors.js'
import type { CreateContext, DiskShape, FormatDriver, ImageWriter, OptionValues } from '../../formats/driver.js'
import { checkOptions } from '../../formats/options.js'
import { namedBackup } from '../../formats/foreign-advice.js'
import { otherTarget } from '../../formats/other-extensions.js'
import { promisedKind, type PromisedKind } from '../../formats/promised-kind.js'
import type { Registry } from '../../formats/registry.js'
import { extensionOf } from '../../sys/host-path.js'
import { refuseStreamName } from './stream-target.js'

/** A driver that can make images. */
export type CreatingDriver = FormatDriver & Required<Pick<FormatDriver, 'create'>>

/** A format, and the options it is asked for, checked. */
export interface TargetFormat {
  readonly driver: CreatingDriver
  readonly options: OptionValues
  /** What the user should know of the choice: the name of the target promises another format. */
  readonly notes: readonly Note[]
}

/**
 * The format of a target: as named, else by its extension.
 * @param path undefined for a stream, which is raw when nothing else is said.
 * @throws ImageError usage E_UNKNOWN_FORMAT, E_UNKNOWN_EXTENSION, E_READ_ONLY_FORMAT, E_UNKNOWN_OPTION, E_OPTION_VALUE.
 */
export function targetFormat(
  registry: Registry,
  path: string | undefined,
  to: string | undefined,
  given: OptionValues,
): TargetFormat {
  if (path !== undefined) refuseStreamName(path)
  const found = to !== undefined ? registry.get(to) : path === undefined ? registry.plain : registry.forExtension(path)
  if (found === undefined) {
    const ids = [...registry].filter(({ driver }) => driver.create !== undefined).map(({ driver }) => driver.id)
    const name = printable(path ?? '')
    const other = otherTarget(path ?? '')
    if (other !== undefined)
      throw usage('E_UNKNOWN_EXTENSION', `${name} would be ${other.format}, which vdisk cannot write`, {
        hint: other.hint,
      })
    throw usage('E_UNKNOWN_EXTENSION', `the name of the target ${name} does not say which format it is to have`, {
      hint: (path ?? '').startsWith('/dev/')
        ? 'To write an image to a disk or partition, use vdisk restore IMAGE DEVICE.'
        : `Give it with --to: ${ids.join(', ')}.`,
    })
  }
  if (!canCreate(found))
    throw usage('E_READ_ONLY_FORMAT', `vdisk reads ${found.title} but cannot make one`, {
      hint: insteadOf(found) ?? '`vdisk formats` shows what can be made.',
    })
  // The subformat is an option of formats that have several; the only one of the others may still be named.
  const { subformat, ...others } = given
  const only =
    found.options.every(({ name }) => name !== 'subformat') && found.subformats.some(({ id }) => id === subformat)
  return {
    driver: found,
    options: checkOptions(found.options, only ? others : given, `the format ${found.id}`),
    notes: nameNotes(registry, path, found),
  }
}

/** What the programs that want a format take in its place, where that is known. */
function insteadOf({ extensions }: FormatDriver): string | undefined {
  const [extension] = extensions
  return extension === undefined ? undefined : otherTarget(`.${extension}`)?.hint
}

/** What the user should know where the name of a target promises another format than it is written in. */
export function nameNotes(registry: Registry, path: string | undefined, driver: FormatDriver): Note[] {
  const promised = path === undefined ? undefined : (promisedKind(path, registry) ?? promisedBackup(path))
  if (path === undefined || promised === undefined || promised.id === driver.id) return []
  if (promised.plain === true && driver.plain === true) return []
  return [
    {
      code: 'W_EXTENSION',
      message:
        `the name of the target ${printable(path)} promises ${promised.title}, and it is written as ` +
        `${driver.title}: ` +
        'programs that go by the name will not read it',
    },
  ]
}

/** A name of backups that only their names give away: an image named so is taken for one, by vdisk too. */
function promisedBackup(path: string): PromisedKind | undefined {
  const title = namedBackup(extensionOf(path).slice(1).toLowerCase())
  return title === undefined ? undefined : { title }
}

function canCreate(driver: FormatDriver): driver is CreatingDriver {
  return driver.create !== undefined
}

/** Tries a writer without writing: options that do not go together, and the capacity that the format will give. */
export function tryLayout(
  { driver, options }: TargetFormat,
  shape: DiskShape,
): Pick<ImageWriter, 'capacity' | 'packedUnit'> {
  const context: CreateContext = {
    name: `layout.${driver.extensions[0] ?? driver.id}`,
    createFile: (name) => new MemoryStore(undefined, name, 512),
  }
  using store = new MemoryStore(undefined, 'the layout', 512)
  using writer = driver.create(store, shape, options, context)
  return { capacity: writer.capacity, packedUnit: writer.packedUnit }
}

type SectorSize = DiskShape['sectorSize']

/**
 * The sector size of a new image: as wanted, else the source's where the format can have it, else the format's own.
 * @throws ImageError usage E_SECTOR_SIZE.
 */
export function chooseSectorSize(
  { id, features: { sectorSizes } }: FormatDriver,
  own: SectorSize | undefined,
  wanted: SectorSize | undefined,
): SectorSize {
  if (wanted !== undefined && !sectorSizes.includes(wanted))
    throw usage('E_SECTOR_SIZE', `the format ${id} cannot have sectors of ${wanted} bytes`, {
      hint: `It can have ${sectorSizes.join(' or ')}.`,
    })
  return wanted ?? (own !== undefined && sectorSizes.includes(own) ? own : (sectorSizes[0] ?? 512))
}

/** What a new image has otherwise than its source. Bytes. */
export interface LayoutChange {
  readonly format: TargetFormat
  readonly shape: Pick<DiskShape, 'capacity' | 'sectorSize' | 'parent'>
  /** The capacity that the format gave it. */
  readonly capacity: number
  /** Undefined where the source does not record one. */
  readonly sourceSectorSize: number | undefined
}

/** Notes of what a partition table, or an exact size, may suffer from. */
export function layoutNotes({ format, shape, capacity, sourceSectorSize }: LayoutChange): Note[] {
  const { driver, options } = format
  return [
    ...sectorSizeNotes(driver, shape.sectorSize, sourceSectorSize),
    ...roundedNotes(driver, shape.capacity, capacity),
    ...(driver.createNotes?.({ capacity, parent: shape.parent }, options) ?? []),
  ]
}

function sectorSizeNotes(driver: FormatDriver, sectorSize: SectorSize, source: number | undefined): Note[] {
  if (source !== undefined && source !== sectorSize)
    return [
      {
        code: 'W_SECTOR_SIZE',
        message:
          `the source has sectors of ${source} bytes, the target of ${sectorSize}: a partition table written for ` +
          'one is not understood with the other',
      },
    ]
  if (driver.plain !== true || sectorSize !== 4096) return []
  return [
    {
      code: 'W_SECTOR_SIZE',
      message:
        `a ${driver.id} image does not record that its sectors have 4096 bytes: attach it, or convert it ` +
        'on, with 4096',
    },
  ]
}

/** What a user should know of a disk that got larger than it was to be. Bytes. */
export function roundedNotes(driver: FormatDriver, wanted: number, capacity: number): Note[] {
  if (capacity <= wanted) return []
  return [
    {
      code: 'W_ROUNDED_UP',
      message:
        `the size of ${wanted} bytes was rounded up to ${capacity}, with zeros: ${driver.title} cannot hold ` +
        'it exactly',
    },
  ]
}
