import type { Note } from '../../block/types.js'
import type { Progress } from '../../engine/index.js'
import { isImageError, printable, refused, usage, type HostPath } from '../../errors.js'
import { imagesOf } from '../../location/backup-set.js'
import fs from '../../sys/host-fs.js'
import { lastPart } from '../../sys/host-path.js'
import { childrenOf } from '../in-use/children.js'
import { guardChange } from '../in-use/guard.js'
import { planOf, runSteps, type Step } from '../transfer/step.js'
import { isPolicy, isPolicyGiven, keptPoints, type KeepReason } from './keep.js'
import { holdingSet } from './lock.js'
import { Merge } from './merge.js'
import { linksOf, type LinkedPoint } from './links.js'
import { flushFolder, imagesSize, recordsOf, removeLeftovers, setFolder, shownName } from './set.js'
import { settle } from './settle.js'
import { readSetSettings, type Policy } from './settings.js'
import { companionsOf } from '../imaging/companions.js'

export interface PruneOptions extends Policy {
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** What becomes of an image of a set. */
export interface PrunedImage {
  readonly time: string
  readonly name: string
  readonly fate: 'kept' | 'removed' | 'merged' | 'needed'
  /** Why it is kept; for `needed`, why it cannot be taken away; for `merged`, the image that has taken its place. */
  readonly why: string
}

export interface PruneResult {
  readonly set: string
  readonly images: readonly PrunedImage[]
  readonly steps: readonly string[]
  /** Bytes of the set's images before and after; of a dry run, both are what they are now. */
  readonly before: number
  readonly after: number
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

/**
 * Takes away the points of a set that its policy does not keep. An image that nothing needs is deleted. One that its
 * child needs takes in what the child holds, and gets the child's name: every kept point can be read at any moment,
 * also when the power fails.
 * @throws ImageError usage E_NO_SET, E_NO_POLICY; refused E_SET_IN_USE, E_SET_DAMAGED; those of commitChain.
 */
export async function pruneSet(set: string, options: PruneOptions = {}): Promise<PruneResult> {
  const folder = setFolder(set)
  return await holdingSet(folder, 'vdisk backup prune', () => pruneHeld(folder, options))
}

async function pruneHeld(folder: HostPath, options: PruneOptions): Promise<PruneResult> {
  const policy = isPolicyGiven(options) ? options : readSetSettings(folder)
  if (!isPolicy(policy))
    throw usage('E_NO_POLICY', `nothing says which points of ${printable(folder)} are to be kept`, {
      hint: 'Give --keep-last, --keep-daily, --keep-weekly or --keep-monthly, here or to vdisk backup init.',
    })
  const { dryRun = false } = options
  const links = linksOf(imagesOf(folder))
  guardWhole(folder, links)
  if (!dryRun) {
    removeLeftovers(folder)
    settle(links)
  }
  const before = imagesSize(folder)
  const plan = new PrunePlan(folder, links, policy, options)
  if (!dryRun) await runSteps(plan.steps)
  return {
    set: folder,
    images: plan.images,
    steps: planOf(plan.steps).map(({ message }) => message),
    before,
    after: imagesSize(folder),
    dryRun,
    notes: [],
  }
}

/**
 * What an image that cannot be read needs is not known: it may be the very one that no other seems to need.
 * @throws ImageError refused E_SET_DAMAGED
 */
function guardWhole(folder: HostPath, links: readonly LinkedPoint[]): void {
  const { damaged } = recordsOf(links)
  const unread = links.filter(({ problem }) => problem !== undefined)
  const [first, ...others] = [...unread, ...damaged]
  if (first === undefined) return
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`
  throw refused(
    'E_SET_DAMAGED',
    `an image of ${printable(folder)} cannot be read, and what it needs is not known: ${first.time}${more}: ` +
      (first.problem ?? ''),
    {
      hint:
        'Put back what is missing; vdisk backup check lists all that is wrong. Nothing is deleted until then. ' +
        (unread.length > 0
          ? 'Or delete the image that cannot be read, with the files beside it, if it is lost.'
          : 'Or delete the record: its image is no point then, and is merged into the next one, or removed.'),
    },
  )
}

/** What is done to the images of a set, in order. Nothing is done before its steps run. */
class PrunePlan {
  readonly images: PrunedImage[] = []
  readonly steps: Step[] = []
  readonly #folder: HostPath
  readonly #options: PruneOptions
  /** As they will be when the steps so far have run; a merged image goes on under its child's name. */
  readonly #links: Map<HostPath, LinkedPoint>
  readonly #kept: ReadonlyMap<string, readonly KeepReason[]>

  constructor(folder: HostPath, links: readonly LinkedPoint[], policy: Policy, options: PruneOptions) {
    this.#folder = folder
    this.#options = options
    this.#links = new Map(links.map((link) => [link.path, link]))
    this.#kept = keptPoints(
      links.filter(({ isPoint }) => isPoint).map(({ time }) => time),
      policy,
    )
    const foreign = new Map(links.map((link) => [link.path, foreignChildren(link, folder, links)]))
    // The newest first: what nothing needs goes, and then its parent may be such a one.
    for (const { path } of links.toReversed()) this.#remove(path, foreign)
    // The oldest first: each content is moved once.
    for (const { path } of links) this.#merge(path, foreign)
    for (const { time, path } of this.#links.values()) {
      const reasons = this.#kept.get(time)
      if (reasons !== undefined) this.#add({ time, path }, 'kept', reasons.join(', '))
    }
    this.images.sort((one, other) => (one.time < other.time ? -1 : 1))
  }

  #add({ time, path }: Pick<LinkedPoint, 'time' | 'path'>, fate: PrunedImage['fate'], why: string): void {
    this.images.push({ time, name: lastPart(path), fate, why })
  }

  #isKept({ time, isPoint }: LinkedPoint): boolean {
    return isPoint && this.#kept.has(time)
  }

  #childrenOf(path: HostPath): LinkedPoint[] {
    return [...this.#links.values()].filter(({ parent }) => parent === path)
  }

  #remove(path: HostPath, foreign: ReadonlyMap<HostPath, readonly string[]>): void {
    const link = this.#links.get(path)
    if (link === undefined || this.#isKept(link) || this.#childrenOf(path).length > 0) return
    if ((foreign.get(path) ?? []).length > 0 || this.#isTaken(path)) return
    this.#links.delete(path)
    this.#add(link, 'removed', link.isPoint ? 'nothing needs it' : 'it has no record: it was never complete')
    this.steps.push({
      name: 'remove',
      message: `delete ${shownName(path)}, which no other image needs`,
      run: () => {
        // The image first: a record without its image is nothing, and an image without its record is no point.
        for (const file of [path, ...companionsOf(path)]) fs.removeFileSync(file)
        flushFolder(this.#folder)
      },
    })
  }

  #merge(path: HostPath, foreign: ReadonlyMap<HostPath, readonly string[]>): void {
    const link = this.#links.get(path)
    if (link === undefined || this.#isKept(link)) return
    const children = this.#childrenOf(path)
    const [child] = children
    const others = foreign.get(path) ?? []
    const why = this.#objection(link, children, others, foreign)
    if (child === undefined || why !== undefined) {
      this.#add(link, 'needed', why ?? 'it is in use')
      return
    }
    this.#links.delete(path)
    // The child's name has what was merged, and its own children stay its own.
    this.#links.set(child.path, { ...child, parent: link.parent })
    this.#add(link, 'merged', `into ${shownName(child.path)}`)
    const { signal, onProgress } = this.#options
    const merge = new Merge(this.#folder, link.path, child.path, { signal, onProgress })
    this.steps.push(...merge.steps)
  }

  /** Why an image that is not kept cannot be taken away. */
  #objection(
    link: LinkedPoint,
    children: readonly LinkedPoint[],
    others: readonly string[],
    foreign: ReadonlyMap<HostPath, readonly string[]>,
  ): string | undefined {
    const names = (paths: readonly string[]): string => paths.map(shownName).join(', ')
    if (others.length > 0) return `${names(others)} has it as parent, and is no image of the set`
    if (children.length > 1) return `several images have it as parent: ${names(children.map(({ path }) => path))}`
    const [child] = children
    if (child === undefined) return undefined
    const ofChild = foreign.get(child.path) ?? []
    if (ofChild.length > 0)
      return `${names(ofChild)} has ${shownName(child.path)} as parent, and is no image of the set`
    if (child.problem !== undefined) return `${shownName(child.path)} cannot be read: ${child.problem}`
    if ([link, child].some(({ path }) => this.#isTaken(path))) return 'it is in use'
    if (child.capacity < link.capacity)
      return `the disk was larger then than in ${shownName(child.path)}: the larger image cannot take its place`
    return undefined
  }

  #isTaken(path: HostPath): boolean {
    try {
      guardChange(path, 'deleted', { ofSet: true, keepsChildren: true })
      return false
    } catch (error) {
      if (!isImageError(error)) throw error
      return true
    }
  }
}

/** Files in the set's folder that are no images of the set and have one of them as their parent. */
function foreignChildren(
  { file, identity }: LinkedPoint,
  folder: HostPath,
  links: readonly LinkedPoint[],
): readonly string[] {
  if (file === undefined) return []
  const ofSet = links.flatMap((link) => link.file ?? [])
  return childrenOf(file, identity, [folder], ofSet, {})
}
