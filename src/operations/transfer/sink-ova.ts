import { corrupt, isImageError, printable, stopIfAborted, usage } from '../../errors.js'
import { FileStore } from '../../block/file-store.js'
import { perform } from '../../block/work.js'
import type { CopyResult } from '../../engine/index.js'
import { openStore, type OpenedImage } from '../../formats/open.js'
import type { Registry } from '../../formats/registry.js'
import { StreamLocation } from '../../location/stream.js'
import { lastPart } from '../../sys/host-path.js'
import { examine } from '../inspect/inspect.js'
import type { InUseOptions } from '../in-use/guard.js'
import {
  ApplianceFiles,
  archiveEnd,
  assertSameDisk,
  padding,
  streamDisk,
  type WrittenDisk,
} from './appliance/archive.js'
import { machinePlan, type MachineOptions, type MachinePlan } from './appliance/machine.js'
import type { Content, ContentOptions } from './content.js'
import { targetFormat, type TargetFormat } from './layout.js'
import { proveEqual, readingBack, type Written } from './proof.js'
import type { Output, Sink, SinkOptions, SinkStepName, Transferred } from './sink.js'
import { FileOutput, leftOf, placing } from './sink-file.js'
import { refuseReadFile, type OutputStream } from './sink-stream.js'
import type { Step } from './step.js'
import { TargetFiles, type TargetPlace } from './target.js'

/** What decides an OVA besides its disks. */
export interface ApplianceOptions extends SinkOptions, InUseOptions, Pick<ContentOptions, 'options' | 'parent'> {
  readonly appliance?: MachineOptions
}

/** What an OVA holds its disks as. @throws ImageError usage E_OPTIONS */
function diskFormat(registry: Registry, { options = {}, parent }: ApplianceOptions): TargetFormat {
  const { subformat = 'streamOptimized' } = options
  if (subformat !== 'streamOptimized')
    throw usage('E_OPTIONS', `the disks in an OVA are streamOptimized, not ${printable(String(subformat))}`)
  if (parent !== undefined) throw usage('E_OPTIONS', 'the disks in an OVA have no parents')
  return targetFormat(registry, undefined, 'vmdk', { ...options, subformat })
}

/** An OVA in a file. */
export class OvaOutput extends FileOutput {
  readonly formatId = 'ova'
  readonly takesDisks = true
  /** Disks are compressed while they go into the archive. */
  override readonly movesOnce = false
  readonly #options: ApplianceOptions

  constructor(path: string, options: ApplianceOptions) {
    super(path, options)
    this.#options = options
  }

  format(registry: Registry): TargetFormat {
    return diskFormat(registry, this.#options)
  }

  override sink(content: Content, further: readonly Content[] = []): Sink {
    const contents = [content, ...further]
    const sources = contents.flatMap(({ opened }) => opened.files)
    const stem = lastPart(this.path).replace(/\.ova$/i, '')
    return new OvaFile(planned(contents, stem, this.#options), this.place(sources), this.#options)
  }
}

/** An OVA to a stream. */
export class OvaStreamOutput implements Output {
  readonly formatId = 'ova'
  readonly takesDisks = true
  readonly name: string
  readonly path = undefined
  readonly formatName = undefined
  readonly #stream: OutputStream
  readonly #options: ApplianceOptions

  constructor(stream: OutputStream, options: ApplianceOptions) {
    this.name = stream.name ?? '-'
    this.#stream = stream
    this.#options = options
  }

  format(registry: Registry): TargetFormat {
    return diskFormat(registry, this.#options)
  }

  /** @throws ImageError usage E_STREAM */
  check(): void {
    if (this.#options.verify === true)
      throw usage('E_STREAM', 'a target that is a stream cannot be verified: it is gone when it is written')
  }

  checkPlace(): void {
    // It is there.
  }

  sink(content: Content, further: readonly Content[] = []): Sink {
    const contents = [content, ...further]
    refuseReadFile(this.#stream, contents)
    return new OvaStream(planned(contents, undefined, this.#options), this.#stream, this.#options)
  }
}

interface Planned {
  readonly machine: MachinePlan
  readonly files: ApplianceFiles
}

function planned(contents: readonly Content[], stem: string | undefined, options: ApplianceOptions): Planned {
  const [first] = contents
  if (first === undefined) throw new TypeError('an OVA has at least one disk')
  const machine = machinePlan(
    options.appliance ?? {},
    stem,
    first.format.options,
    contents.length,
    options.appliance?.firmware === undefined ? firmwareOf(first.opened) : undefined,
  )
  return { machine, files: new ApplianceFiles(machine, contents, first.shape.identity.time) }
}

/** What the disk starts with, where it is one alone; a disk that cannot be read says so when it is copied. */
function firmwareOf(opened: OpenedImage): 'bios' | 'uefi' | undefined {
  try {
    const { firmware } = examine(opened.name, opened).result.boot
    return firmware === 'bios' || firmware === 'uefi' ? firmware : undefined
  } catch (error) {
    if (!isImageError(error)) throw error
    return undefined
  }
}

function writeStep({ machine, files }: Planned, where: string, run: () => Promise<void>): Step<SinkStepName> {
  const { contents } = files
  const { cpus, memory, firmware, name, os } = machine
  return {
    name: 'write',
    message:
      `write ${where}: the machine ${printable(name)} (${cpus} CPU${cpus === 1 ? '' : 's'}, ` +
      `${memory / 2 ** 20} MiB, ${firmware === 'uefi' ? 'UEFI' : 'BIOS'}, ${os.type}), and ` +
      `${contents.length === 1 ? 'its disk' : `its ${contents.length} disks`} as stream-optimised VMDK`,
    run,
  }
}

function capacityOf({ files: { contents } }: Planned): number {
  const [first] = contents
  return first === undefined ? 0 : first.shape.capacity
}

function assertUnchanged({ files: { contents } }: Planned): void {
  for (const content of contents) content.assertUnchanged()
}

/** One pass: a disk goes to its place, then its header before it; what is in front of all comes last. */
class OvaFile implements Sink {
  readonly notes = []
  readonly #planned: Planned
  readonly #place: TargetPlace
  readonly #options: ApplianceOptions
  #files: TargetFiles | undefined
  #moved: CopyResult = { bytesRead: 0, bytesWritten: 0 }
  #result: Transferred | undefined

  constructor(plan: Planned, place: TargetPlace, options: ApplianceOptions) {
    this.#planned = plan
    this.#place = place
    this.#options = options
  }

  get capacity(): number {
    return capacityOf(this.#planned)
  }

  get result(): Transferred | undefined {
    return this.#result
  }

  get left(): string {
    return leftOf(this.#place)
  }

  get steps(): Step<SinkStepName>[] {
    const place = this.#place
    const name = printable(place.path)
    return [
      writeStep(this.#planned, `a new OVA beside ${name}, under a name of its own`, () => this.#write()),
      ...(this.#options.verify === true
        ? [
            {
              name: 'verify' as const,
              message: 'read the new OVA, check its manifest, and compare every byte of its disks with the sources',
              run: () => this.#verify(),
            },
          ]
        : []),
      { name: 'place', message: placing({ place, flush: this.#options.flush }), run: () => this.#commit() },
    ]
  }

  [Symbol.dispose](): void {
    this.#files?.[Symbol.dispose]()
  }

  async #write(): Promise<void> {
    const { files } = this.#planned
    const { force, flush, signal, onProgress } = this.#options
    const sources = files.contents.flatMap(({ opened }) => opened.files)
    this.#files = new TargetFiles(this.#place, { force: force === true, sources, durable: flush !== false })
    const { store } = this.#files
    const written: WrittenDisk[] = []
    let bytesRead = 0
    let end = files.head([]).length
    for (const [index, content] of files.contents.entries()) {
      const header = end
      end += files.diskHeader(index, 0).length
      const disk = await streamDisk(content, files.diskNames[index] ?? '', (bytes) => {
        store.write(end, bytes)
        end += bytes.length
        return Promise.resolve()
      })
      store.write(header, files.diskHeader(index, disk.size))
      const rest = padding(disk.size)
      if (rest.length > 0) store.write(end, rest)
      end += rest.length
      written.push(disk)
      bytesRead += disk.bytesRead
    }
    store.write(end, archiveEnd)
    store.write(0, files.head(written))
    this.#moved = { bytesRead, bytesWritten: store.size }
    stopIfAborted(signal)
    onProgress?.({ phase: 'flush', done: 0, total: 1 })
    store.flush()
  }

  get #open(): TargetFiles {
    if (this.#files === undefined) throw new TypeError('the OVA is not written')
    return this.#files
  }

  async #verify(): Promise<void> {
    const { files } = this.#planned
    for (const [index, content] of files.contents.entries()) {
      using image = this.#diskOf(index)
      const written: Written = { ...newFile, unchanged: () => content.assertUnchanged() }
      if (index === 0) await this.#verifyManifest(image, written)
      await proveEqual(content.disk, image, written, this.#options)
    }
  }

  /** One disk of what was written, opened afresh. */
  #diskOf(index: number): OpenedImage {
    const store = FileStore.openRead(this.#open.partialPath)
    return openStore(store, new StreamLocation(store, `number:${index + 1}`))
  }

  async #verifyManifest({ top: { wrappings } }: OpenedImage, written: Written): Promise<void> {
    const { signal } = this.#options
    await readingBack(written, async () => {
      for (const { check } of wrappings)
        if (check !== undefined)
          await perform(check({ deep: true }), {
            signal,
            onFound: ({ code, message }) => {
              throw corrupt(code, message)
            },
          })
    })
  }

  #commit(): void {
    const files = this.#open
    assertUnchanged(this.#planned)
    const { size, allocated } = files
    files.commit()
    this.#options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
    this.#result = { ...this.#moved, size, allocated }
  }
}

const newFile: Written = {
  name: 'the new OVA',
  mismatchHint: 'The new file was removed. Check the memory of the computer and the disk that it was written to.',
  unreadableHint: 'The new file was removed. Please report this.',
}

/** Two passes: sizes and digests stand in front, so the first pass compresses the disks only to learn them. */
class OvaStream implements Sink {
  readonly notes = []
  readonly #planned: Planned
  readonly #target: OutputStream
  readonly #options: ApplianceOptions
  #result: Transferred | undefined

  constructor(plan: Planned, target: OutputStream, options: ApplianceOptions) {
    this.#planned = plan
    this.#target = target
    this.#options = options
  }

  get capacity(): number {
    return capacityOf(this.#planned)
  }

  get result(): Transferred | undefined {
    return this.#result
  }

  get steps(): Step<SinkStepName>[] {
    const { name = 'the target' } = this.#target
    return [writeStep(this.#planned, `an OVA to ${name}, from its first byte to its last`, () => this.#write())]
  }

  [Symbol.dispose](): void {
    // The stream is the caller's.
  }

  async #write(): Promise<void> {
    const { files } = this.#planned
    const measured: WrittenDisk[] = []
    for (const [index, content] of files.contents.entries())
      measured.push(await streamDisk(content, files.diskNames[index] ?? '', () => Promise.resolve()))
    let bytesWritten = 0
    let bytesRead = 0
    const give = async (bytes: Uint8Array): Promise<void> => {
      bytesWritten += bytes.length
      if (bytes.length > 0) await this.#target.output(bytes)
    }
    await give(files.head(measured))
    for (const [index, content] of files.contents.entries()) {
      await give(files.diskHeader(index, measured[index]?.size ?? 0))
      const disk = await streamDisk(content, files.diskNames[index] ?? '', give)
      assertSameDisk(measured[index], disk, content)
      await give(padding(disk.size))
      bytesRead += disk.bytesRead
    }
    await give(archiveEnd)
    assertUnchanged(this.#planned)
    this.#options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
    this.#result = { bytesRead, bytesWritten }
  }
}
