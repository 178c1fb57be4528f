import { crc32c } from '../../../binary/checksum.js'
import { safeNumber } from '../../../binary/integers.js'
import type { Patch } from '../../../block/patched-store.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, unsupported } from '../../../errors.js'
import {
  dataDescriptor,
  dataSector,
  headerPositions,
  logEntryHeader,
  logEntrySignature,
  logSectorSize,
  mebibyte,
  regionTablePositions,
  zeroDescriptor,
} from './structs.js'

/** The longest log that is replayed. Windows and QEMU make logs of 1 MiB. */
export const maximumLogLength = 16 * mebibyte
/** The most changes that are replayed: a log of 1 MiB holds fewer than 32,768. */
const maximumDescriptors = 2 ** 18
/** Descriptors begin after the header in the entry's first sector. */
const descriptorSize = zeroDescriptor.size

/** A valid entry; `position` and `tail` count from the log's start. */
export interface LogEntry {
  readonly position: number
  readonly length: number
  readonly tail: number
  readonly sequenceNumber: bigint
  readonly descriptorCount: number
  readonly flushedFileOffset: bigint
  readonly lastFileOffset: bigint
}

/** What replaying the log does to the file, in order; `size` is the file's size afterwards. */
export interface Replay {
  readonly patches: readonly Patch[]
  readonly size: number
  readonly entries: number
  readonly dataSectors: number
  readonly zeroRanges: number
  readonly firstSequenceNumber: bigint
  readonly lastSequenceNumber: bigint
}

/** The circular log in memory. Every place is validated at most once. */
export class Log {
  readonly length: number
  /** The log twice over, so that what wraps around its end is in one piece too. */
  readonly #bytes: Uint8Array
  readonly #guid: string
  readonly #known = new Map<number, LogEntry | undefined>()

  /** @param guid LogGuid of the current header: entries of another are remains of earlier logs. */
  constructor(store: ByteStore, position: number, length: number, guid: string) {
    this.#bytes = new Uint8Array(length * 2)
    store.read(position, this.#bytes.subarray(0, length))
    this.#bytes.copyWithin(length, 0, length)
    this.#guid = guid
    this.length = length
  }

  /** Bytes [position, position + length) of the ring; `length` is at most the ring's. */
  slice(position: number, length: number): Uint8Array {
    return this.#bytes.subarray(position, position + length)
  }

  /** The entry at `position`, a multiple of 4096, or undefined when there is no valid one (MS-VHDX 2.3.1). */
  entryAt(position: number): LogEntry | undefined {
    if (!this.#known.has(position)) this.#known.set(position, this.#validate(position))
    return this.#known.get(position)
  }

  #validate(position: number): LogEntry | undefined {
    const values = logEntryHeader.read(this.slice(position, logSectorSize))
    if (values.signature !== logEntrySignature || values.logGuid !== this.#guid) return undefined
    const { entryLength, tail, sequenceNumber, descriptorCount } = values
    if (entryLength === 0 || entryLength % logSectorSize !== 0 || entryLength > this.length) return undefined
    if (tail % logSectorSize !== 0 || tail >= this.length || sequenceNumber === 0n) return undefined
    const bytes = this.slice(position, entryLength)
    // The structure before the checksum: no valid structure contains the start of another entry, which keeps the work
    // of a whole log linear.
    if (!structureFits(bytes, descriptorCount, sequenceNumber)) return undefined
    if (crc32c(logEntryHeader.without('checksum', bytes, entryLength)) !== values.checksum) return undefined
    return {
      position,
      length: entryLength,
      tail,
      sequenceNumber,
      descriptorCount,
      flushedFileOffset: values.flushedFileOffset,
      lastFileOffset: values.lastFileOffset,
    }
  }
}

function descriptorAreaLength(descriptorCount: number): number {
  return Math.ceil((logEntryHeader.size + descriptorCount * descriptorSize) / logSectorSize) * logSectorSize
}

function structureFits(bytes: Uint8Array, descriptorCount: number, sequenceNumber: bigint): boolean {
  const area = descriptorAreaLength(descriptorCount)
  if (area > bytes.length) return false
  let sectors = 0
  for (let index = 0; index < descriptorCount; index++) {
    const at = logEntryHeader.size + index * descriptorSize
    const descriptor = zeroDescriptor.read(bytes, at)
    if (descriptor.sequenceNumber !== sequenceNumber || descriptor.fileOffset % 4096n !== 0n) return false
    if (descriptor.signature === 'zero') {
      if (descriptor.zeroLength % 4096n !== 0n) return false
    } else if (descriptor.signature === 'desc') {
      const sector = area + sectors * logSectorSize
      if (sector + logSectorSize > bytes.length || !sectorFits(bytes, sector, sequenceNumber)) return false
      sectors++
    } else return false
  }
  return area + sectors * logSectorSize === bytes.length
}

function sectorFits(bytes: Uint8Array, at: number, sequenceNumber: bigint): boolean {
  const sector = dataSector.read(bytes, at)
  return (
    sector.signature === 'data' &&
    BigInt(sector.sequenceHigh) * 2n ** 32n + BigInt(sector.sequenceLow) === sequenceNumber
  )
}

/** The newest complete sequence, its entries from tail to head, or undefined when there is none (MS-VHDX 2.3.2). */
function findActiveSequence(log: Log): readonly LogEntry[] | undefined {
  let candidate: readonly LogEntry[] | undefined
  let newest = 0n
  for (let start = 0; start < log.length;) {
    const sequence: LogEntry[] = []
    let length = 0
    let head: LogEntry | undefined
    for (;;) {
      const next = log.entryAt((start + length) % log.length)
      if (next === undefined || length + next.length > log.length) break
      if (head !== undefined && next.sequenceNumber !== head.sequenceNumber + 1n) break
      sequence.push(next)
      head = next
      length += next.length
    }
    if (head === undefined) {
      start += logSectorSize
      continue
    }
    const { tail, sequenceNumber } = head
    const first = sequence.findIndex((entry) => entry.position === tail)
    if (first >= 0 && sequenceNumber > newest) {
      candidate = sequence.slice(first)
      newest = sequenceNumber
    }
    // The specification moves on by one sector after an invalid sequence: that finds only shorter ones with the same
    // head, as invalid.
    start += length
  }
  return candidate
}

/**
 * What is to be laid over the file for the log at [logOffset, logOffset + logLength) (2.3.3), or undefined when no
 * sequence is complete.
 * @throws ImageError corrupt E_TRUNCATED when the file lost its end, E_LOG_RANGE for changes of the headers or the log
 * itself; unsupported E_LOG_TOO_LARGE.
 */
export function replayLog(store: ByteStore, logOffset: number, logLength: number, guid: string): Replay | undefined {
  if (logLength > maximumLogLength) {
    throw unsupported(
      'E_LOG_TOO_LARGE',
      `${store.name}: the log at byte ${logOffset} is ${logLength} bytes long and holds changes that are not ` +
        `in the file yet; at most ${maximumLogLength} are replayed`,
      { details: { position: logOffset, logLength } },
    )
  }
  const log = new Log(store, logOffset, logLength, guid)
  const sequence = findActiveSequence(log)
  const first = sequence?.[0]
  const head = sequence?.at(-1)
  if (sequence === undefined || first === undefined || head === undefined) return undefined
  if (head.flushedFileOffset > BigInt(store.size)) {
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: the file is ${store.size} bytes long, but by the log entry at byte ` +
        (`${logOffset + head.position} it had ${head.flushedFileOffset} when its last change was logged: its ` +
          'end is missing'),
      { details: { position: logOffset + head.position, size: store.size, expected: head.flushedFileOffset } },
    )
  }
  const count = sequence.reduce((sum, entry) => sum + entry.descriptorCount, 0)
  if (count > maximumDescriptors)
    throw unsupported(
      'E_LOG_TOO_LARGE',
      `${store.name}: the log at byte ${logOffset} holds ${count} changes, at most ${maximumDescriptors} are replayed`,
      { details: { position: logOffset } },
    )

  const patches: Patch[] = []
  for (const entry of sequence) {
    for (const patch of patchesOf(store, log, entry, { position: logOffset, length: logLength })) patches.push(patch)
  }
  const end = patches.reduce((most, patch) => Math.max(most, patch.position + patch.length), store.size)
  const dataSectors = patches.filter((patch) => patch.bytes !== undefined).length
  return {
    patches,
    size: Math.max(
      end,
      safeNumber(
        head.lastFileOffset,
        `${store.name}: LastFileOffset of the log entry at byte ${logOffset + head.position}`,
      ),
    ),
    entries: sequence.length,
    dataSectors,
    zeroRanges: patches.length - dataSectors,
    firstSequenceNumber: first.sequenceNumber,
    lastSequenceNumber: head.sequenceNumber,
  }
}

function* patchesOf(
  store: ByteStore,
  log: Log,
  entry: LogEntry,
  ring: { position: number; length: number },
): Generator<Patch> {
  const bytes = log.slice(entry.position, entry.length)
  let sector = descriptorAreaLength(entry.descriptorCount)
  for (let index = 0; index < entry.descriptorCount; index++) {
    const at = logEntryHeader.size + index * descriptorSize
    const what = `log entry at byte ${ring.position + entry.position}, descriptor ${index}`
    const descriptor = zeroDescriptor.read(bytes, at)
    const position = safeNumber(descriptor.fileOffset, `${store.name}: the place in ${what}`)
    if (descriptor.signature === 'zero') {
      const length =
        safeNumber(descriptor.zeroLength + descriptor.fileOffset, `${store.name}: the end in ${what}`) - position
      allow(store, position, length, what, ring)
      if (length > 0) yield { position, length }
      continue
    }
    allow(store, position, logSectorSize, what, ring)
    const { leadingBytes, trailingBytes } = dataDescriptor.read(bytes, at)
    const restored = new Uint8Array(logSectorSize)
    restored.set(leadingBytes)
    restored.set(dataSector.read(bytes, sector).data, 8)
    restored.set(trailingBytes, logSectorSize - 4)
    sector += logSectorSize
    yield { position, length: logSectorSize, bytes: restored }
  }
}

/** The log never changes the identifier, the headers, or itself: a log that does is not one of this file. */
function allow(
  store: ByteStore,
  position: number,
  length: number,
  what: string,
  ring: { position: number; length: number },
): void {
  const overlapsRing = position < ring.position + ring.length && position + length > ring.position
  if (length > 0 && (position < regionTablePositions[0] || overlapsRing)) {
    throw corrupt(
      'E_LOG_RANGE',
      `${store.name}: ${what} changes bytes ${position} to ${position + length}: ` +
        (overlapsRing
          ? 'the log itself'
          : 'the identifier or the headers (bytes 0 to ' + `${headerPositions[1] + 65536})`),
      { details: { position } },
    )
  }
}
