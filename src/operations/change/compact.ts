import type { Note } from '../../block/types.js'
import { isZero } from '../../binary/zero.js'
import type { Progress } from '../../engine/index.js'
import { aborted, printable, unsupported, usage } from '../../errors.js'
import { openFile, type OpenedImage } from '../../formats/open.js'
import { openToChange } from '../in-use/changing.js'
import { changedCopy } from './changed-copy.js'
import { closeHoles } from './close-holes.js'
import { storedPieces } from './content-search.js'
import { changingInPlace } from './left-state.js'
import { Registry } from '../../formats/registry.js'
import { localFile, wholeImage } from '../open/image-file.js'
import { nameNotes } from '../transfer/layout.js'
import { chainOptions, readOptions, type ReadOptions } from '../open/opening.js'

export interface CompactOptions extends ReadOptions {
  /** Where a compacted copy goes; the image itself is then only read. */
  readonly output?: string
  /** Compacts the image itself. */
  readonly inPlace?: boolean
  readonly force?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface CompactResult {
  readonly path: string
  /** The file that is smaller now: the image, or its copy. */
  readonly target: string
  readonly format: string
  readonly subformat: string
  /** Bytes of the file, and bytes that the filesystem holds for it. */
  readonly before: { readonly size: number; readonly allocated: number }
  readonly after: { readonly size: number; readonly allocated: number }
  /** Bytes of zeros that were stored, and are not any more. */
  readonly zeros: number
  readonly notes: readonly Note[]
}

/** Runs of zeros are looked for in units of this many bytes. */
const unit = 65536

/**
 * Gives back the space of zeros and of blocks that nothing uses, in a copy or in the image itself.
 * @throws ImageError usage E_COMPACT_TARGET unless exactly one of `output` and `inPlace` is said; unsupported
 * E_NOT_WRITABLE.
 */
export async function compact(path: string, options: CompactOptions): Promise<CompactResult> {
  wholeImage(path, 'compact works on a whole image')
  localFile(path, options)
  if ((options.output === undefined) === (options.inPlace !== true))
    throw usage('E_COMPACT_TARGET', 'say where the smaller image goes', {
      hint: '--output FILE makes a compacted copy; --in-place changes the image itself.',
    })
  const before = sizes(path, options)
  const target = options.output ?? path
  // An unfinished file is never taken for an image by its content: the copy's format is the image's.
  const { format, notes, several } = lookAt(path, options)
  if (several && options.output !== undefined)
    throw usage('E_COMPACT_TARGET', `${printable(path)} keeps its data in further files, which a copy does not have`, {
      hint: 'Use --in-place, or convert it: the new image has no space that nothing uses.',
    })
  const work = (file: string): Promise<Pick<CompactResult, 'format' | 'subformat' | 'zeros' | 'notes'>> =>
    compactFile(file, { ...options, from: format })
  const done =
    options.output === undefined
      ? await changingInPlace(
          () => 'The image is whole and holds the same disk; it was made smaller in part. Run it again to go on.',
          () => work(path),
        )
      : await changedCopy(path, options.output, work, {
          ...chainOptions(options),
          force: options.force,
          signal: options.signal,
          onProgress: options.onProgress,
        })
  const registry = options.registry ?? new Registry()
  const read =
    options.output === undefined ? [] : [...nameNotes(registry, options.output, registry.get(format)), ...notes]
  return {
    path,
    target,
    ...done,
    notes: [...read, ...done.notes],
    before,
    after: sizes(target, { ...options, from: format }),
  }
}

async function compactFile(
  path: string,
  options: CompactOptions,
): Promise<Pick<CompactResult, 'format' | 'subformat' | 'zeros' | 'notes'>> {
  using opened = openToChange(path, { ...readOptions(options), keepsContent: true })
  const { image } = opened
  refuseChild(path, opened.opened)
  const zeros = new ZeroRuns((offset, length) => image.discard(offset, length))
  // Reading and giving back go over the same table: what was given back is not met again.
  for await (const { offset, bytes } of storedPieces(image, 0, {
    signal: options.signal,
    onProgress: options.onProgress,
    phase: 'read',
  }))
    zeros.add(offset, bytes)
  zeros.end(image.capacity)
  image.flush()
  await closeHoles(image, { signal: options.signal, onProgress: options.onProgress }, () =>
    aborted('interrupted: the image is whole, and was made smaller in part', { hint: 'Run it again to go on.' }),
  )
  return {
    format: image.format,
    subformat: image.subformat,
    zeros: zeros.stored,
    notes: image.notes.filter(({ code }) => code === 'W_BITMAPS_DROPPED'),
  }
}

/**
 * Puts the zeros of pieces together, with what lies between pieces and is not stored: formats give back whole blocks
 * only.
 */
class ZeroRuns {
  /** Bytes of zeros that were stored. */
  stored = 0
  readonly #discard: (offset: number, length: number) => void
  #start: number | undefined = 0
  #inRun = 0
  #end = 0

  constructor(discard: (offset: number, length: number) => void) {
    this.#discard = discard
  }

  add(offset: number, bytes: Uint8Array): void {
    if (offset > this.#end) this.#start ??= this.#end
    for (let at = 0; at < bytes.length; at += unit) {
      const length = Math.min(unit, bytes.length - at)
      if (isZero(bytes, at, length)) {
        this.#start ??= offset + at
        this.#inRun += length
      } else this.#close(offset + at)
    }
    this.#end = offset + bytes.length
  }

  end(capacity: number): void {
    if (capacity > this.#end) this.#start ??= this.#end
    this.#close(capacity)
  }

  #close(offset: number): void {
    if (this.#start !== undefined && this.#inRun > 0) {
      this.#discard(this.#start, offset - this.#start)
      this.stored += this.#inRun
    }
    this.#start = undefined
    this.#inRun = 0
  }
}

/** @throws ImageError unsupported E_COMPACT_CHILD */
function refuseChild(path: string, { layers }: OpenedImage): void {
  if (layers.length === 1) return
  throw unsupported('E_COMPACT_CHILD', `${printable(path)} is a child: its zeros hide what its parents hold`, {
    hint: 'Make one image of the chain first: vdisk chain flatten.',
  })
}

/** The image's format, and whether something else writes to it. */
function lookAt(
  path: string,
  options: ReadOptions,
): { readonly format: string; readonly notes: readonly Note[]; readonly several: boolean } {
  using opened = openFile(path, readOptions(options))
  // Before anything is copied.
  refuseChild(path, opened)
  const { driver, files, notes } = opened.top
  return {
    format: driver.id,
    notes: notes.filter(({ code }) => code === 'W_IN_USE'),
    several: files.length > 1,
  }
}

/** Bytes of all files of an image, and what the filesystem holds for them. */
function sizes(path: string, options: ReadOptions): { readonly size: number; readonly allocated: number } {
  using opened = openFile(path, { ...readOptions(options), watch: undefined, chain: 'optional' })
  const { files } = opened.top
  return {
    size: files.reduce((sum, { size }) => sum + size, 0),
    allocated: files.reduce((sum, { allocated }) => sum + allocated, 0),
  }
}
