import { isZero } from '../../binary/zero.js'
import { ConcatenatedSource } from '../../block/concatenated.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, ByteStore } from '../../block/types.js'
import { ZeroSource } from '../../block/zero.js'
import { DeviceSource } from '../../device/source.js'
import { compareSources, copy, hashSource, type CopyTarget, type Progress } from '../../engine/index.js'
import { aborted, ImageError, isImageError, targetError } from '../../errors.js'
import { DiskDigests } from '../imaging/disk-digests.js'
import { ZeroQueue } from './zero-queue.js'

/** A device open for writing, for oneself alone. */
export interface WritableDevice extends ByteStore {
  readonly sectorSize: number
  zero(position: number, length: number): void
}

/** Bytes at both ends of a device in which systems look for tables, filesystems and their copies. */
export const edgeLength = 1048576
/** Zeros are looked for in pieces of this many bytes: shorter ones are written. */
const zeroUnit = 1048576

export interface DeviceWriting {
  /** What the device is to read as, all of it. */
  readonly source: BlockSource
  /**
   * Where what is written ends; what is behind it is left alone, but for the last mebibyte. A multiple of the device's
   * sector.
   */
  readonly end: number
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
  /** Called when nothing can be found on the device any more. */
  readonly onCleared?: () => void
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

/**
 * Writes a device so that at any moment before the end nothing on it can be taken for a disk or a filesystem: both ends
 * are cleared
 * first and written last, when everything between them is on the medium, and compared.
 * @throws ImageError target, with the offset; mismatch E_MISMATCH, E_VERIFY; aborted E_ABORTED; those of reading the
 * source. The device is unusable then, and says so to nobody.
 */
export async function writeDevice(store: WritableDevice, writing: DeviceWriting): Promise<DeviceWritten> {
  const { source, verify, signal, onProgress } = writing
  const edges = edgesOf(store.size)
  const bodyEnd = Math.min(Math.max(writing.end, edges.head), edges.tail)
  // Read before anything is destroyed: a source that is damaged there costs nothing.
  const head = bytesOf(source, 0, edges.head)
  const tail = bytesOf(source, edges.tail, store.size - edges.tail)
  stopIfAborted(signal)
  const state: State = { left: 'present' }
  try {
    clearEdges(store, edges)
    state.left = 'nothing'
    writing.onCleared?.()
    const body = new ConcatenatedSource(
      [new ZeroSource(edges.head, source.sectorSize), new SliceSource(source, edges.head, bodyEnd - edges.head)],
      source.sectorSize,
    )
    const digests = verify === 'digest' ? new DiskDigests(body.capacity, []) : undefined
    const written = await fill(store, body, writing, digests)
    onProgress?.({ phase: 'flush', done: 0, total: 1 })
    store.flush()
    if (digests !== undefined) await verifyDigest(store, body, digests, writing)
    else if (verify === 'source') await verifyBody(store, body, writing)
    stopIfAborted(signal)
    writing.unchanged?.()
    // From here on it is a matter of moments, and no longer stopped.
    finish(store, edges, { head, tail, verify: verify !== 'no', state })
    onProgress?.({ phase: 'flush', done: 1, total: 1 })
    return {
      ...written,
      bytesWritten: written.bytesWritten + head.length + (isZero(tail) ? 0 : tail.length),
      verified: verify !== 'no',
    }
  } catch (error) {
    throw incomplete(store, state.left === 'nothing' ? exactly(store, error) : error, state.left)
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

function bytesOf(source: BlockSource, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  source.read(offset, bytes)
  return bytes
}

function clearEdges(store: WritableDevice, { head, tail }: Edges): void {
  store.zero(0, head)
  store.zero(tail, store.size - tail)
  store.flush()
}

/** Where bulk data goes on a device: to its own offset. What lies between is zero. */
class DeviceTarget implements CopyTarget {
  readonly grain = zeroUnit
  constructor(
    private readonly store: WritableDevice,
    readonly capacity: number,
    private readonly zeros: ZeroQueue,
    private end: number,
  ) {}

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    this.zero(this.end, offset - this.end)
    this.end = offset + length
    return { store: this.store, position: offset, length }
  }

  zero(offset: number, length: number): void {
    this.zeros.add(offset, length)
  }

  finish(): void {
    this.zero(this.end, this.capacity - this.end)
    this.zeros.close()
  }
}

async function fill(
  store: WritableDevice,
  body: BlockSource,
  { threads, signal, onProgress }: DeviceWriting,
  digests: DiskDigests | undefined,
): Promise<Omit<DeviceWritten, 'verified'>> {
  const zeros = new ZeroQueue(store)
  const { head } = edgesOf(store.size)
  const target = new DeviceTarget(store, body.capacity, zeros, head)
  const failed = new AbortController()
  const stop = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal])
  let copied = 0
  let shown = 0
  const report = (): void => {
    shown = Math.max(shown, copied - zeros.pending)
    onProgress?.({ phase: 'write', done: shown, total: body.capacity })
  }
  const moving = copy({
    source: body,
    target,
    share: false,
    signal: stop,
    onProgress: ({ done }) => {
      copied = done
      report()
    },
    threads,
    digests,
  }).then((result) => {
    target.finish()
    return result
  })
  const [moved, zeroed] = await Promise.allSettled(
    [moving, zeros.work(stop, report)].map((work) =>
      work.catch((error: unknown) => {
        failed.abort()
        throw error
      }),
    ),
  )
  const failures = [moved, zeroed].flatMap((outcome) =>
    outcome?.status === 'rejected' ? [outcome.reason as unknown] : [],
  )
  // The one that failed stopped the other, whose end is not the reason.
  const reason = failures.find((error) => !isImageError(error) || error.kind !== 'aborted') ?? failures[0]
  if (reason !== undefined)
    throw reason instanceof Error ? reason : new TypeError('what was thrown is no error', { cause: reason })
  const { bytesRead, bytesWritten } = await moving
  return { bytesRead, bytesWritten, bytesZeroed: zeros.zeroed }
}

async function verifyBody(
  store: WritableDevice,
  body: BlockSource,
  { threads, unchanged, signal, onProgress }: DeviceWriting,
): Promise<void> {
  await verifying(store, unchanged, async () => {
    const { equal, offset } = await compareSources(body, new SliceSource(new DeviceSource(store), 0, body.capacity), {
      threads,
      signal,
      onProgress,
    })
    if (!equal) throw mismatch(store, offset ?? 0)
  })
}

async function verifyDigest(
  store: WritableDevice,
  body: BlockSource,
  digests: DiskDigests,
  { threads, signal, onProgress }: DeviceWriting,
): Promise<void> {
  await verifying(store, undefined, async () => {
    const written = new SliceSource(new DeviceSource(store), 0, body.capacity)
    const found = await hashSource(written, {
      algorithm: 'tree',

      threads,
      signal,
      onProgress:
        onProgress === undefined
          ? undefined
          : (progress: Progress): void => onProgress({ ...progress, phase: 'verify' }),
    })
    const { disk } = await digests.result(() => written)
    if (Buffer.from(found).toString('hex') === disk.digest) return
    throw new ImageError(
      'mismatch',
      'E_MISMATCH',
      `${store.name} differs from what was written to it, read back from the medium`,
      { hint: 'The disk, its cable or the memory is not to be trusted.' },
    )
  })
}

async function verifying(
  store: WritableDevice,
  unchanged: (() => void) | undefined,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    unchanged?.()
    if (isImageError(error) && (error.kind === 'mismatch' || error.kind === 'aborted')) throw error
    throw new ImageError(
      'mismatch',
      'E_VERIFY',
      `${store.name}: what was written cannot be compared: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error, hint: 'Check the disk and its cable.' },
    )
  }
}

function mismatch(store: ByteStore, offset: number): ImageError {
  return new ImageError(
    'mismatch',
    'E_MISMATCH',
    `${store.name} differs from what was written to it at offset ${offset}, read back from the medium`,
    { hint: 'The disk, its cable or the memory is not to be trusted.', details: { offset } },
  )
}

/** The ends: the last mebibyte, and then, when that is on the medium, the first. */
function finish(
  store: WritableDevice,
  edges: Edges,
  {
    head,
    tail,
    verify,
    state,
  }: { readonly head: Uint8Array; readonly tail: Uint8Array; readonly verify: boolean; readonly state: State },
): void {
  if (!isZero(tail)) {
    store.write(edges.tail, tail)
    store.flush()
  }
  state.left = 'new'
  try {
    store.write(0, head)
    store.flush()
    if (!verify) return
    checkEdge(store, 0, head)
    checkEdge(store, edges.tail, tail)
  } catch (error) {
    if (clearAgain(store, edges)) state.left = 'nothing'
    throw error
  }
}

function checkEdge(store: WritableDevice, position: number, expected: Uint8Array): void {
  const found = new Uint8Array(expected.length)
  store.read(position, found)
  const at = expected.findIndex((byte, index) => byte !== found[index])
  if (at >= 0) throw mismatch(store, position + at)
}

function clearAgain(store: WritableDevice, edges: Edges): boolean {
  try {
    clearEdges(store, edges)
    return true
  } catch {
    // The device takes nothing any more; the first failure is told.
    return false
  }
}

function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted()
}

/**
 * A failed write is told by the piece it was in: the sector at which it fails is found by writing single ones. The
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
interface State {
  left: 'present' | 'nothing' | 'new'
}

const leftTexts: Readonly<Record<State['left'], (name: string) => string>> = {
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
function incomplete(store: ByteStore, error: unknown, left: State['left']): unknown {
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
