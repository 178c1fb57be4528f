import { Recent } from '../../binary/recent.js'
import { ReadOnlyStore } from '../../block/read-only-store.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, type ImageError, type Label } from '../../errors.js'
import type { Checksum } from './checksums.js'
import type { Header } from './header.js'

/** Strips up to this are read whole, whatever is asked of them: then nothing is given out that was not verified. */
const largestStrip = 16 * 1024 * 1024
const keptBytes = 32 * 1024 * 1024
const pieceLength = 1024 * 1024

/** Whether each strip can be verified whenever something of it is read. */
export function isVerifiable({ reseed }: Header, { content }: Strips): boolean {
  return reseed && content <= largestStrip
}

/** Where the stored blocks lie: strips of `blocksPerChecksum` blocks, each followed by its checksum. Bytes. */
export class Strips {
  readonly dataStart: number
  /** Bytes of content of a whole strip, and with its checksum. */
  readonly content: number
  readonly stored: number
  readonly #blockSize: number
  readonly #perStrip: number

  constructor({ blockSize, blocksPerChecksum, used }: Header, dataStart: number, checksumLength: number) {
    this.dataStart = dataStart
    this.#blockSize = blockSize
    this.#perStrip = checksumLength === 0 ? Math.max(1, used) : blocksPerChecksum
    this.content = this.#perStrip * blockSize
    this.stored = this.content + checksumLength
  }

  /** Where a stored block begins in the file. */
  position(rank: number): number {
    const strip = Math.floor(rank / this.#perStrip)
    return this.dataStart + strip * this.stored + (rank - strip * this.#perStrip) * this.#blockSize
  }

  /** Stored blocks from this one on that lie behind each other. */
  together(rank: number): number {
    return this.#perStrip - (rank % this.#perStrip)
  }

  /** Where the file ends that has so many blocks. */
  end(used: number, checksumLength: number): number {
    return this.dataStart + used * this.#blockSize + Math.ceil(used / this.#perStrip) * checksumLength
  }
}

/**
 * The file, whose blocks are verified when they are read: for strips that have checksums of their own, and are small
 * enough to be read whole ({@link isVerifiable}).
 */
export class VerifiedStore extends ReadOnlyStore {
  readonly name: Label
  readonly size: number
  readonly #below: ByteStore
  readonly #header: Header
  readonly #strips: Strips
  readonly #kept: Recent<Uint8Array>

  constructor(below: ByteStore, header: Header, strips: Strips) {
    super()
    this.name = below.name
    this.size = below.size
    this.#below = below
    this.#header = header
    this.#strips = strips
    this.#kept = new Recent(Math.max(1, Math.floor(keptBytes / strips.content)), (strip) => this.#verified(strip))
  }

  /** @throws ImageError corrupt E_CHECKSUM, E_READ. */
  read(position: number, target: Uint8Array): void {
    const { dataStart, stored } = this.#strips
    for (let done = 0; done < target.length;) {
      const strip = Math.floor((position + done - dataStart) / stored)
      const within = position + done - dataStart - strip * stored
      const length = Math.min(target.length - done, this.contentOf(strip) - within)
      const piece = target.subarray(done, done + length)
      piece.set(this.#kept.get(strip).subarray(within, within + length))
      done += length
    }
  }

  /**
   * What is wrong with the strips from one on, all of them read in order. Gives how far it is, in bytes of the file.
   */
  *faults(): Generator<
    { readonly position: number; readonly error: ImageError } | { readonly done: number; readonly total: number }
  > {
    const { dataStart, stored } = this.#strips
    const { checksum, blockSize } = this.#header
    const count = Math.ceil((this.size - dataStart) / stored)
    const piece = new Uint8Array(checksum.mode === undefined ? blockSize : Math.min(pieceLength, stored))
    let sum = checksum.start()
    for (let strip = 0; strip < count; strip++) {
      if (this.#header.reseed) sum = checksum.start()
      const length = this.contentOf(strip)
      for (let done = 0; done < length; done += piece.length) {
        const bytes = piece.subarray(0, Math.min(piece.length, length - done))
        this.#below.read(dataStart + strip * stored + done, bytes)
        sum.update(bytes)
        if (done > 0) yield { done: dataStart + strip * stored + done, total: this.size }
      }
      const error = this.compare(strip, sum)
      if (error !== undefined) yield { position: dataStart + strip * stored, error }
      // One that goes on from the strips before is wrong from here to the end.
      if (error !== undefined && !this.#header.reseed) return
      if (strip % 16 === 0) yield { done: dataStart + strip * stored, total: this.size }
    }
  }

  changed(): string | undefined {
    return this.#below.changed?.()
  }

  [Symbol.dispose](): void {
    this.#below[Symbol.dispose]()
  }

  /** Bytes of content of a strip: the last may have less. */
  contentOf(strip: number): number {
    const { dataStart, stored, content } = this.#strips
    return Math.min(content, this.size - this.#header.checksum.length - dataStart - strip * stored)
  }

  #verified(strip: number): Uint8Array {
    const bytes = new Uint8Array(this.contentOf(strip))
    this.#below.read(this.#strips.dataStart + strip * this.#strips.stored, bytes)
    const sum = this.#header.checksum.start()
    sum.update(bytes)
    const error = this.compare(strip, sum)
    if (error !== undefined) throw error
    return bytes
  }

  /** What is wrong with a strip whose checksum, or that of all up to its end, is `sum`. */
  compare(strip: number, sum: Checksum): ImageError | undefined {
    const { checksum, littleEndian, blockSize } = this.#header
    const position = this.#strips.dataStart + strip * this.#strips.stored
    const length = this.contentOf(strip)
    const stored = new Uint8Array(checksum.length)
    this.#below.read(position + length, stored)
    const right = sum.digest(littleEndian)
    // Some builds of version 1 stored four bytes more, which mean nothing.
    if (Buffer.compare(stored.subarray(0, right.length), right) === 0) return undefined
    const blocks = length / blockSize
    return corrupt(
      'E_CHECKSUM',
      `${this.name}: the checksum (${checksum.title}) of ${blocks} blocks at byte ${position} is ` +
        `${Buffer.from(right).toString('hex')}, but ${Buffer.from(stored).toString('hex')} is stored`,
      { details: { position, length } },
    )
  }
}
