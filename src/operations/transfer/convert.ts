import type { Note } from '../../block/types.js'
import {
  aborted,
  firstError,
  isImageError,
  printable,
  targetError,
  usage,
  withFurtherHint,
  type ImageError,
} from '../../errors.js'
import { RateLimit } from '../../engine/index.js'
import { Registry } from '../../formats/registry.js'
import type { PlatformChoice } from '../platform/choice.js'
import type { ReadingForward } from '../../formats/member-file.js'
import { sourceInfo, type Forward, type SourceInfo } from '../open/opening.js'
import { readingForward } from '../open/reading-forward.js'
import type { MachineOptions } from './appliance/machine.js'
import { openContent, type Content, type ContentOptions } from './content.js'
import { tryLayout, type TargetFormat } from './layout.js'
import { compressorFact, formatFacts, optionFacts, sourceFacts } from '../resume/facts.js'
import { resumable } from '../resume/resumable.js'
import { hasJournal, type FileSession } from '../resume/file-session.js'
import { UploadSession } from '../resume/upload-session.js'
import type { GivenFacts, SessionEnd } from '../resume/journaled-target.js'
import { madeDifference, writeMadeRecord } from './made-record.js'
import fs from '../../sys/host-fs.js'
import { runSink, type Output, type SinkStepName } from './sink.js'
import { choiceFor, platformFit, platformPacking, platformResult, type PlatformResult } from './for-platform.js'
import { FileOutput, leftOf } from './sink-file.js'
import { namedTarget, outputOf, usualFormat, type TargetOutput } from './target-output.js'
import { imageIdentity } from './identity.js'
import type { ImageTarget } from './image-target.js'
import { sourceOf, type Source, type SourceInput } from './source.js'
import { planOf, type PlanStep } from './step.js'
import { UnpackedTarget } from './unpacked-target.js'
import type { VolumeUsage } from './used-only.js'
import { milliseconds } from '../../sys/clock.js'

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
  /**
   * Keeps a journal beside the unfinished target, and goes on with what an earlier run of the same conversion left
   * (docs/resuming.md).
   */
  readonly resume?: boolean
  readonly forgetLater?: SessionEnd['forgetLater']
  /**
   * `same`: a target that is there, and whose record (`TARGET.made.json`) says that it was made of the same source with
   * the same options, is taken for done. A record is written for each target that is made so.
   */
  readonly ifExists?: 'same'
  /** Version of the program: another one does not go on with what this one began. */
  readonly toolVersion?: string
  /** The id of a platform (`azure-gen2`): format, options, size and packing are what it takes. */
  readonly for?: string
  /** Of an OVA: the machine that it describes. */
  readonly appliance?: MachineOptions
  /** Of an OVA: images of the machine's further disks. */
  readonly addDisks?: readonly string[]
}

export interface ConvertResult {
  readonly source: SourceInfo & { readonly sectorSize: number }
  readonly target: ImageTarget
  /** What is done, in order, or would be. */
  readonly steps: readonly PlanStep<SinkStepName>[]
  /** Guest bytes read, and host bytes written. */
  readonly bytesRead: number
  readonly bytesWritten: number
  /** What each partition was read as, when only what is in use was wanted. */
  readonly volumes?: readonly VolumeUsage[]
  readonly verified: boolean
  /** Bytes of the disk, or of an upload, that an earlier run had copied, with {@link ConvertOptions.resume}. */
  readonly resumed?: number
  /** The target was there already, and is what would have been made, with {@link ConvertOptions.ifExists}. */
  readonly already?: boolean
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
  const opened = sourceOf(source)
  try {
    return await convertFrom(opened, target, options)
  } catch (error) {
    opened.leave?.()
    throw error
  }
}

/** The same of a disk that an operation puts together. */
export async function convertFrom(
  source: Source,
  target: TargetOutput,
  options: ConvertOptions,
): Promise<ConvertResult> {
  const given = { ...options, registry: options.registry ?? new Registry() }
  if (options.resume === true || options.ifExists !== undefined) return await convertGoingOn(source, target, given)
  const convertOnce = async (forward?: ReadingForward): Promise<ConvertResult> =>
    await new Conversion(source, target, { ...given, forward }).run()
  // Standard input cannot be read a second time, and filesystems are read at any place.
  if (source.arrives === true || options.usedOnly !== undefined) return await convertOnce()
  const place = typeof target === 'string' ? given.registry.schemes.locate(target) : undefined
  if (place?.path !== undefined) return await readingForward(convertOnce)
  // What was given out is gone: it has to be known before that the stream is whole. Other formats read twice.
  const name = place?.name ?? place?.upload?.().fileName
  const named = name === undefined ? given.registry.plain : given.registry.forExtension(name)
  const isRaw = (options.to === undefined ? named : given.registry.find(options.to))?.plain === true
  return isRaw ? await readingForward(convertOnce, { surveyed: true }) : await convertOnce()
}

/** Into a target whose state counts: what is there already, or was begun. */
async function convertGoingOn(
  source: Source,
  target: TargetOutput,
  options: ConvertOptions & { readonly registry: Registry },
): Promise<ConvertResult> {
  const once = async (more: Partial<ConvertOptions> & Resuming): Promise<ConvertResult> =>
    await new Conversion(source, target, { ...options, ...more }).run()
  const place = typeof target === 'string' ? options.registry.schemes.locate(target) : undefined
  if (source.arrives === true) throw notResumable()
  if (place?.upload !== undefined) {
    if (options.ifExists !== undefined)
      throw usage('E_RESUME', `${place.label}: --if-exists compares with a record that lies beside a file`, {
        hint: 'Leave it out: what stands at an address is not replaced, whatever it is.',
      })
    if (options.dryRun === true) return await once({})
    using upload = new UploadSession(place)
    return await once({ upload })
  }
  const path = place?.path
  if (path === undefined) throw notResumable()
  if (options.dryRun === true) return await once({})
  /** The same where the file is there: only what is known of it. */
  const found = async (more: Resuming): Promise<ConvertResult> => {
    const planned = await once({ ...more, dryRun: true, force: true })
    const { size, blocks } = fs.statSync(path)
    return { ...planned, dryRun: false, already: true, target: { ...planned.target, size, allocated: blocks * 512 } }
  }
  const same = options.ifExists === 'same' && fs.existsSync(path)
  if (same && !hasJournal(path)) return await found({ assertSame: path })
  if (options.resume !== true) return await once({})
  const { result, notes, recorded } = await resumable(
    path,
    { durable: options.flush !== false, forgetLater: options.forgetLater },
    // The name was the last thing to be done.
    async (session) => await (session.isPlaced ? found({ records: path }) : once({ session })),
  )
  return { ...result, resumed: recorded, notes: [...notes, ...result.notes] }
}

function notResumable(): ImageError {
  return usage('E_RESUME', '--resume and --if-exists are for conversions of images into image files', {
    hint: 'Leave them out for streams, NBD exports, appliances and targets that are packed.',
  })
}

interface Resuming {
  readonly session?: FileSession
  readonly upload?: UploadSession
  /** A target that is there, and must be what would be made. */
  readonly assertSame?: string
  /** A target that is in place, whose record may be missing. */
  readonly records?: string
}

/** @throws ImageError target E_EXISTS where a file is not what would be made. */
function assertMade(path: string, facts: GivenFacts): void {
  const difference = madeDifference(path, facts)
  if (difference === undefined) return
  throw targetError(
    'E_EXISTS',
    `the target ${printable(path)} exists already, and may be another image: ${difference}`,
    {
      hint: 'Use --force to replace it; it stays whole until the new one is complete.',
    },
  )
}

function withUnpacking(
  forward: ReadingForward | undefined,
  unpacked: UnpackedTarget | undefined,
): ReadingForward | undefined {
  if (forward === undefined || unpacked === undefined) return forward
  return { ...forward, unpack: (content) => unpacked.take(content) }
}

/** An interruption says what is left at the target, where something was begun there. */
async function sayingLeft<T>(opening: Promise<T>, unpacked: UnpackedTarget | undefined): Promise<T> {
  try {
    return await opening
  } catch (error) {
    if (unpacked?.place === undefined || !isImageError(error) || error.kind !== 'aborted') throw error
    throw aborted(error.message, { hint: leftOf(unpacked.place), cause: error })
  }
}

class Conversion {
  readonly #source: Source
  readonly #output: Output
  readonly #format: TargetFormat
  readonly #options: ConvertOptions & Forward & Resuming & { readonly registry: Registry }
  readonly #choice: PlatformChoice | undefined
  readonly #started = milliseconds()
  /** Whether the target has its name: what fails afterwards does not take it away. */
  #isPlaced = false

  constructor(
    source: Source,
    target: TargetOutput,
    options: ConvertOptions & Forward & Resuming & { readonly registry: Registry },
  ) {
    this.#source = source
    this.#options = options
    // Platforms and what fits disks to them are loaded for those who ask.
    const choice =
      options.for === undefined ? undefined : choiceFor(options.for, namedTarget(target, options.registry), options)
    const { to = options.to, options: chosen = options.options ?? {} } = choice ?? {}
    this.#choice = choice
    this.#output = outputOf(target, options, choice?.packed === true ? platformPacking(choice.platform) : undefined)
    this.#format = this.#output.format?.(options.registry) ?? usualFormat(this.#output, options.registry, to, chosen)
    if (this.#output.takesDisks !== true && (options.appliance !== undefined || options.addDisks !== undefined))
      throw usage('E_OPTIONS', 'only an OVA describes a machine and takes several disks', {
        hint: 'Name the target .ova, or use --to ova.',
      })
    this.#output.check()
    const goesOn = this.#output instanceof FileOutput || this.#output.isRemote === true
    if ((options.resume === true || options.ifExists !== undefined) && !goesOn) throw notResumable()
  }

  async run(): Promise<ConvertResult> {
    try {
      return await this.#run()
    } catch (thrown) {
      const error = firstError(thrown)
      if (!this.#isPlaced || !isImageError(error)) throw error
      throw withFurtherHint(error, 'The new image is complete and in place.', thrown)
    }
  }

  async #run(): Promise<ConvertResult> {
    const { dryRun = false, verify } = this.#options
    // A target that cannot be made is reported before a long read from a pipe; a source with a path is first compared
    // with the target.
    if (this.#source.arrives === true || this.#output.isRemote === true) await this.#output.checkPlace()
    const choice = this.#choice
    const { session, upload, ifExists, records, uuid, time } = this.#options
    const { identity } = session ?? upload ?? {}
    using unpacked = this.#unpackedTarget()
    const opening = openContent(this.#source, this.#output.path, this.#format, {
      ...this.#options,
      forward: withUnpacking(this.#options.forward, unpacked),
      uuid: uuid ?? identity?.uuid,
      time: time ?? identity?.time,
      fit: choice === undefined ? undefined : platformFit(choice.platform, this.#source.name),
      movesOnce: this.#movesOnce,
    })
    using content = await sayingLeft(opening, unpacked)
    const facts = this.#begin(content)
    upload?.begin(content.shape.identity)
    const further = await this.#further()
    try {
      const result = await this.#transfer(content, further, dryRun, verify)
      this.#isPlaced = !dryRun
      const made = records ?? (dryRun ? undefined : this.#output.path)
      if (facts !== undefined && ifExists === 'same' && made !== undefined) writeMadeRecord(made, facts)
      session?.finished()
      return result
    } finally {
      for (const each of further) each[Symbol.dispose]()
    }
  }

  /**
   * Where a stream whose size is not known is unpacked: a new raw file that is to hold all of it, as it is. What is
   * verified is decoded a second time anyway.
   */
  #unpackedTarget(): UnpackedTarget | undefined {
    const { forward, dryRun, verify, size, sparse, parent, snapshot, usedOnly, for: platform } = this.#options
    const { session, records, ifExists, flush, rate, signal, onProgress } = this.#options
    const { driver, options } = this.#format
    const output = this.#output
    const isNew = dryRun !== true && [session, records, ifExists].every((option) => option === undefined)
    const isAsItIs = [size, sparse, parent, snapshot, usedOnly, platform].every((option) => option === undefined)
    const isPlain = driver.plain === true && options['preallocation'] !== 'full'
    if (!(output instanceof FileOutput) || !output.takesUnpacked || this.#source.isWhole !== true) return undefined
    if (forward === undefined || !isNew || !isAsItIs || !isPlain || verify === true) return undefined
    output.unpacked = new UnpackedTarget((sources) => output.place(sources), {
      flush,
      rate: RateLimit.of(rate),
      signal,
      onProgress,
    })
    return output.unpacked
  }

  /** Whether the content is moved in this run, and not a second time. */
  get #movesOnce(): boolean {
    const { dryRun, session, records } = this.#options
    return this.#output.movesOnce === true && dryRun !== true && session === undefined && records === undefined
  }

  /** What decides the bytes of the target, held against what is there; only where that is asked for. */
  #begin(content: Content): GivenFacts | undefined {
    const { session, ifExists, assertSame } = this.#options
    if (session === undefined && ifExists === undefined) return undefined
    const facts = this.#facts(content)
    if (assertSame !== undefined) assertMade(assertSame, facts)
    session?.begin(facts)
    return facts
  }

  #facts({ opened, parent, shape, format }: Content): GivenFacts {
    const { from, fromOptions, snapshot, sparse, size, usedOnly, parent: base, toolVersion = '' } = this.#options
    return {
      version: toolVersion,
      identity: { uuid: shape.identity.uuid, time: shape.identity.time },
      source: sourceFacts([...opened.files, ...(parent?.opened.files ?? [])], opened.capacity),
      options: optionFacts({
        from,
        'from-option': fromOptions,
        snapshot,
        part: opened.part,
        to: format.driver.id,
        option: formatFacts(format.options),
        for: this.#options.for,
        'sector-size': shape.sectorSize,
        size,
        sparse,
        parent: base,
        'used-only': usedOnly,
        compressor: compressorFact(tryLayout(format, shape).packedUnit),
      }),
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
      resumed: this.#options.upload === undefined ? undefined : sink.resumed,
      platform:
        choice === undefined
          ? undefined
          : platformResult(choice, this.#output.path, this.#format.driver.id, {
              capacity,
              sectorSize: shape.sectorSize,
              size,
              next: this.#output.next?.(choice.platform.id),
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
