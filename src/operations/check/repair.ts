import { watchWriters } from '../in-use/reading.js'
import { changingInPlace } from '../change/left-state.js'
import fs from '../../sys/host-fs.js'
import { DraftStore } from '../../block/draft-store.js'
import { FileStore } from '../../block/file-store.js'
import type { ByteStore, Note } from '../../block/types.js'
import { perform, type Work } from '../../block/work.js'
import { copy, type Progress } from '../../engine/index.js'
import { aborted, isImageError, unsupported, usage } from '../../errors.js'
import type { DiskImage, Finding, FormatDriver, OpenContext, OptionValues, RepairAction } from '../../formats/driver.js'
import { checkOptions } from '../../formats/options.js'
import { openFile, type ImageFile } from '../../formats/open.js'
import { detectFormat, ProbedFile } from '../../formats/probe.js'
import { Registry } from '../../formats/registry.js'
import { HostLocation } from '../../location/file.js'
import { fileId } from '../../location/location.js'
import { StreamLocation } from '../../location/stream.js'
import { nameNotes, targetFormat } from '../transfer/layout.js'
import { FurtherFiles, type RepairPlace } from './further-files.js'
import { FindingList, type FindingGroup, type Severity } from './findings.js'
import { imageIdentity } from '../transfer/identity.js'
import { guardChange } from '../in-use/guard.js'
import { localFile, wholeImage } from '../open/image-file.js'
import { checkTarget, TargetFiles } from '../transfer/target.js'
import { lastPart, realFolder } from '../../sys/host-path.js'
import { milliseconds } from '../../sys/clock.js'

export interface RepairOptions {
  readonly registry?: Registry
  /** The format's id; found from the content when left out. */
  readonly from?: string
  /** Options for reading, of the formats of the image and its parents. */
  readonly fromOptions?: OptionValues
  /** Where the repaired copy goes. */
  readonly output?: string
  /** Changes the image itself. */
  readonly inPlace?: boolean
  /** Replaces an existing output, when the copy is complete. */
  readonly force?: boolean
  /** Reports what would be done, and does it in memory only. */
  readonly dryRun?: boolean
  /** Changes or replaces a file although a loop device or a server shows it to others. */
  readonly allowInUse?: boolean
  /** Replaces an existing output although other images have it as their parent. */
  readonly allowOtherChildren?: boolean
  /** How many findings of one code are kept, and how many actions. */
  readonly limit?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface RepairResult {
  readonly image: { readonly path: string; readonly format: string; readonly title: string; readonly size: number }
  /** What was changed: the copy, or the image itself; neither by a dry run. Sizes are bytes. */
  readonly target?: { readonly path: string; readonly size: number; readonly allocated: number }
  readonly inPlace: boolean
  readonly dryRun: boolean
  /** What was done, or would be. The first ones only; `actionCount` is how many there are. */
  readonly actions: readonly RepairAction[]
  readonly actionCount: number
  /** What a check finds afterwards: it cannot be mended. */
  readonly remaining: {
    readonly counts: Readonly<Record<Severity, number>>
    readonly groups: readonly FindingGroup[]
    readonly findings: readonly Finding[]
  }
  readonly notes: readonly Note[]
  readonly seconds: number
}

type RepairingDriver = FormatDriver & Required<Pick<FormatDriver, 'repair'>>

const usualLimit = 100

/**
 * Mends what can be mended of an image without guessing, in a copy or in the image itself, and checks what comes of it.
 * @throws ImageError usage E_REPAIR_TARGET; unsupported E_NO_REPAIR; corrupt when nothing can be made of the image;
 * those of targets.
 */
export async function repair(path: string, options: RepairOptions = {}): Promise<RepairResult> {
  const begun = milliseconds()
  const { output, inPlace = false, dryRun = false } = options
  wholeImage(path, 'repair looks at the structures of an image file; a partition has none of its own')
  if (output !== undefined && inPlace)
    throw usage(
      'E_REPAIR_TARGET',
      'a repair is made either in a copy (--output FILE) or in the image itself (--in-place)',
    )
  if (output === undefined && !inPlace && !dryRun) {
    throw usage(
      'E_REPAIR_TARGET',
      'where is the repair to be made: in a copy (--output FILE), or in the image itself (--in-place)?',
      {
        hint:
          'A copy keeps the image as it is. In place there is no way back: if more is damaged than was ' +
          'found, or the machine fails meanwhile, the only copy suffers. --dry-run shows what would be done.',
      },
    )
  }
  const work = new Repair(localFile(path, options), options)
  const outcome = dryRun
    ? await work.dry()
    : output === undefined
      ? await changingInPlace(
          () => leftByRepair,
          () => work.inPlace(),
        )
      : await changingInPlace(
          () => undefined,
          () => work.copied(output),
        )
  return { ...outcome, inPlace, dryRun, seconds: (milliseconds() - begun) / 1000 }
}

const leftByRepair = 'What was done so far stays done, and left the image no worse; run the repair again to finish it.'

type Outcome = Omit<RepairResult, 'inPlace' | 'dryRun' | 'seconds'>

class Repair {
  readonly #path: string
  readonly #options: RepairOptions
  readonly #registry: Registry
  readonly #limit: number

  constructor(path: string, options: RepairOptions) {
    this.#path = path
    this.#options = options
    this.#registry = options.registry ?? new Registry()
    this.#limit = options.limit ?? usualLimit
  }

  /** The changes stay in memory. */
  async dry(): Promise<Outcome> {
    using source = FileStore.openRead(this.#path)
    const driver = this.#driver(source)
    const { output } = this.#options
    if (this.#options.inPlace === true) this.#guard(this.#path)
    if (output !== undefined) checkTarget(output, this.#options.force === true, this.#sources(source), this.#options)
    const writers = this.#writers(source)
    using draft = new DraftStore(source)
    const mended = await this.#mend('draft', draft, driver, source.size, output)
    const outcome = { ...mended, notes: [...writers, ...mended.notes] }
    this.#options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
    return outcome
  }

  async inPlace(): Promise<Outcome> {
    // A format that cannot be repaired is reported before the file is opened for changes.
    {
      using source = FileStore.openRead(this.#path)
      this.#driver(source)
    }
    this.#guard(this.#path)
    using store = FileStore.openWrite(this.#path)
    const driver = this.#driver(store)
    const outcome = await this.#mend('file', store, driver, store.size)
    store.flush()
    this.#options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
    return { ...outcome, target: { path: this.#path, size: store.size, allocated: this.#allocated(store) } }
  }

  async copied(output: string): Promise<Outcome> {
    const { force = false, signal, onProgress } = this.#options
    const registry = new Registry()
    const { driver: plain } = targetFormat(registry, output, registry.plain.id, {})
    const source = FileStore.openRead(this.#path)
    using bytes = plain.open(source, {
      options: {},
      openReference: () => undefined,
      self: new StreamLocation(source),
    })
    const driver = this.#driver(source)
    const sources = this.#sources(source)
    const writers = this.#writers(source)
    using files = new TargetFiles(checkTarget(output, force, sources, this.#options), { force, sources, durable: true })
    using writer = plain.create(
      files.store,
      { capacity: source.size, sectorSize: 512, identity: imageIdentity(undefined, undefined) },
      {},
      files,
    )
    await copy({ source: bytes, target: writer, signal, onProgress })
    writer.finish()
    const outcome = await this.#mend('copy', files.store, driver, source.size, output)
    const result = {
      ...outcome,
      target: { path: output, size: files.size, allocated: files.allocated },
      notes: [...writers, ...outcome.notes],
    }
    files.commit()
    onProgress?.({ phase: 'flush', done: 1, total: 1 })
    return result
  }

  /**
   * A repair is done for those that read an image too, and leaves its id: what its children show is what they could
   * not read before.
   */
  #guard(file: string): void {
    guardChange(file, 'changed', { ...this.#options, keepsChildren: true })
  }

  /** Who writes to the image while it is read. */
  #writers(source: FileStore): readonly Note[] {
    return this.#options.allowInUse === true ? [] : watchWriters()(this.#file(source), source.fd)
  }

  /** Lets the driver do what it can, and checks what comes of it. */
  async #mend(
    place: RepairPlace,
    store: ByteStore,
    driver: RepairingDriver,
    size: number,
    output?: string,
  ): Promise<Outcome> {
    using further = new FurtherFiles(this.#path, place, (file) => this.#guard(file))
    const context = this.#context(driver, further)
    const actions: RepairAction[] = []
    let actionCount = 0
    await this.#perform('repair', driver.repair(store, context), (action) => {
      if (actions.length < this.#limit) actions.push(action)
      actionCount++
    })
    store.flush()
    further.repairing = false
    // The image is not closed: it would close the store, which others still need.
    const image = driver.open(store, context)
    const list = await this.#check(image, store.name)
    return {
      image: { path: this.#path, format: driver.id, title: driver.title, size },
      actions,
      actionCount,
      remaining: { counts: list.counts, groups: list.groups, findings: list.findings },
      notes:
        output === undefined
          ? []
          : [...nameNotes(this.#registry, output, driver), ...elsewhere(image, this.#path, output)],
    }
  }

  async #check(image: DiskImage, name: string): Promise<FindingList> {
    const list = new FindingList(this.#limit)
    try {
      const work = image.check?.()
      if (work !== undefined) await this.#perform('check', work, (finding) => list.add(finding))
    } catch (error) {
      if (!isImageError(error) || error.kind === 'aborted') throw error
      list.add({
        severity: 'error',
        code: error.code,
        structure: 'image',
        message: `the check could not go on: ${error.message}`,
      })
    }
    for (const { code, message } of image.notes) {
      if (!list.hasLike(code))
        list.add({ severity: 'warning', code, structure: 'image', message: message.replace(`${name}: `, '') })
    }
    return list
  }

  #driver(store: ByteStore): RepairingDriver {
    const { from } = this.#options
    const driver =
      from === undefined
        ? detectFormat(new ProbedFile(store, this.#registry), lastPart(this.#path)).driver
        : this.#registry.get(from)
    if (canRepair(driver)) return driver
    const able = [...this.#registry].filter((known) => canRepair(known.driver)).map((known) => known.driver.id)
    throw unsupported('E_NO_REPAIR', `${store.name} is a ${driver.title}, which vdisk cannot repair`, {
      hint:
        `It can repair ${able.join(', ')}. If the image is of one of these and is too damaged to be ` +
        'recognised, say so with --from.',
    })
  }

  /** Nothing but the image itself is opened, and the files that it consists of. */
  #context(driver: FormatDriver, further: FurtherFiles): OpenContext {
    return {
      options: checkOptions(driver.openOptions ?? [], this.#options.fromOptions ?? {}, `reading ${driver.id}`),
      openReference: (wanted, at) =>
        driver.changesExtents === true && wanted.role === 'extent' ? further.open(wanted, at) : undefined,
      self: new HostLocation(this.#path),
    }
  }

  #file(store: FileStore): ImageFile {
    const stat = fs.fstatSync(store.fd, { bigint: true })
    return {
      path: this.#path,
      id: fileId({ device: stat.dev, inode: stat.ino }),
      role: 'image' as const,
      size: store.size,
      allocated: Number(stat.blocks) * 512,
      device: stat.dev,
      inode: stat.ino,
      mode: Number(stat.mode) % 0o1000,
    }
  }

  /** The image and all that it reads, as far as it can be opened: none of it is replaced. */
  #sources(store: FileStore): ImageFile[] {
    const own = this.#file(store)
    try {
      const { from, fromOptions } = this.#options
      using opened = openFile(this.#path, { registry: this.#registry, from, options: fromOptions, chain: 'optional' })
      return [own, ...opened.files]
    } catch (error) {
      if (!isImageError(error)) throw error
      return [own]
    }
  }

  #allocated(store: FileStore): number {
    return this.#file(store).allocated
  }

  /** @throws ImageError aborted E_ABORTED. */
  async #perform<Found extends object>(
    phase: 'repair' | 'check',
    work: Work<void, Found>,
    onFound: (found: Found) => void,
  ): Promise<void> {
    const { signal, onProgress, inPlace } = this.#options
    let found = 0
    await perform(work, {
      signal,
      onFound: (each: Found) => {
        found++
        onFound(each)
      },
      onProgress: ({ done, total }) => {
        // Whole is only what has been flushed.
        if (total > 0) onProgress?.({ phase, done: Math.min(done, total - 1), total })
      },
      interrupted: () =>
        aborted('interrupted while repairing', {
          hint: inPlace === true && phase === 'repair' && found > 0 ? leftByRepair : 'Nothing was changed.',
        }),
    })
  }
}

function canRepair(driver: FormatDriver): driver is RepairingDriver {
  return driver.repair !== undefined
}

/** Names that a copy in another folder takes with it are looked for from there. */
function elsewhere(image: DiskImage, path: string, output: string): Note[] {
  if (image.parentReference === undefined && (image.references ?? []).length === 0) return []
  if (realFolder(path) === realFolder(output)) return []
  return [
    {
      code: 'W_OTHER_FOLDER',
      message:
        'the copy lies in another folder than the image: a parent or data file that the image names without a ' +
        'full path is looked for there',
    },
  ]
}
