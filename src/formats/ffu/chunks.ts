import { createHash } from 'node:crypto'
import { Recent } from '../../binary/recent.js'
import { eachPiece } from '../../block/pieces.js'
import { ReadOnlyStore } from '../../block/read-only-store.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, hints, type Label } from '../../errors.js'

const keptBytes = 8 * 1024 * 1024

/** What the table of hashes is over. */
export interface Hashed {
  /** Where the first chunk begins, in bytes of the file. */
  readonly start: number
  readonly chunkSize: number
  readonly algorithm: { readonly name: string; readonly length: number }
  readonly table: Uint8Array
}

/** The file from the first chunk on: each chunk is compared with its hash when it is read. */
export class VerifiedChunks extends ReadOnlyStore {
  readonly name: Label
  readonly size: number
  readonly #below: ByteStore
  readonly #hashed: Hashed
  readonly #kept: Recent<Uint8Array>

  constructor(below: ByteStore, hashed: Hashed) {
    super()
    this.name = below.name
    this.size = below.size
    this.#below = below
    this.#hashed = hashed
    this.#kept = new Recent(Math.max(2, Math.floor(keptBytes / hashed.chunkSize)), (chunk) => this.#verified(chunk))
  }

  /** @throws ImageError corrupt E_CHECKSUM, E_TRUNCATED. */
  read(position: number, target: Uint8Array): void {
    const { start, chunkSize } = this.#hashed
    if (position + target.length > this.size)
      throw corrupt(
        'E_TRUNCATED',
        `${this.name}: ${target.length} bytes at byte ${position} pass the end of the file (byte ${this.size})`,
        { details: { position, size: this.size }, hint: hints.incomplete },
      )
    eachPiece(position - start, target.length, chunkSize, (chunk, within, done, length) => {
      target.set(this.#kept.get(chunk).subarray(within, within + length), done)
    })
  }

  changed(): string | undefined {
    return this.#below.changed?.()
  }

  [Symbol.dispose](): void {
    // The file belongs to the image.
  }

  #verified(chunk: number): Uint8Array {
    const { start, chunkSize, algorithm, table } = this.#hashed
    const position = start + chunk * chunkSize
    const bytes = new Uint8Array(Math.min(chunkSize, this.size - position))
    this.#below.read(position, bytes)
    const expected = table.subarray(chunk * algorithm.length, (chunk + 1) * algorithm.length)
    const found = createHash(algorithm.name).update(bytes).digest()
    if (Buffer.compare(found, expected) === 0) return bytes
    throw corrupt(
      'E_CHECKSUM',
      expected.length < algorithm.length
        ? `${this.name}: the table of hashes ends before chunk ${chunk} at byte ${position}`
        : `${this.name}: the hash of chunk ${chunk} at byte ${position} is another than the one stored`,
      { details: { position, chunk } },
    )
  }
}
