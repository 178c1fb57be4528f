import { isZero } from '../../binary/zero.js'
import { ConcatenatedSource } from '../../block/concatenated.js'
import { LinearTarget } from '../../block/linear-target.js'
import { MaskedSource } from '../../block/masked.js'
import type { RunMap } from '../../block/run-map.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, ByteStore } from '../../block/types.js'
import { ZeroSource } from '../../block/zero.js'
import { DeviceSource } from '../../device/source.js'
import { copy, RateLimit, type CopyJournal, type CopyResult, type Progress } from '../../engine/index.js'
import { ImageError, isImageError, refused, stopIfAborted, targetError } from '../../errors.js'
import type { DeviceSession } from '../resume/device-session.js'
import { DiskDigests } from './disk-digests.js'
import { mismatch, proveDigest, proveEqual, type Written } from './proof.js'
import type { Step } from './step.js'
import { ZeroQueue } from './zero-queue.js'

/** A device open for writing, by nobody else. */
export interface WritableDevice extends ByteStore {
  readonly sectorSize: number
  zero(position: number, length: number): void
}

/** Bytes at both ends of a device in which systems look for tables, filesystems and their copies. */
export const edgeLength = 1048576
/** Zeros are looked for in pieces of this many bytes: shorter ones are written. */
const zeroUnit = 1048576

export interface DeviceWriting {
  /** The device, for messages: `/dev/sdb`. */
  readonly name: string
  /** Bytes of the device. */
  readonly size: number
  /** Opens the device, and makes sure that it is the right one. The sink closes it. */
  readonly open: () => Promise<WritableDevice> | WritableDevice
  /** What the device is to read as, all of it. */
  readonly source: BlockSource
  /**
   * Where what is written ends; what is behind it is left alone, but for the last mebibyte. A multiple of the device's
   * sector.
   */
  readonly end: number
  /** What of the body is written, in whole sectors; what is between keeps what it has. Left out: all of it. */
  readonly mapped?: RunMap
  /**
   * Reads everything back, past the page cache: compares it with the source, read again, or with the digest of what was
   * read, where the source changes.
   */
  readonly verify: 'source' | 'digest' | 'no'
  /**
   * Makes sure that the source is what it was: asked before the ends are written, and before a difference is called a
   * fault of the disk. @throws ImageError corrupt E_SOURCE_CHANGED.
   */
  readonly unchanged?: () => void
  /** What is changed of the source where the ends are written, for the plan. */
  readonly changes?: readonly string[]
  /** Bytes of the source's end that are left out, for the plan. */
  readonly cut?: number
  /** Called when nothing can be found on the device any more. */
  readonly onCleared?: (store: WritableDevice) => void
  /** What an earlier run wrote, and what a later one can go on with. */
  readonly resume?: DeviceSession
  /** Most bytes that are written a second. */
  readonly rate?: number
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** Bytes. */
export interface DeviceWritten {
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly bytesZeroed: number
  readonly verified: boolean
}

export type DeviceStepName = 'open' | 'clear' | 'write' | 'verify' | 'finish'

/**
 * Writes a device so that at any moment before the end nothing on it can be taken for a disk or a filesystem: both ends
 * are cleared first and written last, when everything between them is on the medium, and compared.
 *
 * A step throws ImageError: target, with the offset; mismatch E_MISMATCH, E_VERIFY; aborted E_ABORTED; those of reading
 * the source. After `clear` the device is unusable then, and the hint says what is left on it.
 */
export class DeviceSink implements Disposable {
  readonly #writing: DeviceWriting
  readonly #edges: Edges
  readonly #body: BlockSource
  readonly #digests: DiskDigests | undefined
  readonly #written: Written
  #store: WritableDevice | undefined
  #ends: { readonly head: Uint8Array; readonly tail: Uint8Array } | undefined
  #moved: Omit<DeviceWritten, 'verified'> = { bytesRead: 0, bytesWritten: 0, bytesZeroed: 0 }
  #left: Left = 'present'

  constructor(writing: DeviceWriting) {
    const { name, size, end, source, verify, unchanged } = writing
    this.#writing = writing
    this.#edges = edgesOf(size)
    const { head, tail } = this.#edges
    const bodyEnd = Math.min(Math.max(end, head), tail)
    this.#body = this.#mapped(
      new ConcatenatedSource(
        [new ZeroSource(head, source.sectorSize), new SliceSource(source, head, bodyEnd - head)],
        source.sectorSize,
      ),
    )
    this.#digests = verify === 'digest' ? new DiskDigests(this.#body.capacity, []) : undefined
    this.#written = {
      name,
      mismatchHint: 'Do not trust the disk, its cable or the memory of the computer.',
      unreadableHint: 'Check the disk and its cable.',
      unchanged: verify === 'source' ? unchanged : undefined,
    }
  }

  /** What is done, in order. */
  get steps(): Step<DeviceStepName>[] {
    const { name, end, verify, changes = [], cut, mapped } = this.#writing
    const { head } = this.#edges
    return [
      {
        name: 'open',
        message: `open ${name} exclusively, and make sure that it is still the same device`,
        run: () => this.#open(),
      },
      {
        name: 'clear',
        message: `clear its first and last ${head} bytes, so that nothing is found on it before all is done`,
        run: () => this.#saying(() => this.#clear()),
      },
      {
        name: 'write',
        message:
          `write ${mapped === undefined ? '' : `${mapped.total} mapped bytes of `}bytes ${head} to ${end} past the ` +
          'page cache, zeros by the device where it can' +
          (cut === undefined ? '' : `; the source's last ${cut} bytes are left out`),
        run: () => this.#saying(() => this.#write()),
      },
      ...(verify === 'no'
        ? []
        : [
            {
              name: 'verify' as const,
              message:
                mapped === undefined
                  ? 'read back everything from the medium, and compare'
                  : 'read back what is mapped from the medium, and compare',
              run: () => this.#saying(() => this.#verify()),
            },
          ]),
      {
        name: 'finish',
        message:
          `write the last ${head} bytes, then the first` +
          (changes.length === 0 ? '' : `, and there: ${changes.join('; ')}`),
        run: () => this.#saying(() => this.#finish()),
      },
    ]
  }

  /** What was done, when all steps have run. */
  get result(): DeviceWritten {
    const { bytesRead, bytesWritten, bytesZeroed } = this.#moved
    return { bytesRead, bytesWritten, bytesZeroed, verified: this.#writing.verify !== 'no' }
  }

  [Symbol.dispose](): void {
    this.#store?.[Symbol.dispose]()
    this.#store = undefined
  }

  /** What is not mapped reads as zero, and so does not count. */
  #mapped(disk: BlockSource): BlockSource {
    const { mapped } = this.#writing
    return mapped === undefined ? disk : new MaskedSource(disk, mapped)
  }

  get #device(): WritableDevice {
    if (this.#store === undefined) throw new TypeError('the device is not open')
    return this.#store
  }

  async #open(): Promise<void> {
    const { open, source, signal } = this.#writing
    this.#store = await open()
    const { head, tail } = this.#edges
    // Read before anything is destroyed: a source that is damaged there costs nothing.
    this.#ends = { head: bytesOf(source, 0, head), tail: bytesOf(source, tail, this.#device.size - tail) }
    this.#assertLeft()
    stopIfAborted(signal)
  }

  /** @throws ImageError refused E_RESUME_TARGET where somebody else wrote to the device since. */
  #assertLeft(): void {
    const { name, resume } = this.#writing
    if (resume?.remakes !== true || resume.isPlacing) return
    const { head, tail } = this.#edges
    const cleared = [bytesOf(this.#device, 0, head), bytesOf(this.#device, tail, this.#device.size - tail)]
    if (!cleared.every((bytes) => isZero(bytes)))
      throw refused('E_RESUME_TARGET', `${name} was written to since: its ends are no longer clear`, {
        hint: 'Run the command without --resume to write all of it.',
      })
  }

  #clear(): void {
    clearEdges(this.#device, this.#edges)
    this.#left = 'nothing'
    this.#writing.onCleared?.(this.#device)
  }

  async #write(): Promise<void> {
    this.#moved = await fill(this.#device, this.#body, this.#edges.head, this.#digests, this.#writing)
    this.#writing.onProgress?.({ phase: 'flush', done: 0, total: 1 })
    this.#device.flush()
  }

  async #verify(): Promise<void> {
    const found = this.#mapped(new SliceSource(new DeviceSource(this.#device), 0, this.#body.capacity))
    if (this.#digests === undefined) await proveEqual(this.#body, found, this.#written, this.#writing)
    else {
      const { disk } = await this.#digests.result(() => found)
      await proveDigest(disk.digest, found, this.#written, this.#writing)
    }
  }

  /** The ends: the last mebibyte, and then, when that is on the medium, the first. */
  async #finish(): Promise<void> {
    const { unchanged, signal, onProgress } = this.#writing
    stopIfAborted(signal)
    unchanged?.()
    await this.#writing.resume?.placing([])
    // From here on it is a matter of moments, and no longer stopped.
    if (this.#ends === undefined) throw new TypeError('the ends of the source were not read')
    const { head, tail } = this.#ends
    if (!isZero(tail)) {
      this.#device.write(this.#edges.tail, tail)
      this.#device.flush()
    }
    this.#left = 'new'
    try {
      this.#device.write(0, head)
      this.#device.flush()
      if (this.#writing.verify !== 'no') this.#checkEnds(head, tail)
    } catch (error) {
      if (clearAgain(this.#device, this.#edges)) this.#left = 'nothing'
      throw error
    }
    const { bytesRead, bytesWritten, bytesZeroed } = this.#moved
    this.#moved = {
      bytesRead,
      bytesWritten: bytesWritten + head.length + (isZero(tail) ? 0 : tail.length),
      bytesZeroed,
    }
    onProgress?.({ phase: 'flush', done: 1, total: 1 })
    // What follows needs the device for itself.
    this[Symbol.dispose]()
  }

  #checkEnds(head: Uint8Array, tail: Uint8Array): void {
    for (const [position, expected] of [
      [0, head],
      [this.#edges.tail, tail],
    ] as const) {
      const found = bytesOf(this.#device, position, expected.length)
      const at = expected.findIndex((byte, index) => byte !== found[index])
      if (at >= 0) throw mismatch(this.#written, position + at)
    }
  }

  /** A failure says what is on the device now. */
  async #saying(work: () => Promise<void> | void): Promise<void> {
    try {
      await work()
    } catch (error) {
      throw incomplete(this.#device, this.#left === 'nothing' ? exactly(this.#device, error) : error, this.#left)
    }
  }
}

interface Edges {
  readonly head: number
  readonly tail: number
}

/** Where the head ends and the tail begins. */
function edgesOf(size: number): Edges {
  const head = Math.min(edgeLength, size)
  return { head, tail: Math.max(head, size - edgeLength) }
}

function bytesOf(source: Pick<BlockSource, 'read'>, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  source.read(offset, bytes)
  return bytes
}

function clearEdges(store: WritableDevice, { head, tail }: Edges): void {
  store.zero(0, head)
  store.zero(tail, store.size - tail)
  store.flush()
}

function clearAgain(store: WritableDevice, edges: Edges): boolean {
  try {
    clearEdges(store, edges)
    return true
  } catch {
    // The device takes nothing any more; the first failure is reported.
    return false
  }
}

/** Copies the body behind `start`; ranges without content are made zero by the device meanwhile. */
async function fill(
  store: WritableDevice,
  body: BlockSource,
  start: number,
  digests: DiskDigests | undefined,
  { mapped, resume, rate, threads, signal, onProgress }: DeviceWriting,
): Promise<CopyResult & { readonly bytesZeroed: number }> {
  const zeros = new ZeroQueue(store)
  // A larger piece could reach into what is not to be written.
  const unit = mapped === undefined ? zeroUnit : store.sectorSize
  const target = new LinearTarget(store, {
    capacity: body.capacity,
    grain: unit,
    start,
    clear: (position, length) => {
      if (!replays) eachMapped(mapped, position, length, (at, count) => zeros.add(at, count))
    },
  })
  // What an earlier run wrote is asked for again, and not cleared again.
  let replays = resume !== undefined
  const failed = new AbortController()
  const stop = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal])
  let copied = 0
  let shown = 0
  const report = (): void => {
    shown = Math.max(shown, copied - zeros.pending)
    onProgress?.({ phase: 'write', done: shown, total: body.capacity })
  }
  const copying = async (journal?: CopyJournal): Promise<CopyResult> => {
    replays = false
    return await copy({
      source: body,
      target,
      share: false,
      sparse: unit,
      signal: stop,
      onProgress: ({ done }) => {
        copied = done
        report()
      },
      threads,
      digests,
      journal,
      rate: RateLimit.of(rate),
    })
  }
  const moving = (
    resume?.fill(target, () => [store], { source: body, digests, copy: copying, settled: () => zeros.settled() }) ??
    copying()
  ).then((result) => {
    target.clearRest()
    zeros.close()
    return result
  })
  await bothDone([moving, zeros.work(stop, report)], () => failed.abort())
  const { bytesRead, bytesWritten } = await moving
  return { bytesRead, bytesWritten, bytesZeroed: zeros.zeroed }
}

/** Waits for copying and zeroing. The first that fails stops the other. */
async function bothDone(works: readonly Promise<unknown>[], stop: () => void): Promise<void> {
  const outcomes = await Promise.allSettled(
    works.map((work) =>
      work.catch((error: unknown) => {
        stop()
        throw error
      }),
    ),
  )
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
  // The one that failed stopped the other, whose end is not the reason.
  const reason = failures.find((error) => !isImageError(error) || error.kind !== 'aborted') ?? failures[0]
  if (reason !== undefined)
    throw reason instanceof Error ? reason : new TypeError('what was thrown is no error', { cause: reason })
}

/** What of a range is to be written. */
function eachMapped(
  mapped: RunMap | undefined,
  position: number,
  length: number,
  visit: (position: number, length: number) => void,
): void {
  if (mapped === undefined) {
    visit(position, length)
    return
  }
  for (let at = position; at < position + length;) {
    const { inRun, end } = mapped.at(at)
    const next = Math.min(end, position + length)
    if (inRun) visit(at, next - at)
    at = next
  }
}

/**
 * A failed write is reported for the piece it was in: the sector at which it fails is found by writing single ones. The
 * device is incomplete anyway.
 */
function exactly(store: WritableDevice, error: unknown): unknown {
  const position = isImageError(error) && error.code === 'E_WRITE' ? error.details['position'] : undefined
  if (typeof position !== 'number') return error
  const end = Math.min(position + zeroUnit, store.size)
  const sector = new Uint8Array(store.sectorSize)
  for (let at = position; at + sector.length <= end; at += sector.length) {
    try {
      store.write(at, sector)
    } catch (exact) {
      return exact
    }
  }
  return error
}

/** What systems find on a device that was not finished. */
type Left = 'present' | 'nothing' | 'new'

const leftTexts: Readonly<Record<Left, (name: string) => string>> = {
  present: (name) =>
    `${name} could not be cleared, and nothing else was written: what is found on it is what was on it ` +
    'before, if anything.',
  nothing: (name) =>
    `${name} is incomplete, and cannot be mistaken for a good disk: its first and last mebibyte were cleared ` +
    'before anything else and are written last, so no partition table and no filesystem is found on it.',
  new: (name) =>
    `${name} may look complete, and is not to be trusted: its first mebibyte was written, and can no longer ` +
    'be cleared.',
}

/** Says with any failure what is on the device now. */
function incomplete(store: ByteStore, error: unknown, left: Left): unknown {
  if (!isImageError(error)) return error
  const { kind, code, message, details, hint } = error
  const text = leftTexts[left](store.name)
  if (code === 'E_NO_SPACE') {
    // For files it means another thing.
    return targetError(
      'E_WRITE',
      `${store.name} cannot be written at byte ${String(details['position'])}: it says that it has no space ` +
        `left (ENOSPC), though it has ${store.size} bytes`,
      { details, cause: error, hint: `What stores it (a thin volume, a file on a full disk) is full. ${text}` },
    )
  }
  return new ImageError(kind, code, kind === 'aborted' ? `interrupted while ${store.name} was written` : message, {
    details,
    cause: error,
    hint: hint === undefined ? text : `${hint} ${text}`,
  })
}
