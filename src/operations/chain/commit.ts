import { changingInPlace, withState } from '../change/left-state.js'
import fs from '../../sys/host-fs.js'
import { FileStore, writeError } from '../../block/file-store.js'
import { assertUnchanged } from '../../block/changed.js'
import { SliceSource } from '../../block/slice.js'
import type { Note } from '../../block/types.js'
import { compareSources, Walk } from '../../engine/index.js'
import type { Progress } from '../../engine/progress.js'
import { aborted, ImageError, reference, refused, unsupported, usage } from '../../errors.js'
import type { WritableImage } from '../../formats/driver.js'
import { openFile, type Layer } from '../../formats/open.js'
import type { OpenedWritable } from '../../formats/open-writable.js'
import { openToChange } from '../in-use/changing.js'
import { guardChange } from '../in-use/guard.js'
import { closeHoles } from '../change/close-holes.js'
import { firstContent } from '../change/content-search.js'
import { comparedPiece, writeDiffering, type WrittenBytes } from './differing-units.js'
import { readPadded } from './exchanged-parent.js'
import { chainOptions, readOptions, type ReadOptions } from '../open/opening.js'
import { childNames, childrenOf } from '../in-use/children.js'
import { openNewParent, parentShape } from '../transfer/parent.js'
import { linkedImage, recordOf, relinker, chainFile, type LinkedImage } from './relink.js'
import { realFolder } from '../../sys/host-path.js'
import { milliseconds } from '../../sys/clock.js'
import { nextTurn } from '../../sys/next-turn.js'

export interface CommitOptions extends Omit<ReadOptions, 'snapshot'> {
  /** Removes the child when the parent holds everything, and that has been compared. */
  readonly deleteChild?: boolean
  /** Compares the disks afterwards. */
  readonly verify?: boolean
  /** Says what would be done. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface CommitResult {
  readonly child: LinkedImage
  /** The image that was changed. */
  readonly parent: LinkedImage & { readonly capacityBefore: number; readonly capacityAfter: number }
  /** Bytes that were written into the parent: data, and zeros. */
  readonly written: { readonly data: number; readonly zeros: number }
  /** Other images of which the parent is the parent, and that do not fit it any more. */
  readonly otherChildren: readonly string[]
  readonly verified: boolean
  readonly childDeleted: boolean
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

/**
 * Writes what a child holds into its parent, which then has the same content. The child shows the same at any moment:
 * what it holds itself
 * hides what changes below. The child stays, over the changed parent, unless it is to be deleted.
 * @throws ImageError usage E_NOT_A_CHILD; refused E_OTHER_CHILDREN, E_LOCKED; unsupported E_NOT_WRITABLE, E_NO_RESIZE;
 * target; mismatch E_MISMATCH; aborted E_ABORTED.
 */
export async function commitChain(childPath: string, options: CommitOptions = {}): Promise<CommitResult> {
  chainFile(childPath, options)
  const { dryRun = false, deleteChild = false, verify = deleteChild } = options
  const plan = look(childPath, options)
  const { parentPath, otherChildren } = plan
  const { written, notes, sizes, identity } = await changingInPlace(
    () => 'The child shows what it did, and the parent may hold a part of it: run it again to finish.',
    () => merge(childPath, plan, options),
  )
  try {
    if (!dryRun && plan.recordsParent) renew(childPath, plan, options)
  } catch (error) {
    throw withState(error, () => 'The parent has the content of its child, and the child still fits it.')
  }
  const verified = !dryRun && verify
  if (verified) await compare(childPath, parentPath, plan, options)
  if (!dryRun && deleteChild) removeChild(childPath, options)
  return {
    child: plan.child,
    parent: { ...plan.parent, identity: identity ?? plan.parent.identity, ...sizes },
    written,
    otherChildren,
    verified,
    childDeleted: !dryRun && deleteChild,
    dryRun,
    notes,
  }
}

interface Plan {
  readonly child: LinkedImage
  readonly parent: LinkedImage
  readonly parentPath: string
  readonly parentFormat: string
  /** Files below the parent, which may lie anywhere. */
  readonly below: readonly string[]
  /** Whether the child records an id of its parent. */
  readonly recordsParent: boolean
  readonly otherChildren: readonly string[]
}

/** Everything that speaks against it, before anything is opened to be changed. */
function look(childPath: string, options: CommitOptions): Plan {
  using opened = openFile(childPath, readOptions(options))
  const {
    unreadable,
    layers: [top, parent, ...rest],
  } = opened
  if (unreadable !== undefined) throw unreadable
  if (top === undefined || parent?.path === undefined)
    throw usage('E_NOT_A_CHILD', `${childPath} needs no other image: it has no parent into which it could be committed`)
  const [parentFile, childFile] = [firstFile(parent), firstFile(top)]
  const folders = [realFolder(parentFile.path), realFolder(childFile.path)]
  const otherChildren = childrenOf(parentFile, parent.image.identity, folders, [childFile], options)
  if (otherChildren.length > 0 && options.allowOtherChildren !== true) {
    throw refused(
      'E_OTHER_CHILDREN',
      `${parent.path} is the parent of other images too, which are worth nothing when it changes: ` +
        childNames(otherChildren),
      {
        hint:
          'Give them another parent first (vdisk chain rebase), or flatten them. --allow-other-children ' +
          'changes the parent nevertheless.',
      },
    )
  }
  const grandchildren =
    options.deleteChild === true ? childrenOf(childFile, top.image.identity, folders, [parentFile], options) : []
  if (grandchildren.length > 0)
    throw refused(
      'E_OTHER_CHILDREN',
      `${childPath} cannot be deleted: it is the parent of ${childNames(grandchildren)}`,
      { hint: 'Rebase them onto the parent afterwards, and delete it then.' },
    )
  return {
    child: linkedImage(childPath, top.image),
    parent: linkedImage(parent.path, parent.image),
    parentPath: parent.path,
    parentFormat: parent.driver.id,
    below: rest.flatMap(({ files }) => files.map(({ path }) => path)),
    recordsParent: top.image.parentReference?.identity !== undefined,
    otherChildren,
  }
}

interface Merged {
  readonly written: WrittenBytes
  readonly sizes: { readonly capacityBefore: number; readonly capacityAfter: number }
  readonly identity: string | undefined
  readonly notes: readonly Note[]
}

async function merge(childPath: string, plan: Plan, options: CommitOptions): Promise<Merged> {
  const { dryRun = false } = options
  using child = openToChange(childPath, { ...readOptions(options), draft: dryRun, keepsChildren: true })
  using target = openToChange(plan.parentPath, {
    ...parentOptions(plan, options),
    draft: dryRun,
    keepsIdentity: true,
    keepsChildren: true,
  })
  assertSameParent(childPath, child.opened.layers[1], target.opened.top)
  child.opened.findDamage()
  const { image } = target
  const capacityBefore = image.capacity
  const { capacity } = child.image
  if (capacity > capacityBefore && image.resize === undefined)
    throw unsupported(
      'E_NO_RESIZE',
      `${plan.parentPath} is smaller than the disk of its child, and an image of the format ${image.format} ` +
        'cannot be resized',
    )
  if (!dryRun) prepareParent(childPath, plan, child, image)
  // From here on the child is only read: it is to be the same at the end, as is everything below the parent. Its lock
  // keeps out only who asks for it.
  using watched = FileStore.openRead(childPath)
  const written = await writeOver(child, target, options)
  assertUnchanged(watched)
  child.opened.assertUnchanged(2)
  options.onProgress?.({ phase: 'flush', done: 0, total: 1 })
  if (!dryRun) {
    image.flush()
    // Zeros give back blocks.
    if (written.zeros > 0) {
      await closeHoles(image, { signal: options.signal }, ({ done, total }) =>
        aborted('interrupted: the parent has the content of its child, and the child still fits it', {
          hint: `Run it again to finish (${done} of ${total} done).`,
        }),
      )
    }
  }
  options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
  const longer = capacityBefore - capacity
  return {
    written,
    notes: [...child.opened.notes, ...(longer > 0 ? [parentLarger(plan.parentPath, childPath, longer)] : [])],
    identity: image.identity,
    sizes: { capacityBefore, capacityAfter: Math.max(capacity, capacityBefore) },
  }
}

/** @throws ImageError reference E_REFERENCE_CHANGED where the child's parent is not the file that is locked. */
function assertSameParent(childPath: string, mine: Layer | undefined, locked: Layer): void {
  const [seen, taken] = [mine === undefined ? undefined : firstFile(mine), firstFile(locked)]
  if (seen?.inode !== taken.inode || seen.device !== taken.device)
    throw reference('E_REFERENCE_CHANGED', `the parent of ${childPath} was exchanged while it was opened`)
}

/** Makes the parent as large as the child, which fits it before and after it is changed. */
function prepareParent(childPath: string, plan: Plan, child: OpenedWritable, parent: WritableImage): void {
  if (plan.recordsParent && parent.nextIdentity !== undefined)
    relinker(child)({ ...parentShape(plan.parentPath, childPath, parent), nextIdentity: parent.nextIdentity })()
  const { capacity } = child.image
  if (capacity > parent.capacity) {
    hideEnd(child.image, parent)
    parent.resize?.(capacity)
  }
  parent.flush()
}

function parentLarger(parent: string, child: string, bytes: number): Note {
  return {
    code: 'W_PARENT_LARGER',
    message: `the disk of ${parent} is ${bytes} bytes longer than that of ${child}; what it holds there stays`,
  }
}

/** Zeros in the child over what the growing parent may leave of its own in its new part, when it is stopped. */
function hideEnd(child: WritableImage, { capacity, behindContent = 0 }: WritableImage): void {
  const end = Math.min(child.capacity, capacity + behindContent)
  for (let offset = capacity; offset < end;) {
    const { kind, length } = child.extentAt(offset, end - offset)
    if (kind === 'absent') child.write(offset, new Uint8Array(length))
    offset += length
  }
  if (behindContent > 0) child.flush()
}

/** Writes what the child's own layer says over the parent. */
async function writeOver(
  { image: layer }: OpenedWritable,
  { image, disk }: OpenedWritable,
  { dryRun = false, signal, onProgress }: CommitOptions,
): Promise<WrittenBytes> {
  const written: WrittenBytes = { data: 0, zeros: 0 }
  const { capacity } = layer
  const [wanted, present] = [new Uint8Array(comparedPiece), new Uint8Array(comparedPiece)]
  const changed = dryRun ? undefined : image
  const below = new Walk(disk, capacity)
  let rested = milliseconds()
  for (let offset = 0; offset < capacity;) {
    const own = layer.extentAt(offset, capacity - offset)
    let { length } = own
    if (own.kind === 'zero') {
      const run =
        offset < disk.capacity
          ? below.runAt(offset, Math.min(length, disk.capacity - offset))
          : ({ kind: 'zero', length } as const)
      length = run.length
      if (run.kind !== 'zero' && (await firstContent(new SliceSource(disk, offset, length), 0)) !== undefined) {
        changed?.discard(offset, length)
        written.zeros += length
      }
    } else if (own.kind !== 'absent') {
      length = Math.min(length, comparedPiece - (offset % comparedPiece))
      const [mine, theirs] = [wanted.subarray(0, length), present.subarray(0, length)]
      layer.read(offset, mine)
      readPadded(disk, offset, theirs)
      writeDiffering(changed, offset, mine, theirs, 65536, written)
    }
    offset += length
    onProgress?.({ phase: 'copy', done: offset, total: capacity })
    if (milliseconds() - rested < 50) continue
    await nextTurn()
    rested = milliseconds()
    if (signal?.aborted === true)
      throw aborted('interrupted: the parent holds a part of what its child holds, and the child shows what it did', {
        hint: 'Run it again to go on. Until then the parent is of no use without this child.',
      })
  }
  return written
}

/** Records the parent as it is now, its id or its time, in the child. */
function renew(childPath: string, plan: Plan, options: CommitOptions): void {
  using child = openToChange(childPath, { ...readOptions(options), keepsChildren: true })
  const { opened, shape } = openNewParent(
    plan.parentPath,
    childPath,
    child.opened.top.driver,
    parentOptions(plan, options),
  )
  using parent = opened
  recordOf(child).reference.verify(parent.top.image)
  relinker(child)(shape)()
}

/** @throws ImageError mismatch E_MISMATCH */
async function compare(childPath: string, parentPath: string, plan: Plan, options: CommitOptions): Promise<void> {
  using child = openFile(childPath, readOptions(options))
  using parent = openFile(parentPath, parentOptions(plan, options))
  const disk = parent.capacity > child.capacity ? new SliceSource(parent, 0, child.capacity) : parent
  const { equal, offset } = await compareSources(child, disk, {
    signal: options.signal,
    onProgress: options.onProgress,
  })
  child.assertUnchanged()
  parent.assertUnchanged()
  if (!equal)
    throw new ImageError(
      'mismatch',
      'E_MISMATCH',
      `${parentPath} differs from its child ${childPath} at offset ${offset ?? 0} after the commit`,
      { hint: 'The child shows what it did; keep it. Please report this.', details: { offset } },
    )
}

function parentOptions(plan: Plan, options: CommitOptions) {
  return {
    ...chainOptions(options),
    from: plan.parentFormat,
    allowReferences: [...(options.allowReferences ?? []), ...plan.below],
  }
}

function firstFile({ files: [file], name }: Layer) {
  if (file === undefined) throw new TypeError(`${name} is no file`)
  return file
}

/** Removes it as its only user: who has it open would go on writing into a file without a name. */
function removeChild(path: string, options: CommitOptions): void {
  guardChange(path, 'deleted', { ...options, keepsChildren: true })
  using locked = FileStore.openWrite(path)
  try {
    fs.unlinkSync(locked.path)
  } catch (cause) {
    throw writeError(path, 'cannot be deleted', cause)
  }
}
