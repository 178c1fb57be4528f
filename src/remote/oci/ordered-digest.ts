import { createHash, type Hash } from 'node:crypto'

/** Bytes that came out of order and are kept until those before them come. */
const mostKept = 96 * 1024 * 1024

/** A range of bytes; `end` is exclusive. */
interface Gap {
  readonly start: number
  readonly end: number
}

/**
 * The digest of a file that is read in pieces, in about its order: several at once, its end before its middle. Where
 * what would have to be kept until its turn is too much, the digest is not computed any more.
 */
export class OrderedDigest {
  readonly #hash: Hash
  readonly #expected: string
  readonly #size: number
  /** Pieces behind what is digested, by where they begin. */
  readonly #kept = new Map<number, Buffer>()
  #keptBytes = 0
  #position = 0
  #state: 'open' | 'lost' | 'right' | 'wrong' = 'open'

  /** @param digest `sha256:…`. @param size bytes of all of it. */
  constructor(digest: string, size: number) {
    const [algorithm = '', hex = ''] = digest.split(':')
    this.#hash = createHash(algorithm)
    this.#expected = hex
    this.#size = size
    if (size === 0) this.#finish()
  }

  /** Takes bytes that were read. @returns whether it is known by now that the digest is another one. */
  take(offset: number, bytes: Uint8Array): boolean {
    if (this.#state !== 'open') return this.#state === 'wrong'
    if (offset > this.#position) this.#keep(offset, bytes)
    else this.#digest(offset, bytes)
    return this.isWrong
  }

  get isWrong(): boolean {
    return this.#state === 'wrong'
  }

  /** What has not been read yet; undefined where the digest is known, or will not be. */
  gaps(): readonly Gap[] | undefined {
    if (this.#state !== 'open') return undefined
    const gaps: Gap[] = []
    let position = this.#position
    for (const [start, { length }] of [...this.#kept].sort(([one], [other]) => one - other)) {
      if (start > position) gaps.push({ start: position, end: start })
      position = Math.max(position, start + length)
    }
    if (position < this.#size) gaps.push({ start: position, end: this.#size })
    return gaps
  }

  #keep(offset: number, bytes: Uint8Array): void {
    const before = this.#kept.get(offset)?.length ?? 0
    if (before >= bytes.length) return
    this.#keptBytes += bytes.length - before
    if (this.#keptBytes > mostKept) {
      this.#kept.clear()
      this.#state = 'lost'
      return
    }
    this.#kept.set(offset, Buffer.from(bytes))
  }

  #digest(offset: number, bytes: Uint8Array): void {
    const fresh = bytes.subarray(this.#position - offset)
    this.#hash.update(fresh)
    this.#position += fresh.length
    // What was kept may lie across what has come.
    for (const [start, piece] of this.#kept) {
      if (start > this.#position) continue
      this.#kept.delete(start)
      this.#keptBytes -= piece.length
      if (start + piece.length > this.#position) {
        this.#digest(start, piece)
        break
      }
    }
    if (this.#position >= this.#size) this.#finish()
  }

  #finish(): void {
    if (this.#state === 'open') this.#state = this.#hash.digest('hex') === this.#expected ? 'right' : 'wrong'
  }
}
