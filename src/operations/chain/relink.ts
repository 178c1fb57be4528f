import { withState } from '../change/left-state.js'
import type { Note } from '../../block/types.js'
import { ImageError, isImageError, reference, usage } from '../../errors.js'
import type { DiskImage, ParentReference } from '../../formats/driver.js'
import { openFile } from '../../formats/open.js'
import type { ImageFile, OpenedImage } from '../../formats/opened.js'
import type { OpenedWritable } from '../../formats/open-writable.js'
import { openToChange } from '../in-use/changing.js'
import { storedNames } from '../inspect/info.js'
import { localFile, wholeImage } from '../open/image-file.js'
import { chainOptions, readOptions, type ReadOptions } from '../open/opening.js'
import { openNewParent } from '../transfer/parent.js'

/** What a child records of its parent: names as they stand. */
export interface ParentRecord {
  readonly names: readonly string[]
  readonly format?: string
  readonly identity?: string
}

/** An image of a chain, as results name it. */
export interface LinkedImage {
  readonly path: string
  readonly format: string
  readonly identity?: string
}

export interface RelinkOptions extends Omit<ReadOptions, 'snapshot'> {
  /** Takes a parent whose id is not the recorded one. */
  readonly forceIdentity?: boolean
  /** Says what would be done. */
  readonly dryRun?: boolean
}

export interface RelinkResult {
  readonly child: LinkedImage
  readonly parent: LinkedImage
  /** What the child recorded of its parent, and what it records now. */
  readonly before: ParentRecord
  readonly after: ParentRecord
  /** Whether the ids were not the same. */
  readonly forced: boolean
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

/**
 * Records another place of its parent in a child; nothing else changes. The old parent need not be there.
 * @throws ImageError usage E_NOT_A_CHILD, E_PARENT_FORMAT; reference E_PARENT_ID with both ids,
 * E_PARENT_LOOP; unsupported E_NO_RELINK.
 */
export function relinkChain(childPath: string, parentPath: string, options: RelinkOptions = {}): RelinkResult {
  try {
    return relinked(childPath, parentPath, options)
  } catch (error) {
    throw withState(
      error,
      () => 'The child is whole and names its old parent or the new one: vdisk chain show says which.',
    )
  }
}

/**
 * Lets a child fit its parent as it is, and another image that is to get the parent's name, where children of the
 * format record two ids (VHDX). @returns whether ids are recorded at all: where they are not, nothing is to be done.
 */
export function relinkAhead(
  childPath: string,
  parentPath: string,
  nextPath: string,
  options: Omit<ReadOptions, 'snapshot'>,
): boolean {
  using next = openFile(nextPath, { ...readOptions(options), chain: 'optional' })
  const { identity: nextIdentity } = next.top.image
  if (nextIdentity === undefined) return false
  using child = openToChange(childPath, { ...readOptions(options), keepsChildren: true })
  const { opened, shape } = openNewParent(parentPath, childPath, child.opened.top.driver, chainOptions(options))
  using parent = opened
  recordOf(child).reference.verify(parent.top.image)
  relinker(child)({ ...shape, nextIdentity })()
  return true
}

function relinked(childPath: string, parentPath: string, options: RelinkOptions): RelinkResult {
  chainFile(childPath, options)
  chainFile(parentPath, options)
  using child = openToChange(childPath, {
    ...readOptions(options),
    chain: 'optional',
    draft: options.dryRun === true,
    keepsChildren: true,
  })
  const {
    image,
    opened: { top },
  } = child
  const recorded = recordOf(child)
  const { opened, shape, notes } = openNewParent(parentPath, childPath, top.driver, chainOptions(options))
  using parent = opened
  refuseLoop(childPath, top.files, parent)
  const forced = fits(recorded.reference, parent.top.image, options.forceIdentity === true)
  const relink = relinker(child)(shape)
  relink()
  return {
    child: linkedImage(childPath, image),
    parent: linkedImage(parentPath, parent.top.image),
    before: recorded.record,
    after: recordOf(child).record,
    forced,
    dryRun: options.dryRun === true,
    notes: [
      ...image.notes,
      ...notes,
      ...(top.driver.createNotes?.({ capacity: image.capacity, parent: shape }, {}) ?? []),
    ],
  }
}

/** @throws ImageError usage E_NOT_A_CHILD */
export function recordOf({
  image,
  opened: {
    top: { name },
  },
}: OpenedWritable): { readonly reference: ParentReference; readonly record: ParentRecord } {
  const { parentReference } = image
  if (parentReference === undefined) throw usage('E_NOT_A_CHILD', `${name} needs no other image: it has no parent`)
  return {
    reference: parentReference,
    record: {
      names: storedNames(parentReference),
      format: parentReference.format,
      identity: parentReference.identity,
    },
  }
}

/** What names another parent in an image. @throws ImageError unsupported E_NO_RELINK */
export function relinker({ image }: OpenedWritable): NonNullable<OpenedWritable['image']['relink']> {
  if (image.relink === undefined)
    throw new ImageError(
      'unsupported',
      'E_NO_RELINK',
      `vdisk does not change the parent of images of the format ${image.format}`,
    )
  return image.relink.bind(image)
}

/** A chain must not come back to the child. @throws ImageError reference E_PARENT_LOOP */
export function refuseLoop(child: string, [own]: readonly ImageFile[], parent: OpenedImage): void {
  const same = parent.files.find(({ device, inode }) => device === own?.device && inode === own.inode)
  if (same !== undefined)
    throw reference(
      'E_PARENT_LOOP',
      `${child} cannot have ${parent.name} as its parent: ${same.path} is the same file, and the chain would ` +
        'go in a circle',
    )
}

export function linkedImage(path: string, { format, identity }: Pick<DiskImage, 'format' | 'identity'>): LinkedImage {
  return { path, format, identity }
}

/**
 * An image whose record of a parent changes, or that is to be one. @throws ImageError usage E_WHOLE_IMAGE, E_NOT_A_FILE
 */
export function chainFile(argument: string, options: ReadOptions): void {
  wholeImage(argument, `chains are of whole images, and ${argument} is a partition`)
  localFile(argument, options)
}

/**
 * Whether the parent is another than the recorded one and accepted. @throws ImageError reference E_PARENT_ID
 * …
 */
function fits(recorded: ParentReference, parent: DiskImage, force: boolean): boolean {
  try {
    recorded.verify(parent)
    return false
  } catch (error) {
    if (!isImageError(error) || error.code !== 'E_PARENT_ID') throw error
    if (force && parent.format === (recorded.format ?? parent.format)) return true
    const { kind, code, message, details, cause } = error
    throw new ImageError(kind, code, message, {
      details,
      cause,
      hint:
        'If the content is that of the recorded parent, say --force-identity; if it is another, vdisk chain ' +
        'rebase keeps what the child shows.',
    })
  }
}
