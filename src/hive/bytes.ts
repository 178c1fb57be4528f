import { Recent } from '../binary/recent.js'

/** The bytes of a hive's file, or of one of its logs. */
export interface HiveBytes {
  readonly size: number
  /** Fills `target` with what stands at `position`; all of it lies inside `size`. @throws ImageError. */
  read(position: number, target: Uint8Array): void
}

/** What logs change is kept in pages of this size. */
const pageSize = 4096
/** 4 MiB in all. */
const keptPages = 1024

/** Small reads of a hive, kept by page, with what its logs change laid over them. The logs may make it longer. */
export class PagedBytes implements HiveBytes {
  readonly #below: HiveBytes
  readonly #pages: Recent<Uint8Array>
  readonly #changed = new Map<number, Uint8Array>()
  #size: number

  constructor(below: HiveBytes) {
    this.#below = below
    this.#size = below.size
    this.#pages = new Recent(keptPages, (index) => this.#page(index))
  }

  get size(): number {
    return this.#size
  }

  /** Bytes that are kept in memory for what was changed. */
  get changedBytes(): number {
    return this.#changed.size * pageSize
  }

  read(position: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const at = position + done
      const index = Math.floor(at / pageSize)
      const page = this.#changed.get(index) ?? this.#pages.get(index)
      const piece = page.subarray(at % pageSize, (at % pageSize) + target.length - done)
      target.set(piece, done)
      done += piece.length
    }
  }

  /** Lays bytes over those of the file. */
  change(position: number, bytes: Uint8Array): void {
    this.#size = Math.max(this.#size, position + bytes.length)
    for (let done = 0; done < bytes.length;) {
      const at = position + done
      const index = Math.floor(at / pageSize)
      const page = this.#changed.get(index) ?? this.#page(index)
      this.#changed.set(index, page)
      const piece = bytes.subarray(done, done + pageSize - (at % pageSize))
      page.set(piece, at % pageSize)
      done += piece.length
    }
  }

  /** A page of the file; past its end, zeros. */
  #page(index: number): Uint8Array {
    const page = new Uint8Array(pageSize)
    const start = index * pageSize
    const length = Math.min(pageSize, this.#below.size - start)
    if (length > 0) this.#below.read(start, page.subarray(0, length))
    return page
  }
}
