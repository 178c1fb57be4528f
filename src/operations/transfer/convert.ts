import type { Note } from '../../block/types.js'
import { usage } from '../../errors.js'
import { Registry } from '../../formats/registry.js'
import { NbdLocation } from '../../location/nbd.js'
import type { PlatformChoice } from '../platform/choice.js'
import type { ReadingForward } from '../../formats/member-file.js'
import { sourceInfo, type Forward, type SourceInfo } from '../open/opening.js'
import { readingForward } from '../open/reading-forward.js'
import type { MachineOptions } from './appliance/machine.js'
import { openContent, type Content, type ContentOptions } from './content.js'
import { targetFormat, type TargetFormat } from './layout.js'
import { runSink, type Output, type SinkStepName } from './sink.js'
import { ArchiveStream } from './archive-stream.js'
import {
  archiveContainer,
  choiceFor,
  platformArchive,
  platformFit,
  platformResult,
  type PlatformResult,
} from './for-platform.js'
import { CompressedOutput, compressedTarget, type Archive } from './sink-compressed.js'
import { ExportOutput } from './sink-export.js'
import { FileOutput } from './sink-file.js'
import { OvaOutput, OvaStreamOutput } from './sink-ova.js'
import { StreamOutput, type OutputStream } from './sink-stream.js'
import { imageIdentity } from './identity.js'
import { sourceOf, type Source, type SourceInput } from './source.js'
import { planOf, type PlanStep } from './step.js'
import type { VolumeUsage } from './used-only.js'
import { milliseconds } from '../../sys/clock.js'

/**
 * Where an image goes: a path, the URI of an NBD export (which gets the disk's bytes), or something that takes its
 * bytes in order (standard output).
 */
export type TargetOutput = string | OutputStream

export interface ConvertOptions extends ContentOptions {
  /** Replaces an existing target, when the new one is complete. */
  readonly force?: boolean
  /**
   * Waits until the medium has everything before the image gets its name; default yes. Without it a power cut soon
   * after may lose the image.
   */
  readonly flush?: boolean
  /** Opens what was written afresh and compares every guest byte before the image gets its name. */
  readonly verify?: boolean
  /** Checks everything and writes nothing. */
  readonly dryRun?: boolean
  /** The id of a platform (`azure-gen2`): format, options, size and packing are what it takes. */
  readonly for?: string
  /** Of an OVA: the machine that it describes. */
  readonly appliance?: MachineOptions
  /** Of an OVA: images of the machine's further disks. */
  readonly addDisks?: readonly string[]
}

export interface ConvertResult {
  readonly source: SourceInfo & { readonly sectorSize: number }
  /**
   * `size` is bytes of the new files, `allocated` those that the filesystem holds for them; neither is known of a dry
   * run.
   */
  readonly target: {
    readonly path: string
    readonly format: string
    readonly capacity: number
    readonly sectorSize: number
    readonly size?: number
    readonly allocated?: number
  }
  /** What is done, in order, or would be. */
  readonly steps: readonly PlanStep<SinkStepName>[]
  /** Guest bytes read, and host bytes written. */
  readonly bytesRead: number
  readonly bytesWritten: number
  /** What each partition was read as, when only what is in use was wanted. */
  readonly volumes?: readonly VolumeUsage[]
  readonly verified: boolean
  /** What it was made for, and what to do next. */
  readonly platform?: PlatformResult
  readonly dryRun: boolean
  readonly notes: readonly Note[]
  readonly seconds: number
}

/**
 * Converts the image `source` into a new image `target`. The source is only read. The target appears under its name
 * when it is complete;
 * on any failure nothing new is left, and what stood there is untouched.
 * @throws ImageError of every kind; see docs/architecture.md, "Errors".
 */
export async function convert(
  source: SourceInput,
  target: TargetOutput,
  options: ConvertOptions = {},
): Promise<ConvertResult> {
  return await convertFrom(sourceOf(source), target, options)
}

/** The same of a disk that an operation puts together. */
export async function convertFrom(
  source: Source,
  target: TargetOutput,
  options: ConvertOptions,
): Promise<ConvertResult> {
  const given = { ...options, registry: options.registry ?? new Registry() }
  const convertOnce = async (forward?: ReadingForward): Promise<ConvertResult> =>
    await new Conversion(source, target, { ...given, forward }).run()
  // Standard input cannot be read a second time, and filesystems are read at any place.
  if (source.arrives === true || options.usedOnly !== undefined) return await convertOnce()
  if (typeof target === 'string' && given.registry.schemes.locate(target).path !== undefined)
    return await readingForward(convertOnce)
  // What was given out is gone: it has to be known before that the stream is whole. Other formats read twice.
  const isRaw = options.to === undefined || given.registry.find(options.to)?.plain === true
  return isRaw ? await readingForward(convertOnce, { surveyed: true }) : await convertOnce()
}

class Conversion {
  readonly #source: Source
  readonly #output: Output
  readonly #format: TargetFormat
  readonly #options: ConvertOptions & Forward & { readonly registry: Registry }
  readonly #choice: PlatformChoice | undefined
  readonly #started = milliseconds()

  constructor(
    source: Source,
    target: TargetOutput,
    options: ConvertOptions & Forward & { readonly registry: Registry },
  ) {
    this.#source = source
    this.#options = options
    // Platforms and what fits disks to them are loaded for those who ask.
    const choice = options.for === undefined ? undefined : choiceFor(options.for, target, options)
    const { to = options.to, options: chosen = options.options ?? {} } = choice ?? {}
    this.#choice = choice
    this.#output = outputOf(target, options, choice?.packed === true ? platformArchive(choice.platform) : undefined)
    this.#format =
      this.#output.format?.(options.registry) ?? targetFormat(options.registry, this.#output.formatName, to, chosen)
    if (this.#output.takesDisks !== true && (options.appliance !== undefined || options.addDisks !== undefined))
      throw usage('E_OPTIONS', 'only an OVA describes a machine and takes several disks', {
        hint: 'Name the target .ova, or use --to ova.',
      })
    this.#output.check()
  }

  async run(): Promise<ConvertResult> {
    const { dryRun = false, verify } = this.#options
    // A target that cannot be made is reported before a long read from a pipe; a source with a path is first compared
    // with the target.
    if (this.#source.arrives === true) this.#output.checkPlace()
    const choice = this.#choice
    using content = await openContent(this.#source, this.#output.path, this.#format, {
      ...this.#options,
      fit: choice === undefined ? undefined : platformFit(choice.platform, this.#source.name),
    })
    const further = await this.#further()
    try {
      return await this.#transfer(content, further, dryRun, verify)
    } finally {
      for (const each of further) each[Symbol.dispose]()
    }
  }

  /** The further disks of an OVA: as they are, whole. */
  async #further(): Promise<readonly Content[]> {
    const contents: Content[] = []
    const own = { from: undefined, fromOptions: undefined, size: undefined, snapshot: undefined }
    const options = { ...this.#options, ...own }
    try {
      for (const [index, disk] of (options.addDisks ?? []).entries()) {
        // Each disk has ids of its own.
        const uuid =
          options.uuid === undefined
            ? undefined
            : imageIdentity(options.uuid).derive(`disk ${index + 2} of the machine`)
        contents.push(await openContent(sourceOf(disk), this.#output.path, this.#format, { ...options, uuid }))
      }
    } catch (error) {
      for (const each of contents) each[Symbol.dispose]()
      throw error
    }
    return contents
  }

  async #transfer(
    content: Content,
    further: readonly Content[],
    dryRun: boolean,
    verify: boolean | undefined,
  ): Promise<ConvertResult> {
    const choice = this.#choice
    const sink = this.#output.sink(content, further)
    await runSink(sink, dryRun)
    const { bytesRead = 0, bytesWritten = 0, size, allocated } = sink.result ?? {}
    const { opened, shape, used } = content
    const { capacity } = sink
    return {
      source: { ...sourceInfo(this.#source.name, opened), sectorSize: opened.sectorSize },
      target: {
        path: this.#output.name,
        format: this.#output.formatId ?? this.#format.driver.id,
        sectorSize: shape.sectorSize,
        capacity,
        size,
        allocated,
      },
      steps: planOf(sink.steps),
      bytesRead,
      bytesWritten,
      volumes: used?.volumes,
      verified: verify === true && !dryRun,
      platform:
        choice === undefined
          ? undefined
          : platformResult(choice, this.#output.path, this.#format.driver.id, {
              capacity,
              size,
              table: content.fitted?.mends ?? [],
            }),
      dryRun,
      notes: [
        ...(choice?.notes ?? []),
        ...content.notes(sink.given ?? capacity),
        ...further.flatMap((each) => each.notes(each.shape.capacity)),
        ...sink.notes,
      ],
      seconds: (milliseconds() - this.#started) / 1000,
    }
  }
}

/** What a target is, by its address. @throws ImageError usage E_NBD_URI, E_TARGET. */
function outputOf(
  target: TargetOutput,
  options: ConvertOptions & { readonly registry: Registry },
  archive: Archive | undefined,
): Output {
  if (typeof target !== 'string') {
    if (options.to === 'ova') return new OvaStreamOutput(target, options)
    return archive === undefined ? new StreamOutput(target, options) : new ArchiveStream(target, archive, options)
  }
  const { schemes } = options.registry
  const location = schemes.locate(target)
  if (location instanceof NbdLocation) return new ExportOutput(location, options)
  if (location.path === undefined)
    throw usage('E_TARGET', `the target ${location.label} is ${schemes.of(target).title}, which is only read`, {
      hint: 'Give the name of a file as the target.',
    })
  if (options.to === 'ova' || (options.to === undefined && /\.ova$/i.test(target)))
    return new OvaOutput(target, options)
  const packed =
    archive === undefined ? compressedTarget(target) : { container: archiveContainer(), inner: target, archive }
  return packed === undefined ? new FileOutput(target, options) : new CompressedOutput(target, packed, options)
}
