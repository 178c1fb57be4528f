import fs from '../../sys/host-fs.js'
import { perform, type Work, type WorkProgress } from '../../block/work.js'
import type { Progress } from '../../engine/progress.js'
import { aborted, isImageError, type ImageError } from '../../errors.js'
import type { Finding } from '../../formats/driver.js'
import type { Layer } from '../../formats/open.js'
import { FindingList, type FindingGroup, type Severity } from './findings.js'
import { problem, type Problem } from '../inspect/info.js'
import { wholeImage } from '../open/image-file.js'
import { readOptions, type ReadOptions, openDiskLater } from '../open/opening.js'
import { readStored } from './stored-data.js'
import { milliseconds } from '../../sys/clock.js'

export interface CheckImageOptions extends ReadOptions {
  /** Also read everything that is stored, and decode what is compressed. */
  readonly deep?: boolean
  /** How many findings of one code are kept of each image; further ones are counted. */
  readonly limit?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** What was found in one image of the chain. Sizes are bytes. */
export interface LayerCheck {
  readonly path: string
  readonly format: string
  readonly title: string
  readonly subformat: string
  readonly capacity: number
  readonly size: number
  /** Whether vdisk can check the structures of this format; without, only --deep says anything. */
  readonly checked: boolean
  /** Whether repairing images of the format is offered. */
  readonly repairable: boolean
  readonly counts: Readonly<Record<Severity, number>>
  /** Codes and how often each was found, errors first. */
  readonly groups: readonly FindingGroup[]
  /** Errors first, then leaks, then warnings; of each code the first ones only. */
  readonly findings: readonly Finding[]
}

export interface CheckResult {
  /** Every image of the chain is there, could be checked, and nothing was found. */
  readonly clean: boolean
  readonly deep: boolean
  readonly counts: Readonly<Record<Severity, number>>
  /** The image asked for, its parent, its parent's parent … */
  readonly layers: readonly LayerCheck[]
  /** Why the chain ends too early, or a data file could not be opened. */
  readonly missing?: Problem
  /** Why --deep could not read an image (encryption). */
  readonly unreadable?: Problem
  readonly seconds: number
}

const usualLimit = 100

/**
 * Checks every structure of an image and of its parents, and that they belong together. Nothing is written.
 * @throws ImageError when the image cannot be opened at all; aborted E_ABORTED.
 */
export async function check(path: string, options: CheckImageOptions = {}): Promise<CheckResult> {
  const { deep = false, limit = usualLimit } = options
  const begun = milliseconds()
  wholeImage(path, 'check looks at the structures of an image file; a partition has none of its own')
  using opened = await openDiskLater(path, { ...readOptions(options), chain: 'optional' }, { signal: options.signal })
  const turns = new Turns(options, opened.layers.map(sizeOf), deep)
  const layers: LayerCheck[] = []
  for (const [index, layer] of opened.layers.entries()) {
    const list = new FindingList(limit)
    turns.phase(index, 0)
    await checkStructures(layer, opened.layers[index + 1], { list, deep, turns })
    turns.phase(index, 1)
    if (deep && layer.image.unreadable === undefined) await turns.perform(readStored(layer, list))
    layers.push(layerCheck(layer, list))
  }
  turns.end()
  opened.assertUnchanged()
  const counts = { error: 0, leak: 0, warning: 0 }
  for (const layer of layers)
    for (const severity of ['error', 'leak', 'warning'] as const) counts[severity] += layer.counts[severity]
  const unreadable = deep
    ? opened.layers.find(({ image }) => image.unreadable !== undefined)?.image.unreadable
    : undefined
  const missing = problemOf(opened.missing) ?? missingFile(opened.layers)
  return {
    clean:
      counts.error + counts.leak + counts.warning === 0 &&
      missing === undefined &&
      unreadable === undefined &&
      layers.every(({ checked }) => checked),
    deep,
    counts,
    layers,
    missing,
    unreadable: problemOf(unreadable),
    seconds: (milliseconds() - begun) / 1000,
  }
}

/** The layer's own structures, how it fits its parent, and what the driver noted when it opened the image. */
async function checkStructures(
  layer: Layer,
  parent: Layer | undefined,
  { list, deep, turns }: { list: FindingList; deep: boolean; turns: Turns },
): Promise<void> {
  const { image } = layer
  try {
    const work = image.check?.({ deep })
    if (work !== undefined) await turns.perform(work, (finding) => list.add(finding))
    for (const { check: around } of layer.wrappings)
      if (around !== undefined) await turns.perform(around({ deep }), (finding) => list.add(finding))
    if (parent !== undefined)
      for (const finding of image.parentReference?.check?.(parent.image, timeOf(parent)) ?? []) list.add(finding)
  } catch (error) {
    // What the check could not get past is a finding as well: the others still count.
    if (!isImageError(error) || error.kind === 'aborted') throw error
    list.add({
      severity: 'error',
      code: error.code,
      structure: 'image',
      message: `the check could not go on: ${withoutName(error.message, layer.name)}`,
    })
  }
  for (const { code, message } of [...layer.notes, ...image.notes]) {
    if (!isMissing(code) && !list.hasLike(code))
      list.add({ severity: 'warning', code, structure: 'image', message: withoutName(message, layer.name) })
  }
}

/**
 * A further file that could not be opened is noted with its error's code, and is no finding: nothing is known of it.
 */
function missingFile(layers: readonly Layer[]): Problem | undefined {
  const note = layers.flatMap(({ notes }) => notes).find(({ code }) => isMissing(code))
  return note === undefined ? undefined : { kind: 'reference', code: note.code, message: note.message }
}

function isMissing(code: string): boolean {
  return code.startsWith('E_')
}

/** Messages of notes begin with the file's name, which stands above the findings already. */
function withoutName(message: string, name: string): string {
  return message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message
}

function layerCheck({ name, path, driver, image, wrappings, ...layer }: Layer, list: FindingList): LayerCheck {
  return {
    path: path ?? name,
    format: image.format,
    title: driver.title,
    subformat: image.subformat,
    capacity: image.capacity,
    size: sizeOf(layer),
    checked: image.check !== undefined,
    repairable: driver.repair !== undefined && wrappings.length === 0,
    counts: list.counts,
    groups: list.groups,
    findings: list.findings,
  }
}

function sizeOf({ files }: Pick<Layer, 'files'>): number {
  return files.reduce((sum, { size }) => sum + size, 0)
}

function timeOf({ path }: Layer): number | undefined {
  if (path === undefined) return undefined
  return Math.floor(fs.statSync(path).mtimeMs / 1000)
}

function problemOf(error: ImageError | undefined): Problem | undefined {
  return error === undefined ? undefined : problem(error)
}

/** Carries out the parts of a check, and says how far all of it is: in bytes of the chain's files. */
class Turns {
  readonly #options: CheckImageOptions
  readonly #sizes: readonly number[]
  /** How often each file is gone through. */
  readonly #rounds: number
  readonly #total: number
  #start = 0
  #size = 0

  constructor(options: CheckImageOptions, sizes: readonly number[], deep: boolean) {
    this.#options = options
    this.#sizes = sizes
    this.#rounds = deep ? 2 : 1
    this.#total = sizes.reduce((sum, size) => sum + size, 0) * this.#rounds
  }

  /** Begins with the structures (round 0) or the data (round 1) of a layer. */
  phase(layer: number, round: 0 | 1): void {
    this.#size = this.#sizes[layer] ?? 0
    this.#start =
      this.#sizes.slice(0, layer).reduce((sum, size) => sum + size, 0) * this.#rounds +
      (round === 1 && this.#rounds > 1 ? this.#size : 0)
  }

  end(): void {
    if (this.#total > 0) this.#options.onProgress?.({ phase: 'check', done: this.#total, total: this.#total })
  }

  /** @throws ImageError aborted E_ABORTED. */
  async perform(work: Work<void, Finding>, onFound?: (finding: Finding) => void): Promise<void> {
    await perform(work, {
      signal: this.#options.signal,
      onFound,
      onProgress: (progress) => this.#report(progress),
      interrupted: () => aborted('interrupted while checking', { hint: 'Nothing was changed.' }),
    })
  }

  #report({ done, total }: WorkProgress): void {
    const part = total > 0 ? Math.min(1, done / total) : 0
    // Whole only at the end of all.
    this.#options.onProgress?.({
      phase: 'check',
      done: Math.max(0, Math.min(this.#total - 1, this.#start + Math.floor(part * this.#size))),
      total: this.#total,
    })
  }
}
