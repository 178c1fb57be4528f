import { crc32c } from '../../../binary/checksum.js'
import { roundDown, viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import type { Area } from '../format/regions.js'
import {
  dataDescriptor,
  dataSector,
  logEntryHeader,
  logEntrySignature,
  logSectorSize,
  mebibyte,
} from '../format/structs.js'

/** A sector of 4 KiB of the file as it is to be. `position` is a multiple of 4096. */
export interface LoggedSector {
  readonly position: number
  readonly bytes: Uint8Array
}

/** Bytes of an entry for so many changed sectors: header and descriptors, then a sector for each (MS-VHDX 2.3.1). */
export function logEntryLength(sectors: number): number {
  return (Math.ceil((logEntryHeader.size + sectors * dataDescriptor.size) / logSectorSize) + sectors) * logSectorSize
}

/**
 * The bytes of a log entry (2.3.1). `tail` counts from the log's start; the sizes of the file are multiples of 1 MiB.
 */
export function buildLogEntry(
  place: {
    readonly sequenceNumber: bigint
    readonly tail: number
    readonly logGuid: string
    readonly fileSize: number
  },
  sectors: readonly LoggedSector[],
): Uint8Array {
  const { sequenceNumber, tail, logGuid } = place
  const entry = new Uint8Array(logEntryLength(sectors.length))
  const values = {
    signature: logEntrySignature,
    checksum: 0,
    entryLength: entry.length,
    tail,
    sequenceNumber,
    descriptorCount: sectors.length,
    reserved: 0,
    logGuid,
    flushedFileOffset: BigInt(place.fileSize),
    lastFileOffset: BigInt(place.fileSize),
  }
  entry.set(logEntryHeader.write(values))
  const sequenceHigh = Number(sequenceNumber / 2n ** 32n)
  const sequenceLow = Number(sequenceNumber % 2n ** 32n)
  const first = entry.length - sectors.length * logSectorSize
  for (const [index, { position, bytes }] of sectors.entries()) {
    const descriptor = {
      signature: 'desc',
      trailingBytes: bytes.subarray(logSectorSize - 4),
      leadingBytes: bytes.subarray(0, 8),
      fileOffset: BigInt(position),
      sequenceNumber,
    }
    entry.set(dataDescriptor.write(descriptor), logEntryHeader.size + index * dataDescriptor.size)
    entry.set(
      dataSector.write({ signature: 'data', sequenceHigh, data: bytes.subarray(8, logSectorSize - 4), sequenceLow }),
      first + index * logSectorSize,
    )
  }
  logEntryHeader.fields.checksum.set(viewOf(entry), logEntryHeader.fields.checksum.offset, crc32c(entry), 'little')
  return entry
}

/** Sectors kept behind the last entry: one for {@link LogWriter.restart}, two that are no entry (below). */
const reserve = 3 * logSectorSize

/**
 * Writes the log of one session (MS-VHDX 2.3). Entries follow each other from the log's start; the active sequence
 * never runs over its
 * end. When no room is left, {@link restart} begins anew at the start.
 *
 * QEMU (7.2, and later ones) finds a sequence otherwise than the specification says. It takes any run of entries for
 * one, wherever its
 * tail is; of the run's second entry it does not compare the sequence number; and it never ends when a run from the
 * log's start reaches
 * the log's last sector but one. What is written here is found as it should be by either.
 */
export class LogWriter {
  readonly guid: string
  readonly #store: ByteStore
  readonly #area: Area
  #sequenceNumber = 0n
  /** Where the next entry goes, and where the active sequence begins. */
  #head = 0
  #tail = 0

  /** @param guid new for every session: remains of earlier ones then never count. */
  constructor(store: ByteStore, area: Area, guid: string) {
    this.#store = store
    this.#area = area
    this.guid = guid
  }

  /** The most sectors that one entry takes in an empty log. */
  get maximumSectors(): number {
    let sectors = this.#area.length / logSectorSize
    while (2 * logSectorSize + logEntryLength(sectors) + reserve > this.#area.length) sectors--
    return sectors
  }

  /** Begins with an entry that changes nothing: the header may name the log only when there is a valid entry in it. */
  start(): void {
    this.#write([this.#entry([])])
  }

  /** Whether an entry of so many sectors has its place without {@link restart}. */
  fits(sectors: number): boolean {
    return this.#head + logEntryLength(sectors) + reserve <= this.#area.length
  }

  /**
   * One entry, durable when this returns: either all of its sectors count after a crash, or none. What it refers to is
   * flushed already.
   */
  append(sectors: readonly LoggedSector[]): void {
    if (!this.fits(sectors.length)) throw new RangeError(`a log entry of ${sectors.length} sectors has no place`)
    this.#write([this.#entry(sectors)])
  }

  /** Forgets the entries so far, whose changes are in the file and flushed: a crash must not bring them back. */
  restart(): void {
    // Behind the active sequence, so that there is always one that is whole; then at the start, where room is.
    this.#tail = this.#head
    this.#write([this.#entry([])])
    this.#tail = 0
    this.#head = 0
    // Two: an old entry in the place of the second could pass for one of this sequence.
    this.#write([this.#entry([]), this.#entry([])])
  }

  #entry(sectors: readonly LoggedSector[]): Uint8Array {
    this.#sequenceNumber += 1n
    const fileSize = roundDown(this.#store.size, mebibyte)
    return buildLogEntry(
      { sequenceNumber: this.#sequenceNumber, tail: this.#tail, logGuid: this.guid, fileSize },
      sectors,
    )
  }

  #write(entries: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(entries)
    this.#store.write(this.#area.position + this.#head, bytes)
    this.#store.flush()
    this.#head += bytes.length
  }
}
