import { changingInPlace } from '../change/left-state.js'
import type { BlockSource, Note } from '../../block/types.js'
import { ZeroSource } from '../../block/zero.js'
import { SamePlace, Walk } from '../../engine/index.js'
import type { Progress } from '../../engine/progress.js'
import { aborted, usage } from '../../errors.js'
import type { OpenedWritable } from '../../formats/open-writable.js'
import { openToChange } from '../in-use/changing.js'
import { comparedPiece, writeDiffering, type WrittenBytes } from './differing-units.js'
import { ExchangedParent, readPadded } from './exchanged-parent.js'
import { chainOptions, readOptions, type ReadOptions } from '../open/opening.js'
import { openNewParent, type NewParent } from '../transfer/parent.js'
import {
  linkedImage,
  recordOf,
  refuseLoop,
  relinker,
  chainFile,
  type LinkedImage,
  type ParentRecord,
} from './relink.js'
import { milliseconds } from '../../sys/clock.js'
import { nextTurn } from '../../sys/next-turn.js'

export interface RebaseOptions extends Omit<ReadOptions, 'snapshot'> {
  /** Says what would be done. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface RebaseResult {
  readonly child: LinkedImage
  /** The new parent; undefined: the child needs none now. */
  readonly parent?: LinkedImage
  readonly before: ParentRecord
  readonly after?: ParentRecord
  /** Bytes that the child has taken in (or would), because the parents differ there: data, and zeros. */
  readonly taken: { readonly data: number; readonly zeros: number }
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

/**
 * Gives a child another parent, or none, without changing what it shows: what differs between the two is written into
 * the child first. A
 * power cut or an interruption leaves the child over its old parent, or over the new one, with the same content.
 * @param parentPath undefined: the child takes in all that its parent holds.
 * @throws ImageError usage E_NOT_A_CHILD, E_PARENT_FORMAT; reference E_PARENT_LOOP, E_PARENT_SECTOR …; target; aborted
 * E_ABORTED.
 */
export async function rebaseChain(
  childPath: string,
  parentPath: string | undefined,
  options: RebaseOptions = {},
): Promise<RebaseResult> {
  return await changingInPlace(
    () => 'The child is whole and shows what it did, over its old parent or the new one: run it again to finish.',
    () => rebased(childPath, parentPath, options),
  )
}

async function rebased(
  childPath: string,
  parentPath: string | undefined,
  options: RebaseOptions,
): Promise<RebaseResult> {
  chainFile(childPath, options)
  if (parentPath !== undefined) chainFile(parentPath, options)
  const { dryRun = false } = options
  const next = parentPath === undefined ? undefined : openedParent(childPath, parentPath, options)
  using held = next?.opened
  const below = (old: BlockSource): BlockSource => new ExchangedParent(old, held ?? new ZeroSource(0))
  using child = openToChange(childPath, { ...readOptions(options), draft: dryRun, below, keepsContent: true })
  const { image, opened } = child
  opened.findDamage()
  const before = recordOf(child).record
  if (held !== undefined) refuseLoop(childPath, opened.top.files, held)
  const relink = relinker(child)(next?.shape)
  const taken = await takeIn(child, held ?? new ZeroSource(0), options)
  // Before the child leaves its old parent: what it took in must be what it showed.
  opened.assertUnchanged(1)
  held?.assertUnchanged()
  if (!dryRun) {
    image.flush()
    options.onProgress?.({ phase: 'flush', done: 0, total: 1 })
  }
  // A dry run has not taken in what a child without parent needs: it would only fill up blocks.
  if (!dryRun || next !== undefined) relink()
  options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
  return {
    child: linkedImage(childPath, image),
    before,
    taken,
    dryRun,
    notes: [
      ...opened.notes,
      ...(next === undefined
        ? []
        : [
            ...next.notes,
            ...(opened.top.driver.createNotes?.({ capacity: image.capacity, parent: next.shape }, {}) ?? []),
          ]),
    ],
    parent: parentPath === undefined || held === undefined ? undefined : linkedImage(parentPath, held.top.image),
    after: next === undefined ? undefined : recordOf(child).record,
  }
}

/** The new parent, for a child whose format is not known before it is opened itself. */
function openedParent(childPath: string, parentPath: string, options: RebaseOptions): NewParent {
  using child = openToChange(childPath, {
    ...readOptions(options),
    chain: 'optional',
    draft: true,
    keepsChildren: true,
  })
  recordOf(child)
  return openNewParent(parentPath, childPath, child.opened.top.driver, chainOptions(options))
}

/** Writes into the child what it shows of its old parent and would not show of the next. */
async function takeIn(
  { image, opened }: OpenedWritable,
  next: BlockSource,
  { dryRun = false, signal, onProgress }: RebaseOptions,
): Promise<WrittenBytes> {
  const old = opened.parent
  if (old === undefined) throw usage('E_NOT_A_CHILD', `${opened.name} needs no other image: it has no parent`)
  const { capacity } = image
  const written: WrittenBytes = { data: 0, zeros: 0 }
  const [first, second, same] = [new Walk(old, capacity), new Walk(next, capacity), new SamePlace()]
  const unit = Math.min(65536, Math.max(4096, image.grain))
  const [present, wanted] = [new Uint8Array(comparedPiece), new Uint8Array(comparedPiece)]
  let rested = milliseconds()
  for (let offset = 0; offset < capacity;) {
    const own = image.extentAt(offset, capacity - offset)
    let { length } = own
    if (own.kind === 'absent') {
      const a = first.runAt(offset, length)
      const b = second.runAt(offset, a.length)
      length = b.length
      const equal = a.kind === 'zero' && b.kind === 'zero' ? length : same.length(a, b)
      if (equal > 0) length = equal
      else {
        length = Math.min(length, comparedPiece - (offset % comparedPiece))
        const [had, has] = [wanted.subarray(0, length), present.subarray(0, length)]
        readPadded(old, offset, had)
        readPadded(next, offset, has)
        writeDiffering(dryRun ? undefined : image, offset, had, has, unit, written)
      }
    }
    offset += length
    onProgress?.({ phase: 'copy', done: offset, total: capacity })
    if (milliseconds() - rested < 50) continue
    await nextTurn()
    rested = milliseconds()
    if (signal?.aborted === true)
      throw aborted('interrupted: the child shows what it did, over its old parent', {
        hint: 'It holds a part of what it is to take in; run it again to go on.',
      })
  }
  return written
}
